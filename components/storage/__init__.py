"""Media, folders and external libraries."""
