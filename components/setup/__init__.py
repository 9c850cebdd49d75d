"""Immich itself as code: its administrator, people, external libraries and API keys."""
