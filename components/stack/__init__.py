"""One stack: its configuration, providers and outputs."""
