"""PostgreSQL: bundled, kept by CloudNativePG, or external."""
