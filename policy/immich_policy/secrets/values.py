"""Whether a text is a secret: by the name that it stands under, by its form, by its entropy.

Pure. What comes out says why, and never says the text.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

_WORDS = re.compile(
    r"(?:pass(?:word|wd|phrase)|(?<!proxy)(?<!cgi)(?:\b|_)pass|pwd|passw?d|secret(?:_?access)?(?:_?key)?|token|api_?key|access_?key|private_?key|encryption_?key|"
    r"credentials?|requirepass|masterauth|auth_?key|signing_?key)s?\Z",
    re.IGNORECASE,
)
"""How the name of a setting ends that holds a secret, without a trailing number."""

_POINTERS = re.compile(
    r"(?:_|\b|(?<=[a-z]))(?:file|path|dir|directory|name|ref|url|uri|endpoint|issuer|ttl|timeout|duration|id|type|kind|"
    r"method|algorithm|length|rotation|version|expiry|expiration|enabled|policy|header|mount|folder)s?\Z",
    re.IGNORECASE,
)
"""Ends of names that point to a secret, or describe one, and hold none."""

_FINGERPRINTS = re.compile(
    r"(?:^|[./])(?:revision|secret)-|(?:^|[./_-])(?:checksum|hash|digest|sha256sum)(?:$|[./_-])"
)
"""Annotations and labels that carry a fingerprint of what a pod must be restarted for."""

_HEX = re.compile(r"[0-9a-f]{8,128}\Z", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGEST = re.compile(r"\b(?:sha(?:1|256|384|512)|md5)[:-][A-Za-z0-9+/=]+")
_PLACEHOLDER = re.compile(
    r"\$\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_]\w*|\{\{.*?\}\}|\[secret\]|<[A-Za-z_ -]+>", re.DOTALL
)
"""Places that something else fills in: shells, Kubernetes, Go templates, systemd, documentation."""

_JSON_WEB_KEY = re.compile(r"\{[^{}]*[\"']?kty[\"']?\s*:\s*[\"']?(?:RSA|EC|OKP)\b[^{}]*\}", re.DOTALL)
_PRIVATE_PART = re.compile(r"[\"'{,\s](?:d|p|q|dp|dq|qi|oth)[\"']?\s*:")
"""Members of a JSON Web Key that only a private one has (RFC 7518, section 6)."""
_CERTIFICATE = re.compile(
    r"-----BEGIN (CERTIFICATE|PUBLIC KEY|X509 CRL|DH PARAMETERS)-----.*?-----END \1-----", re.DOTALL
)
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")
_FORMS: Final = (
    (_PRIVATE_KEY, "a private key"),
    (re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"), "a signed token (JWT)"),
    (re.compile(r"\beyJhIjoi[\w+/=-]{40,}"), "the token of a Cloudflare Tunnel"),
    (
        re.compile(r"\b(?:ghp|gho|ghs|ghu|glpat|xoxb|xoxp|cfast|sk_live|rk_live)[_-]\w{16,}"),
        "a token of a service",
    ),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an access key of S3"),
    (
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE),
        "a password in an address",
    ),
    (
        re.compile(
            # Prose has such words before others, so only an option, or Valkey's own word, has a space behind it.
            r"(?:^|[\s;,&?\"'])(?P<option>--?)?(?P<name>[\w.-]*(?:(?P<valkey>requirepass|masterauth)|password|passwd|"
            r"passphrase|secret|token|api[_-]?key|access[_-]?key))\"?(?:\s*[=:]\s*|(?(option)\s+|(?(valkey)\s+|(?!))))"
            r"(?P<value>\"[^\"\n]+\"|'[^'\n]+'|[^\s\"',;&]+)",
            re.IGNORECASE,
        ),
        "a password in a command or a file",
    ),
)

_ENTRIES: Final = (
    re.compile(
        r"^[ \t]*(?:export[ \t]+|-[ \t]+)?[\"']?(?P<name>[\w.-]+)[\"']?[ \t]*[=:][ \t]*[\"']?"
        r"(?P<value>[^\s\"'#,;{}\[\]<>()|&`]{4,})[\"']?[ \t]*[,;]?[ \t]*(?:#.*)?$",
        re.MULTILINE,
    ),
    re.compile(r"\"(?P<name>[\w.-]+)\"\s*:\s*\"(?P<value>[^\"\s]{4,})\""),
)
"""Entries of a file, `key: value`, `key = value` or of JSON: a single word there is a value and no prose."""
_DESCRIPTIONS: Final = frozenset(
    {
        "string",
        "text",
        "secret",
        "password",
        "token",
        "key",
        "required",
        "optional",
        "hidden",
        "redacted",
        "basic",
    }
    | {"bearer", "plain", "file", "vault"}
)
"""Values that say what a secret is, or where."""

_CANDIDATE = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_SEGMENT = re.compile(r"[-_/]")
_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+|\d+|[A-Z]?[a-z]+\d{1,3}|v\d+)\Z")
_PARTS = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{3,}|\d+|[A-Z]")
_LEAST_LENGTH: Final = 20
_LEAST_ENTROPY: Final = 3.6
"""Bits a character. Words and identifiers stay below, or are taken apart before; random text of 20 letters and digits
has 3.9 or more."""

_ORDINARY = frozenset(
    {"", "true", "false", "yes", "no", "on", "off", "none", "null", "default", "auto", "enabled", "disabled"}
)


@functools.lru_cache(maxsize=4096)  # the same texts stand in many resources of a program
def secret_in(name: str, value: str) -> str | None:
    """Why `value` under `name` is taken for a secret, in words without the value; `None` if it is not.

    `name` is the name of a variable, a key, an annotation or an option; empty where there is none (an argument).
    """
    text = _without_public(value)
    if by_form := _by_form(text):
        return by_form
    if _is_fingerprint(name, value):
        return None
    if names_a_secret(name) and _could_be_a_secret(text):
        return "its name says that it is a secret"
    if any(True for _ in _random_texts(text)):
        return "it is as random as a password or a key"
    return None


def names_a_secret(name: str) -> bool:
    """Whether a name is one for secrets: `DB_PASSWORD`, `apiKey`; not `DB_PASSWORD_FILE`, `tokenTtl`, `secretName`."""
    last = re.sub(r"[_-]?\d+\Z", "", name.rsplit("/", 1)[-1].rsplit(".", 1)[-1])
    flat = last.replace("-", "_")
    return not _POINTERS.search(flat) and bool(_WORDS.search(flat))


def names_a_fingerprint(name: str) -> bool:
    """Whether an annotation's name is one for fingerprints: `immich/secret-database-password`, `checksum/config`."""
    return ("/" in name or "." in name) and bool(_FINGERPRINTS.search(name.lower()))


def _is_fingerprint(name: str, value: str) -> bool:
    return names_a_fingerprint(name) and bool(_HEX.match(value))


def _without_public(value: str) -> str:
    """The text without what is public by its nature: certificates, public keys, digests, UUIDs, places to fill in."""
    text = _CERTIFICATE.sub(" ", value)
    if "kty" in text:
        text = _JSON_WEB_KEY.sub(lambda found: found[0] if _PRIVATE_PART.search(found[0]) else " ", text)
    text = _DIGEST.sub(" ", text)
    text = _UUID.sub(" ", text)
    for encoded in re.findall(r"[A-Za-z0-9+/\s]{40,}={0,2}", text):
        decoded = _decoded(encoded)
        if decoded is None:
            continue
        if _PRIVATE_KEY.search(decoded):
            return decoded
        if "-----BEGIN CERTIFICATE-----" in decoded or "-----BEGIN PUBLIC KEY-----" in decoded:
            text = text.replace(encoded, " ")
    return _PLACEHOLDER.sub("", text)


def _decoded(encoded: str) -> str | None:
    compact = "".join(encoded.split())
    if not compact.startswith(("LS0tLS1CRUdJTi", "MII")):
        return None
    try:
        raw = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if raw[:2] == b"0\x82":
        # DER. A certificate begins with a sequence in the sequence, a key (PKCS 1 and 8) with a version number.
        return "-----BEGIN CERTIFICATE-----" if raw[4:6] == b"0\x82" else "-----BEGIN PRIVATE KEY-----"
    return raw.decode("ascii", "replace")


def _by_form(text: str) -> str | None:
    for pattern, words in _FORMS:
        for found in pattern.finditer(text):
            groups = found.groupdict()
            if groups.get("name") is not None and not names_a_secret(groups["name"]):
                continue
            if "value" in groups and not _could_be_a_secret(groups["value"].strip("\"'"), written=True):
                continue
            return words
    for pattern in _ENTRIES:
        for found in pattern.finditer(text):
            word = found["value"].lower()
            told = word not in _DESCRIPTIONS and word != found["name"].lower()
            if told and names_a_secret(found["name"]) and _could_be_a_secret(found["value"]):
                return "a password in a file, by its name"
    return None


def _could_be_a_secret(text: str, *, written: bool = False) -> bool:
    """Whether a text under a telling name is a value, and not a path, a number, a switch or a place to fill in.

    `written`: the text was found inside a longer one, where a single ordinary word is prose rather than a password.
    """
    stripped = text.strip()
    if stripped.lower() in _ORDINARY or stripped.startswith(("/", "./", "file:", "env:", "op://", "vault:")):
        return False
    if stripped.isdigit() and len(stripped) < 6:
        return False
    return not written or _looks_typed(stripped)


def _looks_typed(text: str) -> bool:
    """Whether a text mixes letters and other characters, or is longer than a word: prose seldom does."""
    if not re.search(r"[A-Za-z0-9]", text) or text.startswith(("-", "(", "<", "[", "{", "=", "|")):
        return False
    return bool(re.search(r"\d", text)) or len(text) >= _LEAST_LENGTH


def _random_texts(text: str) -> Iterator[str]:
    for found in _CANDIDATE.finditer(text):
        rest = "".join(part for part in _SEGMENT.split(found[0].rstrip("=")) if not _WORD.match(part))
        if len(rest) < _LEAST_LENGTH or _HEX.match(rest):
            # Hexadecimal is what digests, ids and revisions are written in; a secret in it is told by its name.
            continue
        if _is_random(rest):
            yield rest


def _is_random(text: str) -> bool:
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    words = sum(len(part) for part in _PARTS.findall(text) if len(part) >= 4)
    changes = sum(_kind(a) != _kind(b) for a, b in itertools.pairwise(text))
    return (
        kinds >= 2
        and entropy(text) >= _LEAST_ENTROPY
        and words < len(text) * 0.5
        and changes >= len(text) / 4
    )


def _kind(character: str) -> str:
    return "d" if character.isdigit() else "u" if character.isupper() else "l"


def entropy(text: str) -> float:
    """Shannon entropy in bits a character; 0 for an empty text."""
    if not text:
        return 0.0
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
