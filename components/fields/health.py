"""How often a container is asked whether it is well."""

from __future__ import annotations

from pydantic import Field

from components.fields.base import Section, WholeNumber


class Health(Section):
    """Times of a health check, in seconds; what is left out keeps the container's default."""

    period: WholeNumber | None = Field(default=None, ge=2, le=300)
    """Time between two checks."""
    timeout: WholeNumber | None = Field(default=None, ge=1, le=120)
    """How long an answer may take."""
    failures: WholeNumber | None = Field(default=None, ge=1, le=20)
    """Failures in a row after which it counts as unwell."""
