"""Every rule of the pack, by family. A new family is a line in `_FAMILIES`."""

from __future__ import annotations

from immich_policy import data, exposure, proxies, secrets, uploads, workloads
from immich_policy.model import Rule

_FAMILIES = (uploads.RULES, proxies.RULES, exposure.RULES, workloads.RULES, data.RULES, secrets.RULES)

ALL: tuple[Rule, ...] = tuple(rule for family in _FAMILIES for rule in family)
