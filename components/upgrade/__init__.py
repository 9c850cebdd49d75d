"""Upgrades: what the last update left, whether the next may start, and its order."""
