"""The Immich server."""
