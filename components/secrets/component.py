"""The only reader of secret config and the only maker of random secrets."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import pulumi

from components.secrets.values import secret_problem

REPLACEABLE = frozenset({"metricsPassword", "grafanaPassword"})
"""Random secrets whose loss costs nothing but another one: they may leave the program with what they are for."""


class Secrets(pulumi.ComponentResource):
    """The secrets of a deployment: from secret config, else made at random and kept in the state, encrypted.

    With an external store it holds only what is added to it: `values` must not be asked for anything else.
    """

    def __init__(
        self, wanted: Mapping[str, bool], *, external: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """`wanted`: config key -> whether it may be made at random.

        Raises `pulumi.RunError` for values that can only be a mistake.
        """
        if not external:
            refuse_wrong([*wanted])
        super().__init__("immich:index:Secrets", "secrets", {}, opts)
        self.external = external
        """Whether an external store has them, and no value is known here."""
        self._values: dict[str, pulumi.Output[str]] = {}
        self._fingerprint_key: pulumi.Output[str] | None = None
        if not external:
            self._make(wanted)
        self.register_outputs({})

    def _make(self, wanted: Mapping[str, bool]) -> None:
        from pulumi_random import RandomPassword

        config = pulumi.Config("immich")
        for key, may_be_random in wanted.items():
            given = config.get_secret(key)
            if may_be_random:
                # Also where one is given: it is protected, so it could not leave the program again.
                # Letters and digits only: Immich's example.env advises nothing else for the database.
                options = pulumi.ResourceOptions(parent=self, protect=None if key in REPLACEABLE else True)
                made = RandomPassword(_kebab(key), length=40, special=False, opts=options)
                given = made.result if given is None else given
            if given is None:
                given = config.require_secret(key)
            self._values[key] = pulumi.Output.secret(given)
        if wanted:
            self._make_fingerprint_key()

    def _make_fingerprint_key(self) -> None:
        from pulumi_random import RandomPassword

        key = RandomPassword(
            "fingerprint-key", length=40, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        self._fingerprint_key = key.result

    def random_bytes(self, name: str, length: int) -> pulumi.Output[str]:
        """`length` random bytes in base64, made once: no change of this program makes others."""
        from pulumi_random import RandomBytes

        kept = pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["length", "keepers"])
        return pulumi.Output.secret(RandomBytes(name, length=length, opts=kept).base64)

    def add(self, key: str, value: pulumi.Output[str]) -> None:
        """Hold a secret that was made of others, also where there is an external store."""
        self._values[key] = pulumi.Output.secret(value)
        if self._fingerprint_key is None:
            self._make_fingerprint_key()

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
        for key in (key for key in keys if key in self._values):
            both = pulumi.Output.all(mark=self._fingerprint_key, value=self._values[key])
            found[_kebab(key)] = pulumi.Output.unsecret(
                both.apply(lambda given: _fingerprint(given["mark"], given["value"]))
            )
        return found


def refuse_wrong(keys: Sequence[str]) -> None:
    """Raise `pulumi.RunError`, which the engine shows without a traceback, with every value that is a mistake."""
    given = {key: given_secret(key) for key in keys}
    problems = {key: secret_problem(key, value) for key, value in given.items() if value is not None}
    told = [f"immich:{key} {problem}" for key, problem in problems.items() if problem is not None]
    if told:
        raise pulumi.RunError("\n".join(told))


def given_secret(key: str) -> str | None:
    """A secret of the config in the clear, to be judged before anything is registered; None where it is not given.

    Whoever passes it on wraps it in `pulumi.Output.secret`, and shows nothing of it.
    """
    from pulumi.runtime import config

    return config.get_config(f"immich:{key}")


def _fingerprint(key: str, value: str) -> str:
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:16]


def _kebab(key: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in key)
