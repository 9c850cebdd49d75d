"""What a changed property means for a resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ChangeKind = Literal["add", "delete", "update"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One changed property; `replace` when the object must be made anew for it."""

    kind: ChangeKind
    replace: bool = False
