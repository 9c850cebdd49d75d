"""The family of rules on proxies: nobody else may say who a client is."""

from __future__ import annotations

from immich_policy import proxies_headers, proxies_ranges

RULES = (*proxies_ranges.RULES, *proxies_headers.RULES)
