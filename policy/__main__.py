"""The policy pack, as the Pulumi CLI starts it."""

from __future__ import annotations

from immich_policy.pack import serve

serve()
