"""Immich's own configuration file."""
