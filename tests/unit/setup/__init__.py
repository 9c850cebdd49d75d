"""Immich itself as code."""
