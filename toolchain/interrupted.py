"""What a killed run leaves behind, and how the next one copes: its lock, and creations that nobody knows the end of.

The CLI keeps a lock in the backend while it works and notes in the state what it is about to create. A killed CLI
takes neither back: the next run stops at the lock, and, on a cluster, at objects that "already exist". Both can be
told from the real thing: the lock names the process, and the object to be created is named in the note.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain import half_made
from toolchain.deployment import Json, Resource, export, items, mapping, resources, restore
from toolchain.failure import ToolchainError
from toolchain.paths import ROOT
from toolchain.progress import warn

_FILE: Final = "file://"
_PROJECT: Final = "immich"
_CREATING: Final = "creating"
_RENDERS: Final = "renderYamlToDirectory"
_PLUGINS_END_WITHIN: Final = 10.0
"""Seconds from SIGTERM to SIGKILL."""


@dataclass(frozen=True)
class Lock:
    """Who works on a stack."""

    pid: int
    host: str
    since: str
    file: Path

    @property
    def stale(self) -> bool:
        """Whether its process has ended for certain: it ran on this machine and is no more."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return not _may_be_the_cli(self.pid)


def _may_be_the_cli(pid: int) -> bool:
    """Whether a living process can be the CLI; another program was given the number of one that ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # no /proc here, or not ours to read
    name, state = stat.partition("(")[2].rpartition(")")[0], stat.rpartition(")")[2].split()[0]
    return name.startswith("pulumi") and state not in "ZX"


def _backend(env: Mapping[str, str]) -> Path | None:
    """Where a backend of files keeps everything; None for another backend."""
    address = env.get("PULUMI_BACKEND_URL", "").partition("?")[0]
    if not address.startswith(_FILE):
        return None
    return Path(address.removeprefix(_FILE)).expanduser() / ".pulumi"


def locks(stack: str, env: Mapping[str, str]) -> list[Lock]:
    """The locks of a stack in a backend of files; none are seen in another backend."""
    backend = _backend(env)
    if backend is None:
        return []
    found: list[Lock] = []
    for file in sorted((backend / "locks" / "organization" / _PROJECT / stack).glob("*.json")):
        try:
            content = mapping(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # gone, or being written: not for us to judge
        pid = content.get("pid")
        if isinstance(pid, int):
            found.append(Lock(pid, str(content.get("hostname")), str(content.get("timestamp")), file))
    return found


def release_lock(stack: str, env: Mapping[str, str], cwd: Path = ROOT) -> None:
    """Take the lock of a killed run away; ToolchainError where somebody may still be at work."""
    held = locks(stack, env)
    if not held:
        return
    if living := [lock for lock in held if not lock.stale]:
        lock = living[0]
        raise ToolchainError(
            f"Another run works on the stack {stack}: process {lock.pid} on {lock.host}, since {lock.since}. Wait for "
            f'its end; if it is dead: eval "$(make -s env)" && pulumi cancel --yes --stack {stack}'
        )
    _end_plugins(cwd)
    _drop_torn_attributes(stack, env)
    for lock in held:
        # What `pulumi cancel` does, which needs a stack that exists: the kill may have come before that.
        lock.file.unlink(missing_ok=True)
        lock.file.with_name(f"{lock.file.name}.attrs").unlink(missing_ok=True)
    warn(f"an earlier run on the stack {stack} was killed: its lock is released")


def _end_plugins(project: Path) -> None:
    """End the plugins of a killed engine of this project, which would go on creating what the next run looks for.

    An official one was seen alive five minutes later. They work in the project's folder, and their parent is gone.
    """
    left = [process for process in _orphaned_plugins(project) if _signal(process, signal.SIGTERM)]
    for process in left:
        try:
            ended = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with os.fdopen(ended, "rb") as watched:
            if not select.select([watched], [], [], _PLUGINS_END_WITHIN)[0]:
                _signal(process, signal.SIGKILL)
    if left:
        warn(f"ended {len(left)} plugins that a killed run had left at work")


def _orphaned_plugins(project: Path) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            program = (folder / "cmdline").read_bytes()
            here = (folder / "cwd").readlink()
            parent = stat.rpartition(")")[2].split()[1]
            orphan = not Path(f"/proc/{parent}/comm").read_text(encoding="utf-8").startswith("pulumi")
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if b"pulumi-resource-" in program.split(b"\0")[0] and here == project and orphan:
            found.append(int(folder.name))
    return found


def _signal(process: int, number: signal.Signals) -> bool:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _drop_torn_attributes(stack: str, env: Mapping[str, str]) -> None:
    """Remove notes beside the state file that a kill left half written.

    The state itself is written at once, but its `.attrs` (content type, checksum) is not, and the CLI then ends with
    "failed to load checkpoint: EOF" although the state is whole. It does without the note (gocloud.dev, fileblob).
    """
    backend = _backend(env)
    if backend is None:
        return
    for file in (backend / "stacks" / _PROJECT).glob(f"{stack}.json*.attrs"):
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            file.unlink(missing_ok=True)


def repair(stack: str, state: Json, env: Mapping[str, str], cwd: Path = ROOT) -> Json:
    """Find out what became of creations that a killed run had begun and `state` notes, so that nothing is made twice.

    The state as it is afterwards.

    Each object is put into the state under the name that it was to get, and then read back: what is there stays, what
    is not leaves the state again.
    """
    deployment = mapping(state.get("deployment"))
    pending = [mapping(entry) for entry in items(deployment.get("pending_operations"))]
    if not pending:
        return state
    present = resources(state)
    known = {resource.urn for resource in present}
    files = frozenset(resource.urn for resource in present if _RENDERS in resource.inputs)
    objects = [found for entry in pending if (found := adoptable(entry, files)) is not None]
    adopted = [found for found in objects if found.urn not in known]
    # An update or a deletion is of a resource that the state has; reading it back ends the matter.
    changing = [entry for entry in pending if entry.get("type") != _CREATING]
    # Files of a rendering are not read back: the next update writes them as they should be.
    others = [entry for entry in changing if Resource(mapping(entry.get("resource"))).provider not in files]
    unclear = [entry for entry in pending if entry not in changing and not clear(entry)]
    repaired = {
        **deployment,
        "resources": [*items(deployment.get("resources")), *(found.state for found in adopted)],
        "pending_operations": [*others, *unclear],
    }
    warn(
        f"an earlier run on the stack {stack} was killed amid {len(pending)} operations: looking what became of them"
    )
    half_made.remove(stack, half_made.creations(pending), present, env)
    urns = [found.urn for found in adopted]
    urns += [urn for entry in others if (urn := Resource(mapping(entry.get("resource"))).urn) in known]
    _read_back(stack, state, {**state, "deployment": repaired}, urns, env=env, cwd=cwd)
    return export(stack, env, cwd) or {}


def adopt(
    stack: str, state: Json, found: Sequence[Resource], env: Mapping[str, str], cwd: Path = ROOT
) -> None:
    """Put resources that exist, each with its id, into the state; it stays as it was where they cannot be read."""
    deployment = mapping(state.get("deployment"))
    listed = [*items(deployment.get("resources")), *(one.state for one in found)]
    changed = {**state, "deployment": {**deployment, "resources": listed}}
    _read_back(stack, state, changed, [one.urn for one in found if one.flag("custom")], env=env, cwd=cwd)


def _read_back(
    stack: str, before: Json, changed: Json, urns: Sequence[str], *, env: Mapping[str, str], cwd: Path
) -> None:
    restore(stack, changed, env, cwd)
    if not urns:
        return
    try:
        targets = [option for urn in urns for option in ("--target", urn)]
        _call(["refresh", "--yes", "--skip-preview", "--stack", stack, *targets], env, cwd)
    except ToolchainError:
        # Nobody could be asked: what the state noted stays noted.
        restore(stack, before, env, cwd)
        raise


def clear(creation: Json) -> bool:
    """Whether a creation can be begun anew or its result found: objects have names, random values only a state."""
    return Resource(mapping(creation.get("resource"))).type.startswith(("random:", "kubernetes:", "docker:"))


def adoptable(operation: Json, files: frozenset[str] = frozenset()) -> Resource | None:
    """The object on a cluster, with the id that it was to get, whose creation an operation began; None for others.

    `files` are the URNs of providers that write manifests: those are simply written again.
    """
    resource = Resource(mapping(operation.get("resource")))
    if operation.get("type") != _CREATING or resource.provider in files:
        return None
    metadata = mapping(resource.inputs.get("metadata"))
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not resource.type.startswith("kubernetes:") or not isinstance(name, str):
        return None
    found = f"{namespace}/{name}" if isinstance(namespace, str) else name
    return Resource({**resource.state, "id": found})


def _call(arguments: list[str], env: Mapping[str, str], cwd: Path) -> None:
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolchainError(f"pulumi {arguments[0]} failed:\n{(done.stderr or done.stdout).strip()}")
