"""Secrets of a deployment: the only reader of secret config and the only maker of random passwords."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.secrets.values import secret_problem

REPLACEABLE = frozenset({"metricsPassword", "grafanaPassword", "administratorPassword", "setupApiKey"})
"""Random secrets whose loss costs nothing but another one: they may leave the program with what they are for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretsArgs:
    """Which secrets are known here, and where their values come from."""

    wanted: Mapping[str, bool]
    """Key of each secret, such as `databasePassword` -> whether it is made at random where no value is given."""
    given: Mapping[str, pulumi.Input[str]] | None = None
    """Values by key; None reads the stack's secret config, `immich:<key>`."""
    prefix: str = ""
    """What the names of the random passwords begin with, where a program has several deployments: `archive-`."""


class Secrets(pulumi.ComponentResource):
    """The secrets of a deployment: given, else made at random, protected, and kept in the state, encrypted.

    It holds what is wanted and what is added to it: `values` must not be asked for anything else.

    On a cluster: random passwords in the state; the component that uses a secret publishes it.
    On a host: random passwords in the state; containers put secrets into volumes.
    """

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises `pulumi.RunError` for values of the config that can only be a mistake."""
        if args.given is None:
            refuse_wrong([*args.wanted])
        super().__init__("immich:index:Secrets", name, {}, opts)
        self._prefix = args.prefix
        self._values: dict[str, pulumi.Output[str]] = {}
        self._fingerprint_key: pulumi.Output[str] | None = None
        if args.wanted:
            self._make(args)
        self.register_outputs({})

    def _make(self, args: SecretsArgs) -> None:
        from pulumi_random import RandomPassword

        config = pulumi.Config("immich")
        for key, may_be_random in args.wanted.items():
            given = config.get_secret(key) if args.given is None else _output(args.given.get(key))
            if may_be_random:
                # Also where one is given: it is protected, so it could not leave the program again.
                # Letters and digits only: Immich's example.env advises nothing else for the database.
                options = pulumi.ResourceOptions(parent=self, protect=None if key in REPLACEABLE else True)
                made = RandomPassword(f"{self._prefix}{_kebab(key)}", length=40, special=False, opts=options)
                given = made.result if given is None else given
            if given is None:
                given = config.require_secret(key) if args.given is None else _missing(key)
            self._values[key] = pulumi.Output.secret(given)
        self._make_fingerprint_key()

    def _make_fingerprint_key(self) -> None:
        from pulumi_random import RandomPassword

        key = RandomPassword(
            f"{self._prefix}fingerprint-key",
            length=40,
            special=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._fingerprint_key = key.result

    def random_bytes(self, name: str, length: int) -> pulumi.Output[str]:
        """`length` random bytes in base64, made once: no change of this program makes others."""
        from pulumi_random import RandomBytes

        kept = pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["length", "keepers"])
        return pulumi.Output.secret(RandomBytes(f"{self._prefix}{name}", length=length, opts=kept).base64)

    def add(self, key: str, value: pulumi.Output[str]) -> None:
        """Hold a secret that was made of others."""
        self._values[key] = pulumi.Output.secret(value)
        if self._fingerprint_key is None:
            self._make_fingerprint_key()

    def values(self, keys: Sequence[str]) -> pulumi.Output[dict[str, str]]:
        """The values of `keys`, as one secret output."""
        return pulumi.Output.secret(pulumi.Output.all(**{key: self._values[key] for key in keys}))

    def value(self, key: str) -> pulumi.Output[str] | None:
        """One value, secret; None where it is not known here."""
        return self._values.get(key)

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


def own_secrets(
    name: str, given: Mapping[str, pulumi.Input[str] | None], opts: pulumi.ResourceOptions
) -> Secrets:
    """The secrets of the component `name` that is used alone: those that are None are made at random."""
    return Secrets(
        f"{name}-secrets",
        SecretsArgs(
            wanted={key: value is None for key, value in given.items()},
            given={key: value for key, value in given.items() if value is not None},
            prefix=f"{name}-",
        ),
        opts,
    )


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


def _missing(key: str) -> pulumi.Output[str]:
    raise ValueError(f"{key}: a value is needed, since it cannot be made at random")


def _output(value: pulumi.Input[str] | None) -> pulumi.Output[str] | None:
    return None if value is None else pulumi.Output.from_input(value)


def _fingerprint(key: str, value: str) -> str:
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:16]


def _kebab(key: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in key)
