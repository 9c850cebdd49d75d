"""The family of rules on containers: their images, what they may do, how they run together."""

from __future__ import annotations

from immich_policy import workloads_hardening, workloads_images, workloads_running

RULES = (*workloads_images.RULES, *workloads_hardening.RULES, *workloads_running.RULES)
