"""The secrets of Immich's own configuration: kept out of the settings, put into the rendered file last."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

SECRET_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "oauthClientSecret": ("oauth", "clientSecret"),
        "smtpPassword": ("notifications", "smtp", "transport", "password"),
    }
)
"""The secret config key (`immich:<key>`) of each secret, and where it goes in the rendered file."""

HIDDEN: Final = "(hidden)"
"""What stands for a secret in an error."""

_DEEPEST = 8
_LOOKS_SECRET = re.compile(r"secret|password|passphrase", re.IGNORECASE)


def with_secrets(rendered: Mapping[str, object], secrets: Mapping[str, str]) -> dict[str, object]:
    """The rendered file with the secrets in their places; the arguments stay as they are.

    `secrets` is by config key. Raises `ValueError` for a key that is not in `SECRET_FIELDS`. Meant for an
    `Output.apply` over secret values: the result is as secret as they are.
    """
    unknown = sorted(set(secrets) - set(SECRET_FIELDS))
    if unknown:
        raise ValueError(f"no such secret: {', '.join(unknown)}; there are {', '.join(SECRET_FIELDS)}")
    result = dict(rendered)
    for key, path in SECRET_FIELDS.items():
        if key in secrets:
            result = _with(result, path, secrets[key])
    return result


def _with(tree: Mapping[str, object], path: tuple[str, ...], value: str) -> dict[str, object]:
    """A copy of `tree` with `value` at `path`, sorted by key as the rendered file is."""
    head, rest = path[0], path[1:]
    copy = dict(tree)
    if rest:
        branch = copy.get(head, {})
        if not isinstance(branch, Mapping):
            raise ValueError(f"{head} is not a section")
        copy[head] = _with(cast("Mapping[str, object]", branch), rest, value)
    else:
        copy[head] = value
    return dict(sorted(copy.items()))


def refuse(config_key: str) -> Callable[[object], object]:
    """A validator that refuses whatever is given where a secret would stand, and says where it belongs."""
    path = ".".join(SECRET_FIELDS[config_key])

    def refuse_secret(_: object) -> object:
        raise ValueError(
            f"{path} is a secret and is not kept in immich:app; remove it there and run "
            f"`pulumi config set --secret immich:{config_key}`"
        )

    return refuse_secret


def hide_secrets(value: object, depth: int = 0) -> object:
    """The value with everything under a secret-looking key replaced: an error repeats what was given.

    Deeper than the settings go, everything is replaced: it will be refused, whatever it is.
    """
    if depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        return {
            key: HIDDEN if _is_secret_key(key) else hide_secrets(inner, depth + 1)
            for key, inner in items.items()
        }
    if isinstance(value, list | tuple):
        return [hide_secrets(inner, depth + 1) for inner in cast("list[object]", value)]
    return value


def _is_secret_key(key: object) -> bool:
    """Whether a key names a secret; passwordLogin is a switch."""
    return isinstance(key, str) and key != "passwordLogin" and _LOOKS_SECRET.search(key) is not None
