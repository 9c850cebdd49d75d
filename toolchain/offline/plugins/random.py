"""The offline `random` provider, run with `python -m toolchain.offline.plugins.random`.

Same types, inputs, defaults and outputs as pulumi-random 4, with two differences: a keeper or any other input
change replaces the object as there, but `bcryptHash` of a RandomPassword is left out (it would need a
dependency), and the random values come from the operating system through `secrets`.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from toolchain.offline.plugins.provider import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Diff,
    DiffRequest,
    Failure,
    Provider,
    ProviderError,
    ReadRequest,
    ReadResult,
    Resource,
    UpdateRequest,
)
from toolchain.offline.plugins.structural import compare
from toolchain.offline.plugins.values import (
    UNKNOWN,
    Object,
    Secret,
    Unknown,
    Value,
    as_object,
    as_text,
    reveal,
)

VERSION = "4.21.4"

# The characters that the official plugin picks from when `overrideSpecial` is not given.
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"

_TEXT_DEFAULTS: Object = {
    "special": True,
    "upper": True,
    "lower": True,
    "number": True,
    "numeric": True,
    "minSpecial": 0,
    "minUpper": 0,
    "minLower": 0,
    "minNumeric": 0,
}
_PET_WORDS = (
    (
        "brave",
        "calm",
        "clever",
        "eager",
        "fair",
        "gentle",
        "happy",
        "keen",
        "kind",
        "lively",
        "noble",
        "quick",
        "sunny",
    ),
    (
        "badger",
        "crane",
        "falcon",
        "fox",
        "heron",
        "lynx",
        "marten",
        "otter",
        "owl",
        "raven",
        "robin",
        "seal",
        "wren",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type: how its values are made, from an identifier how they are found again, which are
    secret.
    """

    make: Callable[[Object], tuple[str, Object]]
    adopt: Callable[[str], tuple[Object, Object]]
    computed: tuple[str, ...]
    required: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Value], ...] = ()
    secret: tuple[str, ...] = ()


def _whole(inputs: Object, key: str) -> int:
    value = reveal(inputs.get(key))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProviderError(f"{key} must be a whole number, not {value!r}")
    return value


def random_text(inputs: Object) -> str:
    """A string by the rules of RandomPassword and RandomString: `length`, character classes and their minima."""
    special = as_text(inputs.get("overrideSpecial")) or SPECIAL
    digits_wanted = inputs.get("numeric") is not False and inputs.get("number") is not False
    classes = [
        (special, inputs.get("special") is not False, _whole(inputs, "minSpecial")),
        (string.ascii_uppercase, inputs.get("upper") is not False, _whole(inputs, "minUpper")),
        (string.ascii_lowercase, inputs.get("lower") is not False, _whole(inputs, "minLower")),
        (string.digits, digits_wanted, _whole(inputs, "minNumeric")),
    ]
    length = _whole(inputs, "length")
    least = sum(minimum for _, _, minimum in classes)
    if length < max(1, least):
        raise ProviderError(
            f"length is {length} but must be at least {max(1, least)} (the sum of the minima)"
        )
    alphabet = "".join(characters for characters, wanted, _ in classes if wanted)
    if not alphabet:
        raise ProviderError(
            "no characters to pick from: at least one of upper, lower, numeric, special must be true"
        )
    picked = [secrets.choice(characters) for characters, _, minimum in classes for _ in range(minimum)]
    picked += [secrets.choice(alphabet) for _ in range(length - least)]
    secrets.SystemRandom().shuffle(picked)
    return "".join(picked)


def _make_password(inputs: Object) -> tuple[str, Object]:
    return "none", {"result": random_text(inputs)}


def _make_string(inputs: Object) -> tuple[str, Object]:
    text = random_text(inputs)
    return text, {"result": text}


def _adopt_text(identifier: str) -> tuple[Object, Object]:
    return {**_TEXT_DEFAULTS, "length": len(identifier)}, {"result": identifier}


def id_outputs(raw: bytes, prefix: str) -> Object:
    """The encodings that RandomId offers of the same bytes, each behind the prefix."""
    url = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(raw).decode(),
        "hex": prefix + raw.hex(),
        "dec": prefix + str(int.from_bytes(raw)),
    }


def _make_id(inputs: Object) -> tuple[str, Object]:
    length = _whole(inputs, "byteLength")
    if length < 1:
        raise ProviderError(f"byteLength is {length} but must be at least 1")
    raw = secrets.token_bytes(length)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), id_outputs(raw, as_text(inputs.get("prefix")))


def _adopt_id(identifier: str) -> tuple[Object, Object]:
    prefix, _, encoded = identifier.rpartition(",")
    raw = _decoded(encoded, urlsafe=True)
    inputs: Object = {"byteLength": len(raw)}
    if prefix:
        inputs["prefix"] = prefix
    return inputs, id_outputs(raw, prefix)


def _decoded(encoded: str, *, urlsafe: bool = False) -> bytes:
    padded = encoded + "=" * (-len(encoded) % 4)
    try:
        return base64.b64decode(padded, altchars=b"-_" if urlsafe else None, validate=True)
    except ValueError as error:
        raise ProviderError(
            f"the identifier to import is not base64{' (URL-safe)' if urlsafe else ''}: {error}"
        ) from None


def _make_bytes(inputs: Object) -> tuple[str, Object]:
    length = _whole(inputs, "length")
    if length < 1:
        raise ProviderError(f"length is {length} but must be at least 1")
    raw = secrets.token_bytes(length)
    return "none", {"base64": base64.b64encode(raw).decode(), "hex": raw.hex()}


def _adopt_bytes(identifier: str) -> tuple[Object, Object]:
    raw = _decoded(identifier)
    return {"length": len(raw)}, {"base64": identifier, "hex": raw.hex()}


def _make_uuid(_inputs: Object) -> tuple[str, Object]:
    text = str(uuid.uuid4())
    return text, {"result": text}


def _adopt_uuid(identifier: str) -> tuple[Object, Object]:
    try:
        text = str(uuid.UUID(identifier))
    except ValueError:
        raise ProviderError(f"the identifier to import is not a UUID: {identifier}") from None
    return {}, {"result": text}


def _make_integer(inputs: Object) -> tuple[str, Object]:
    low, high = _whole(inputs, "min"), _whole(inputs, "max")
    if high < low:
        raise ProviderError(f"max ({high}) must not be less than min ({low})")
    seed = as_text(inputs.get("seed"))
    if seed:
        raise ProviderError(
            "seed is not in the offline plugin 'random': use the official plugin or leave it out"
        )
    number = low + secrets.randbelow(high - low + 1)
    return str(number), {"result": number}


def _adopt_integer(identifier: str) -> tuple[Object, Object]:
    parts = identifier.split(",")
    try:
        result, low, high = (int(part) for part in parts[:3])
    except ValueError:
        raise ProviderError(f"the identifier to import must be result,min,max and is {identifier}") from None
    return {"min": low, "max": high}, {"result": result}


def _make_pet(inputs: Object) -> tuple[str, Object]:
    length = _whole(inputs, "length")
    words = [secrets.choice(_PET_WORDS[1])]
    words = [secrets.choice(_PET_WORDS[0]) for _ in range(max(0, length - 1))] + words
    prefix = as_text(inputs.get("prefix"))
    text = as_text(inputs.get("separator"), "-").join(([prefix] if prefix else []) + words)
    return text, {}


def _adopt_pet(identifier: str) -> tuple[Object, Object]:
    raise ProviderError(f"a RandomPet cannot be imported ({identifier}): the official plugin cannot either")


_TEXT = tuple(_TEXT_DEFAULTS.items())
KINDS: dict[str, Kind] = {
    "random:index/randomPassword:RandomPassword": Kind(
        make=_make_password,
        adopt=_adopt_text,
        computed=("result",),
        required=("length",),
        defaults=_TEXT,
        secret=("result",),
    ),
    "random:index/randomString:RandomString": Kind(
        make=_make_string, adopt=_adopt_text, computed=("result",), required=("length",), defaults=_TEXT
    ),
    "random:index/randomId:RandomId": Kind(
        make=_make_id, adopt=_adopt_id, computed=("b64Url", "b64Std", "hex", "dec"), required=("byteLength",)
    ),
    "random:index/randomBytes:RandomBytes": Kind(
        make=_make_bytes,
        adopt=_adopt_bytes,
        computed=("base64", "hex"),
        required=("length",),
        secret=("base64", "hex"),
    ),
    "random:index/randomUuid:RandomUuid": Kind(make=_make_uuid, adopt=_adopt_uuid, computed=("result",)),
    "random:index/randomInteger:RandomInteger": Kind(
        make=_make_integer, adopt=_adopt_integer, computed=("result",), required=("min", "max")
    ),
    "random:index/randomPet:RandomPet": Kind(
        make=_make_pet, adopt=_adopt_pet, computed=(), defaults=(("length", 2), ("separator", "-"))
    ),
}


def _outputs(kind: Kind, inputs: Object, values: Object) -> Object:
    return {
        **inputs,
        **{key: Secret(value) if key in kind.secret else value for key, value in values.items()},
    }


class RandomProvider(Provider):
    """Values that are made once, kept in the state, and made anew when an input changes."""

    name = "random"
    version = VERSION

    def _kind(self, request: Resource) -> Kind:
        kind = KINDS.get(request.type)
        if kind is None:
            raise self._unknown_type(request)
        return kind

    def check(self, request: CheckRequest) -> Checked:
        kind = self._kind(request)
        inputs = {key: value for key, value in request.news.items() if value is not None}
        # `number` is the old name of `numeric`: each follows the other when only one is given.
        if kind.defaults == _TEXT and ("number" in inputs) != ("numeric" in inputs):
            given = inputs.get("number", inputs.get("numeric"))
            inputs |= {"number": given, "numeric": given}
        failures = [
            Failure(property=key, reason=f"{key} is required by {request.type}")
            for key in kind.required
            if key not in inputs
        ]
        return Checked(inputs={**dict(kind.defaults), **inputs}, failures=failures)

    def diff(self, request: DiffRequest) -> Diff:
        # The official plugin keeps only what the program gave; a default that is now written out is no change.
        defaults = dict(self._kind(request).defaults)
        old, new = ({**defaults, **item} for item in (request.old_inputs, request.news))
        return Diff(changes=compare(old, new, lambda _path: True))

    def create(self, request: CreateRequest) -> Created:
        kind = self._kind(request)
        if request.preview:
            unknown: Object = dict.fromkeys(kind.computed, UNKNOWN)
            return Created(id="", outputs=_outputs(kind, request.inputs, unknown))
        if any(isinstance(value, Unknown) for value in request.inputs.values()):
            raise ProviderError(f"{request.name}: an input is still unknown")
        identifier, values = kind.make({key: reveal(value) for key, value in request.inputs.items()})
        return Created(id=identifier, outputs=_outputs(kind, request.inputs, values))

    def read(self, request: ReadRequest) -> ReadResult | None:
        kind = self._kind(request)
        if request.outputs and as_object(request.inputs):
            return ReadResult(id=request.id, outputs=request.outputs, inputs=request.inputs)
        inputs, values = kind.adopt(request.id)
        identifier = "none" if kind.secret else request.id
        return ReadResult(id=identifier, outputs=_outputs(kind, inputs, values), inputs=inputs)

    def update(self, request: UpdateRequest) -> Object:
        raise ProviderError(f"{request.type} is never updated in place: {json.dumps(sorted(request.news))}")

    def delete(self, request: DeleteRequest) -> None:
        """Nothing exists outside the state."""


def main() -> int:
    """Serve the provider."""
    from toolchain.offline.plugins.server import serve

    return serve(RandomProvider())


if __name__ == "__main__":
    sys.exit(main())
