"""The only reader of secret config and the only maker of random secrets."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import pulumi


class Secrets(pulumi.ComponentResource):
    """The secrets of a deployment: from secret config, else made at random and kept in the state, encrypted.

    With an external store it holds nothing: `values` must then not be asked.
    """

    def __init__(
        self, wanted: Mapping[str, bool], *, external: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """`wanted`: config key -> whether it may be made at random."""
        super().__init__("immich:index:Secrets", "secrets", {}, opts)
        self._values: dict[str, pulumi.Output[str]] = {}
        self._fingerprint_key: pulumi.Output[str] | None = None
        if not external:
            self._make(wanted)
        self.register_outputs({})

    def _make(self, wanted: Mapping[str, bool]) -> None:
        from pulumi_random import RandomPassword

        config = pulumi.Config("immich")
        kept = pulumi.ResourceOptions(parent=self, protect=True)
        for key, may_be_random in wanted.items():
            given = config.get_secret(key)
            if given is None and may_be_random:
                # Letters and digits only: Immich's example.env advises nothing else for the database.
                given = RandomPassword(_kebab(key), length=40, special=False, opts=kept).result
            if given is None:
                given = config.require_secret(key)
            self._values[key] = pulumi.Output.secret(given)
        if wanted:
            key = RandomPassword(
                "fingerprint-key", length=40, special=False, opts=pulumi.ResourceOptions(parent=self)
            )
            self._fingerprint_key = key.result

    def values(self, keys: Sequence[str]) -> pulumi.Output[dict[str, str]]:
        """The values of `keys`, as one secret output."""
        return pulumi.Output.secret(pulumi.Output.all(**{key: self._values[key] for key in keys}))

    def fingerprints(self, keys: Sequence[str]) -> dict[str, pulumi.Output[str]]:
        """A keyed hash of each secret, no secret itself: whatever reads the secret restarts when it changes.

        Without the key, which stays secret, the hash tells nothing about the value.
        """
        if self._fingerprint_key is None:
            return {}
        found: dict[str, pulumi.Output[str]] = {}
        for key in keys:
            both = pulumi.Output.all(mark=self._fingerprint_key, value=self._values[key])
            found[_kebab(key)] = pulumi.Output.unsecret(
                both.apply(lambda given: _fingerprint(given["mark"], given["value"]))
            )
        return found


def _fingerprint(key: str, value: str) -> str:
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:16]


def _kebab(key: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in key)
