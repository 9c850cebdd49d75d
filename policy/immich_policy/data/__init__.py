"""The family of rules on data: volumes and backups."""
