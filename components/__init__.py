"""Immich as Pulumi components."""
