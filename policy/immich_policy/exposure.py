"""The family of rules on what can be reached, and from where."""

from __future__ import annotations

from immich_policy import exposure_cloudflare, exposure_doors, exposure_isolation, exposure_setup

RULES = (*exposure_doors.RULES, *exposure_setup.RULES, *exposure_cloudflare.RULES, *exposure_isolation.RULES)
