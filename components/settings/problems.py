"""What is wrong with a configuration, said for people."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from components.settings.annotations import fields_by_alias, kind_of, models_of, place

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from components.settings.annotations import Place

_SENSITIVE = re.compile(
    r"passw(or)?d|passphrase|(?<![a-z])pass(?![a-z])|pwd|secret|token|credential|private|(access|api)[_-]?key",
    re.IGNORECASE,
)
_SENSITIVE_TEXT = re.compile(rf"{_SENSITIVE.pattern}|-----BEGIN|://[^/\s]*@", re.IGNORECASE)
_LONGEST_GIVEN = 120
_LONGEST_KEY = 80
_SHORTEST_HIDDEN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration."""

    key: str
    """Where: `immich:database.instances`."""
    given: str | None
    """What was given, or None where nothing was or it must not be shown."""
    reason: str
    """What is wrong and what is accepted."""
    hint: str | None = None
    """What to do."""

    def __str__(self) -> str:
        lines = [self.key, f"  {self.reason}"]
        if self.given is not None:
            lines.insert(1, f"  given: {self.given}")
        if self.hint is not None:
            lines.append(f"  to do: {self.hint}")
        return "\n".join(lines)


def key_text(section: str, path: Sequence[str | int] = ()) -> str:
    """A key as a person writes it, in one printable line: `immich:proxy.expose[0].hostnames`."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in path)
    return f"immich:{_printable(section)}{parts}"


def _printable(text: str) -> str:
    line = text if text.isprintable() else json.dumps(text)[1:-1]
    return shortened(line, _LONGEST_KEY)


def shortened(text: str, longest: int = _LONGEST_GIVEN) -> str:
    """`text` in one line of a report."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def told(text: str) -> str | None:
    """Free text that a rule between sections was given, for the report; None where it could be a secret."""
    return None if _SENSITIVE_TEXT.search(text) else shortened(text)


def closest(name: str, known: Sequence[str], prefix: str = "") -> str | None:
    """The hint for a misspelt word."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {prefix}{close[0]}?" if close else None


def shown(path: Sequence[int | str], value: object) -> str | None:
    """`value` for the report: nothing that could be a secret, nothing longer than a line, no whole section."""
    if _has_section(value) or any(_SENSITIVE.search(str(part)) for part in path):
        return None
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return None
    if _SENSITIVE_TEXT.search(text):
        return None
    return shortened(text)


def _has_section(value: object) -> bool:
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return any(isinstance(one, dict | list | tuple | BaseModel) for one in items)
    return isinstance(value, dict | BaseModel)


def problems_of(section: str, annotation: Any, errors: Sequence[ErrorDetails]) -> list[Problem]:
    """The problems of a section that pydantic refused.

    A list with a bad item counts as too short besides; only the item is worth a line.
    """
    return [
        _problem(section, annotation, error)
        for error in errors
        if error["type"] != "too_short"
        or not any(
            len(other["loc"]) > len(error["loc"]) and other["loc"][: len(error["loc"])] == error["loc"]
            for other in errors
        )
    ]


def _problem(section: str, annotation: Any, error: ErrorDetails) -> Problem:
    here = place(annotation, error["loc"])
    kind = error["type"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        given: object = error["input"]
        tag = cast("Mapping[str, object]", given).get("kind") if isinstance(given, Mapping) else given
        kinds = [str(kind_of(model)) for model in here.models]
        return Problem(
            key=f"{key_text(section, here.path)}.kind",
            given=shown((*here.path, "kind"), tag) if kind == "union_tag_invalid" else None,
            reason=f"accepted are {', '.join(kinds)}",
            hint=_as_a_source(tag, kinds) or closest(str(tag), kinds),
        )
    if kind == "extra_forbidden":
        return _unknown_key(section, annotation, error["loc"])
    key = key_text(section, here.path)
    if kind == "missing":
        plain = here.field is not None and not models_of(here.field.annotation)
        return Problem(
            key=key,
            given=None,
            reason="is needed but not given",
            hint=f"pulumi config set --path '{key}' <value>" if plain else None,
        )
    given = shown(here.path, error["input"])
    reason, hint = _REASONS.get(kind, _as_it_is)(error, here)
    if kind == "value_error" and given is None:
        reason = _without(reason, error["input"])
    if given is None and hint is not None and hint.startswith("write "):
        hint = None  # it would show what must not be shown
    return Problem(key=key, given=given, reason=reason, hint=hint)


_SOURCES = ("nfs", "smb", "hostPath", "volume", "existingClaim")


def _as_a_source(kind: object, kinds: Sequence[str]) -> str | None:
    """A kind of volume where a kind of target is meant."""
    if kind not in _SOURCES or "local" not in kinds:
        return None
    return f"write {{name: ..., kind: local, source: {{kind: {kind}, ...}}}}"


def _without(reason: str, value: object) -> str:
    """A reason may repeat what was given; where that must not be shown, no word of it must be there either."""
    items = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
    words = {
        word for one in items if isinstance(one, str) for word in (one.strip(), *re.split(r"[\s,]+", one))
    }
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _SHORTEST_HIDDEN:
            reason = reason.replace(word, "(hidden)")
    return reason


def _unknown_key(section: str, annotation: Any, location: Sequence[str | int]) -> Problem:
    *above, name = location
    here = place(annotation, above)
    accepted = list(dict.fromkeys(alias for model in here.models for alias in fields_by_alias(model)))
    elsewhere = [kind_of(model) for model in here.union if name in fields_by_alias(model)]
    hint = f"{name} belongs to kind {' or '.join(map(str, elsewhere))}" if elsewhere else None
    return Problem(
        key=key_text(section, (*here.path, name)),
        given=None,
        reason=f"is not a setting here; accepted are {', '.join(accepted)}",
        hint=hint or _secret_of(section, str(name)) or closest(str(name), accepted),
    )


def _secret_of(section: str, name: str) -> str | None:
    """Where a password goes that was given in a section."""
    from components.settings.model import SECRET_KEYS

    key = f"{section}{name[:1].upper()}{name[1:]}"
    return f"pulumi config set --secret immich:{key}" if key in SECRET_KEYS else None


_Said = tuple[str, str | None]
_QUOTED = re.compile(r"'([^']*)'")


def _as_it_is(error: ErrorDetails, here: Place) -> _Said:
    del here
    reason = error["msg"].removeprefix("Value error, ").replace("Tuple should have", "expected")
    hint: str | None = getattr(error.get("ctx", {}).get("error"), "hint", None)
    return reason[0].lower() + reason[1:], hint


def _text(error: ErrorDetails, here: Place) -> _Said:
    del here
    if isinstance(error["input"], bool | int | float):
        return "expected text", "put it in quotes; with pulumi config set --path, add --type string"
    return "expected text", None


def _pattern(error: ErrorDetails, here: Place) -> _Said:
    examples = here.field.examples if here.field is not None else None
    pattern, given = str(error.get("ctx", {}).get("pattern")), str(error["input"])
    near = (given.strip(" \t\n\"'"), given.removeprefix("v"), given.lower(), given.lower().replace("-", "_"))
    hint = next((f"write {one}" for one in near if one != given and re.search(pattern, one)), None)
    if examples:
        return f"expected text such as {' or '.join(map(str, examples))}", hint
    return f"expected text that matches {pattern}", hint


def _bound(error: ErrorDetails, here: Place) -> _Said:
    del here
    bounds = error.get("ctx", {})
    return f"expected at least {bounds['ge']}" if "ge" in bounds else f"expected at most {bounds['le']}", None


def _object(error: ErrorDetails, here: Place) -> _Said:
    given = error["input"]
    if (
        isinstance(given, str)
        and given.startswith("/")
        and any(kind_of(one) == "hostPath" for one in here.models)
    ):
        return "expected an object with settings", f"write {{kind: hostPath, path: {given}}}"
    return "expected an object with settings", None


def _one_of(error: ErrorDetails, here: Place) -> _Said:
    del here
    words = str(error.get("ctx", {}).get("expected"))
    return f"accepted are {words}", closest(str(error["input"]), _QUOTED.findall(words))


def _length(error: ErrorDetails, here: Place) -> _Said:
    del here
    bounds = error.get("ctx", {})
    least, most, actual = bounds.get("min_length"), bounds.get("max_length"), bounds.get("actual_length")
    limit = f"at least {least}" if least is not None else f"at most {most}"
    return f"expected {limit} item{'' if 1 in {least, most} else 's'}, not {actual}", None


def _always(reason: str) -> Callable[[ErrorDetails, Place], _Said]:
    return lambda error, here: (reason, None)  # noqa: ARG005 - the same for every error of the type


_WHOLE_NUMBER = _always("expected a whole number")
_TRUE_OR_FALSE = _always("expected true or false")
_NUMBER = _always("expected a number")

_REASONS: Mapping[str, Callable[[ErrorDetails, Place], _Said]] = {
    "tuple_type": _always("expected a list"),
    "dict_type": _always("expected an object with keys and values"),
    "model_type": _object,
    "model_attributes_type": _object,
    "string_type": _text,
    "string_unicode": _always("is not Unicode text"),
    "string_pattern_mismatch": _pattern,
    "string_too_short": _always("must not be empty"),
    "literal_error": _one_of,
    "too_short": _length,
    "too_long": _length,
    "greater_than_equal": _bound,
    "less_than_equal": _bound,
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "bool_type": _TRUE_OR_FALSE,
    "bool_parsing": _TRUE_OR_FALSE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
}
"""What pydantic says in Python's words, said in the words of YAML. Whatever is not here is said as pydantic does."""
