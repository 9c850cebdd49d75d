"""The family of rules on data: volumes and backups."""

from __future__ import annotations

from immich_policy import data_backups, data_dumps, data_volumes

RULES = (*data_volumes.RULES, *data_backups.RULES, *data_dumps.RULES)
