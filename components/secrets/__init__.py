"""Secret configuration and random passwords."""
