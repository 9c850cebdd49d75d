"""Names for objects that the program leaves unnamed: `<resource name>-<8 hex digits>`, kept for the object's
life.
"""

from __future__ import annotations

import hashlib
import secrets

from toolchain.offline.plugins.kubernetes.objects import ANNOTATION_PREFIX, is_true, metadata, name_of
from toolchain.offline.plugins.provider import Autonaming, ProviderError
from toolchain.offline.plugins.values import Object, Unknown, as_object, reveal

AUTONAMED = ANNOTATION_PREFIX + "autonamed"


def random_suffix(seed: bytes) -> str:
    """Eight hex digits: the same for the same seed, random without one."""
    return hashlib.sha256(seed).hexdigest()[:8] if seed else secrets.token_hex(4)


def named(
    inputs: Object, olds: Object | None, resource_name: str, seed: bytes, mode: Autonaming | None
) -> Object:
    """The inputs with a name: the program's, else the one that the object got before, else a new one.

    Raises ProviderError when the project's `pulumi:autonaming` is `disabled` and the program gives no name,
    or when the program uses `generateName`.
    """
    given = inputs.get("metadata")
    if isinstance(given, Unknown) or name_of(inputs) or isinstance(metadata(inputs).get("name"), Unknown):
        return inputs
    if metadata(inputs).get("generateName"):
        raise ProviderError(
            f"{resource_name}: metadata.generateName is not supported with server-side apply or rendering: "
            "give metadata.name, or leave both out for a generated name"
        )
    if olds is not None and is_true(olds, "autonamed"):
        return _with_name(inputs, name_of(olds))
    if olds is None and mode is not None and mode.disabled:
        raise ProviderError(f"{resource_name}: autonaming is disabled, so metadata.name must be given")
    proposed = mode.proposed_name if mode is not None else ""
    return _with_name(inputs, proposed or f"{resource_name}-{random_suffix(seed)}")


def _with_name(inputs: Object, name: str) -> Object:
    annotations = as_object(reveal(metadata(inputs).get("annotations")))
    return {
        **inputs,
        "metadata": {**metadata(inputs), "name": name, "annotations": {**annotations, AUTONAMED: "true"}},
    }
