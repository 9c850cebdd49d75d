"""The family of rules on uploads: every hop in front of Immich carries one of the declared size."""

from __future__ import annotations

from immich_policy import uploads_cloudflare, uploads_gateways, uploads_nginx, uploads_traefik

RULES = (*uploads_nginx.RULES, *uploads_gateways.RULES, *uploads_traefik.RULES, *uploads_cloudflare.RULES)
