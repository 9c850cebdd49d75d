"""Backups, drills and restores: plans, scripts and the component that runs them."""
