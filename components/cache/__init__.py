"""Valkey: bundled or external."""
