"""Backups and what comes back of them, with real PostgreSQL, restic, SSH and rclone on this machine."""
