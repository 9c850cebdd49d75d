"""CPU and memory of every container: the one table of defaults, and how a stack changes it."""

from __future__ import annotations

from typing import Self, TypeVar

from pydantic import model_validator

from components.fields.base import Section
from components.model.values import Cpu, Memory, Quantity

_Amount = TypeVar("_Amount", Cpu, Memory)


class Amounts(Section):
    """One side of a container's resources; what is left out keeps its default."""

    cpu: Cpu | None = None
    """Cores: `500m`, `2`."""
    memory: Memory | None = None
    """Bytes: `512Mi`, `4Gi`."""


class Resources(Section):
    """What a container asks for (requests) and may use at most (limits)."""

    requests: Amounts = Amounts()
    """What the scheduler reserves."""
    limits: Amounts = Amounts()
    """What the container may use at most; memory above it ends the container."""

    @model_validator(mode="after")
    def _requests_fit_limits(self) -> Self:
        for name in ("cpu", "memory"):
            request: Quantity | None = getattr(self.requests, name)
            limit: Quantity | None = getattr(self.limits, name)
            if request is not None and limit is not None and request.amount > limit.amount:
                raise ValueError(f"requests.{name} {request} is more than limits.{name} {limit}")
        return self

    def over(self, default: Resources) -> Resources:
        """These values laid over `default`; a request that would exceed a lowered limit follows the limit."""
        limits = _laid_over(self.limits, default.limits)
        requests = _laid_over(self.requests, default.requests)
        capped = Amounts(
            cpu=_at_most(requests.cpu, limits.cpu), memory=_at_most(requests.memory, limits.memory)
        )
        return Resources(requests=capped, limits=limits)


def _at_most(request: _Amount | None, limit: _Amount | None) -> _Amount | None:
    return limit if request is not None and limit is not None and request.amount > limit.amount else request


def _laid_over(given: Amounts, default: Amounts) -> Amounts:
    return Amounts(cpu=given.cpu or default.cpu, memory=given.memory or default.memory)


def _resources(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> Resources:
    return Resources(
        requests=Amounts(cpu=Cpu(cpu), memory=Memory(memory)),
        limits=Amounts(cpu=Cpu(cpu_limit), memory=Memory(memory_limit)),
    )


DEFAULTS: dict[str, Resources] = {
    "server": _resources("500m", "1Gi", "4", "4Gi"),
    "api": _resources("250m", "512Mi", "2", "2Gi"),
    "microservices": _resources("500m", "1Gi", "4", "4Gi"),
    "machineLearning": _resources("500m", "2Gi", "4", "6Gi"),
    "database": _resources("250m", "1Gi", "2", "2Gi"),
    "cache": _resources("50m", "64Mi", "500m", "512Mi"),
    "proxy": _resources("50m", "64Mi", "2", "256Mi"),
    "backup": _resources("100m", "256Mi", "2", "2Gi"),
    "setup": _resources("50m", "128Mi", "1", "512Mi"),
    "backupRclone": _resources("50m", "64Mi", "1", "512Mi"),
    "exporter": _resources("20m", "32Mi", "500m", "128Mi"),
    "prometheus": _resources("100m", "256Mi", "2", "1Gi"),
    "alertmanager": _resources("20m", "32Mi", "500m", "128Mi"),
    "grafana": _resources("50m", "128Mi", "1", "512Mi"),
    "cloudflared": _resources("50m", "64Mi", "1", "256Mi"),
}
"""Defaults by container. The database has at least the 2 GB of Immich's requirements page; machine learning more than
the 4 GiB that users found enough (adampetrovic/home-ops#2464), since text recognition came on top (immich#23462)."""
