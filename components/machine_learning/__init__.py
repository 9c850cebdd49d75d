"""Machine learning, on CPU or GPU."""
