"""Published secrets whose values are in Secrets that exist already: pods mount the entries, or files made of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from components.model.secret_text import SecretPart, SecretText
from components.model.specs import PublishedSecret

Entry = tuple[str, str]
"""Name of a Secret and the key of an entry in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """Where pods find the items of a published secret that is not one Secret of this program alone."""

    entries: Mapping[str, Entry]
    """Items that are an entry as a whole."""
    made: Mapping[str, SecretText]
    """Items that the pod puts together."""
    values: Mapping[str, Entry]
    """Config key -> entry of each value in `made`."""


def locate(
    published: PublishedSecret, existing: Mapping[str, Entry], target: str
) -> tuple[PublishedSecret | None, Located | None]:
    """What is left to publish as the Secret `target`, and where pods find the items; None where all is in `target`.

    Raises `ValueError` for a value that other secrets are derived of: only who knows it can publish those.
    """
    if not any(key in existing for text in published.items.values() for key in text.keys):
        return published, None
    left: dict[str, SecretText] = {}
    entries: dict[str, Entry] = {}
    made: dict[str, SecretText] = {}
    values: dict[str, Entry] = {}
    for item, text in published.items.items():
        if not any(key in existing for key in text.keys):
            left[item], entries[item] = text, (target, item)
        elif text == SecretText.of(text.keys[0]):
            entries[item] = existing[text.keys[0]]
        else:
            if any(isinstance(part, SecretPart) and part.derived is not None for part in text.parts):
                raise ValueError(
                    f"{published.name}: {item} is derived of a secret that this program does not know"
                )
            made[item] = text
            for key in text.keys:
                values[key] = existing.get(key, (target, key))
                if key not in existing:
                    left[key] = SecretText.of(key)
    located = Located(entries=entries, made=made, values=values)
    return replace(published, items=left) if left else None, located


def sources(located: Located, items: Mapping[str, str]) -> dict[str, Entry]:
    """Path -> entry of what `script` reads to write `items` (item -> file name)."""
    found = {f"item/{item}": located.entries[item] for item in items if item not in located.made}
    keys = (key for item in items if item in located.made for key in located.made[item].keys)
    return found | {f"value/{key}": located.values[key] for key in keys}


def script(located: Located, items: Mapping[str, str], read: str, written: str) -> str:
    """POSIX sh that writes `items` (item -> file name) into the folder `written`, of `sources` in the folder `read`."""
    lines = ["set -eu", "umask 027"]
    texts = {item: located.made[item] for item in items if item in located.made}
    quoted = {
        part.key
        for text in texts.values()
        for part in text.parts
        if isinstance(part, SecretPart) and part.quoted
    }
    for key in dict.fromkeys(key for text in texts.values() for key in text.keys):
        secret, entry = located.values[key]
        lines.append(f'{key}="$(cat {read}/value/{key})"')
        lines.append(f'[ -n "${key}" ] || {_refuse(f"the entry {entry} of the Secret {secret} is empty")}')
        if key in quoted:
            reason = f"the entry {entry} of the Secret {secret} has a line break or another control character"
            lines.append(f'case "${key}" in *[[:cntrl:]]*) {_refuse(reason)};; esac')
    for item, file in items.items():
        target = f"{written}/{shlex.quote(file)}"
        if item not in texts:
            lines.append(f"cat {read}/item/{item} > {target}")
            continue
        whole = "; ".join(_printed(part) for part in texts[item].parts)
        if (prefix := texts[item].base64_prefix) is not None:
            whole = f"printf %s {shlex.quote(prefix)}; {{ {whole}; }} | base64 | tr -d '\\n'"
        lines.append(f"{{ {whole}; }} > {target}")
    return "\n".join(lines) + "\n"


def _refuse(reason: str) -> str:
    return f"{{ echo {shlex.quote(reason)} >&2; exit 1; }}"


def _printed(part: str | SecretPart) -> str:
    if isinstance(part, str):
        return f"printf %s {shlex.quote(part)}"
    if not part.quoted:
        return f'printf %s "${part.key}"'
    # As a string of JSON, which has no other characters to escape once control characters are refused.
    return f"""printf '"%s"' "$(printf %s "${part.key}" | sed 's/[\\\\"]/\\\\&/g')\""""
