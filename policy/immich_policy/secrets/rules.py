"""No password, key or token stands where everybody who may see a resource can read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from immich_policy.config import Config
from immich_policy.model import UNKNOWN, Finding, Judgement, Rule, Severity, Stack, Unjudged, family_rule
from immich_policy.secrets.places import Place, Written, written
from immich_policy.secrets.values import names_a_fingerprint, names_a_secret, secret_in

_SETTING = {
    Place.ENVIRONMENT: "give the variable from a Secret (`valueFrom.secretKeyRef`), or a file (`DB_PASSWORD_FILE`)",
    Place.CONFIGURATION: "keep the file in a Secret and mount that",
    Place.METADATA: "remove it; a fingerprint goes under `immich/revision-…` or `checksum/…`",
    Place.COMMAND: "read it from a file that a Secret provides",
    Place.INPUT: "name a Secret that holds it",
}


def _judge(place: Place) -> Callable[[Stack, Config], Iterable[Judgement]]:
    def judge(stack: Stack, config: Config) -> Iterable[Judgement]:
        del config
        for one in stack.once(written):
            if one.place is place:
                yield from _judged(one)

    return judge


def _judged(one: Written) -> Iterable[Judgement]:
    if one.value is UNKNOWN:
        if names_a_secret(one.name) and not names_a_fingerprint(one.name):
            yield Unjudged(resource=one.resource, path=one.path)
        return
    reason = secret_in(one.name, one.value) if isinstance(one.value, str) else None
    if reason is None:
        return
    named = f"“{one.name}” " if one.name and one.place is not Place.COMMAND else "a text here "
    yield Finding(
        resource=one.resource,
        path=one.path,
        message=f"{named}is readable by everybody who may see the resource, and it is taken for a secret: {reason}",
        setting=_SETTING[one.place],
    )


def _rule(place: Place, title: str, why: str, remediation: str) -> Rule:
    return family_rule("secrets", place.value, Severity.HIGH, title, why, remediation, judge=_judge(place))


RULES = (
    _rule(
        Place.ENVIRONMENT,
        "No secret is the value of a variable.",
        "Variables with a value are readable with `kubectl get`, `docker inspect`, in crash reports and "
        "in every rendered "
        "manifest.",
        "Refer to a Secret, or mount a file and set Immich's `_FILE` variable.",
    ),
    _rule(
        Place.CONFIGURATION,
        "No secret is in a ConfigMap.",
        "ConfigMaps are not encrypted at rest, and readable by everybody who may list them.",
        "Keep a file with secrets in it, such as Immich's configuration with `clientSecret`, in a Secret.",
    ),
    _rule(
        Place.METADATA,
        "No secret is in a label or an annotation.",
        "Labels and annotations are copied to metrics, events and logs.",
        "Remove it. To restart pods on a change put a fingerprint there.",
    ),
    _rule(
        Place.COMMAND,
        "No secret is among the arguments of a container.",
        "Arguments are in the process list of the host and in every description of the container.",
        "Use a file: `--token-file`, a configuration file of Valkey with `requirepass`.",
    ),
    _rule(
        Place.INPUT,
        "No secret is in another input that is not made for secrets.",
        "Such inputs are readable by everybody who may see the resource, and stand in plain state.",
        "Name a Secret instead of writing its value.",
    ),
)
