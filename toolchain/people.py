"""Who and what is in Immich, asked of its API, and how that differs from the section `immich:setup`.

`python -m toolchain.people STACK` prints what is there and not in the file, as settings for it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from components.model.values import Bytes
from components.setup.settings import Person, Setup
from toolchain.deployment import items, mapping
from toolchain.failure import ToolchainError, exit_with
from toolchain.verify.checks.doors import site
from toolchain.verify.opening import open_target
from toolchain.verify.running import RunningError
from toolchain.verify.target import VARIABLE, Options, Target
from toolchain.verify.wire import WireError

Json = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class There:
    """Who and what is in Immich."""

    people: Mapping[str, Json]
    """By address, those in the trash as well."""
    libraries: Sequence[Json]

    def owner(self, library: Json) -> str:
        """The address of a library's owner."""
        return next(
            (email for email, one in self.people.items() if one.get("id") == library.get("ownerId")), "?"
        )


def there(target: Target) -> There:
    """By the first door that answers. The key is sent to no door without a valid certificate. `RunningError`."""
    key = target.options.api_key
    if key is None:
        raise RunningError(f"{target.options.api_key_variable} is not set")
    reason = f"the stack {target.stack} has no door"
    for door in target.doors:
        answers: list[object] = []
        try:
            for path in ("/api/admin/users?withDeleted=true", "/api/libraries"):
                answer = target.wire.request(
                    site(target, door), path, method="GET", headers={"x-api-key": key}, trust=True
                )
                if answer.status != 200:
                    raise RunningError(
                        f"{door.url}{path}: {answer.status} {answer.text} (the key needs adminUser.read, library.read)"
                    )
                answers.append(json.loads(answer.body))
        except (WireError, ValueError) as error:
            reason = f"{door.url}: {error}"
            continue
        people, libraries = ([mapping(one) for one in items(found)] for found in answers)
        return There(people={str(one["email"]): one for one in people}, libraries=libraries)
    raise RunningError(reason)


def drift(setup: Setup, now: There) -> Iterator[str]:
    """How Immich differs from the file, a line each; nothing where it does not."""
    for one in setup.everybody:
        found = now.people.get(one.email)
        if found is None or found.get("deletedAt"):
            yield f"person {one.email}: {'is not there' if found is None else 'is in the trash'}"
            continue
        wanted: dict[str, object] = {"name": one.name}
        wanted |= {} if one.quota is None else {"quotaSizeInBytes": int(one.quota.amount)}
        wanted |= {} if one.storage_label is None else {"storageLabel": one.storage_label}
        wanted["isAdmin"] = one.administrator if isinstance(one, Person) else True
        yield from _differences(f"person {one.email}", wanted, found)
    for library in setup.libraries:
        named = [one for one in now.libraries if one.get("name") == library.name]
        if not named:
            yield f"library {library.name}: is not there"
            continue
        if (owner := now.owner(named[0])) != library.owner:
            yield f"library {library.name}: owner is {owner}, not {library.owner}"
        lists = {"importPaths": library.import_paths, "exclusionPatterns": library.exclusion_patterns}
        yield from _differences(
            f"library {library.name}",
            {name: [str(one) for one in given] for name, given in lists.items()},
            named[0],
        )
    for email in _strangers(setup, now):
        yield f"person {email}: is not in the file"
    for one in _strange_libraries(setup, now):
        yield f"library {one.get('name')}: is not in the file"


def _differences(who: str, wanted: Mapping[str, object], found: Json) -> Iterator[str]:
    for name, value in wanted.items():
        if found.get(name) != value:
            yield f"{who}: {name} is {json.dumps(found.get(name))}, not {json.dumps(value)}"


def _strangers(setup: Setup | None, now: There) -> list[str]:
    known = {str(one.email) for one in setup.everybody} if setup is not None else set[str]()
    return [email for email, one in now.people.items() if email not in known and not one.get("deletedAt")]


def _strange_libraries(setup: Setup | None, now: There) -> list[Json]:
    known = {one.name for one in setup.libraries} if setup is not None else set[str]()
    return [one for one in now.libraries if one.get("name") not in known]


def adopted(setup: Setup | None, now: There) -> dict[str, object]:
    """What is there and not in the file, as settings of `immich:setup`; empty where there is nothing."""
    people = [_settings(now.people[email]) for email in _strangers(setup, now)]
    found: dict[str, object] = {}
    if setup is None or setup.administrator is None:
        first = next((one for one in people if one.get("administrator")), None)
        if first is not None:
            people.remove(first)
            found["administrator"] = {name: value for name, value in first.items() if name != "administrator"}
    if people:
        found["people"] = people
    if libraries := _strange_libraries(setup, now):
        found["libraries"] = [
            {
                "name": one.get("name"),
                "owner": now.owner(one),
                "importPaths": one.get("importPaths"),
                "exclusionPatterns": one.get("exclusionPatterns"),
            }
            for one in libraries
        ]
    return found


def _settings(person: Json) -> dict[str, object]:
    found: dict[str, object] = {"email": person.get("email"), "name": person.get("name")}
    if person.get("isAdmin"):
        found["administrator"] = True
    quota = person.get("quotaSizeInBytes")
    if isinstance(quota, int) and quota >= 1024:
        found["quota"] = str(Bytes.of(quota))
    if person.get("storageLabel"):
        found["storageLabel"] = person["storageLabel"]
    return found


def main() -> int:
    """`python -m toolchain.people STACK`. ToolchainError where Immich does not tell."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m toolchain.people",
        description="People and external libraries that are in Immich and not in the stack's file, as settings.",
    )
    parser.add_argument("stack", help="its settings are in Pulumi.STACK.yaml")
    parser.add_argument("--connect", action="append", default=[], metavar="HOST:PORT=HOST:PORT")
    given = parser.parse_args(sys.argv[1:])
    from toolchain.verify.__main__ import connections

    target = open_target(given.stack, Options(), connections(given.connect))
    try:
        found = there(target)
    except RunningError as error:
        raise ToolchainError(
            f"{error}. Give a key of an administrator in ${VARIABLE} (Account Settings > API Keys, permissions "
            "adminUser.read and library.read)"
        ) from None
    settings = adopted(target.settings.setup, found)
    if not settings:
        print(f"# all that is in Immich is in Pulumi.{given.stack}.yaml")
        return 0
    print(yaml.safe_dump({"config": {"immich:setup": settings}}, sort_keys=False, allow_unicode=True), end="")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exit_with(main)
