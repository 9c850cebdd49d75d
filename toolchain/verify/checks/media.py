"""What the server's container has of the host: the device that transcodes, external libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from components.storage.settings import ExternalLibrary
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import RunningError, Unit, unit_of
from toolchain.verify.target import Target, transcoder

_DEVICES: Final[Mapping[str, str]] = {
    "nvenc": "/dev/nvidia[0-9]*",
    "qsv": "/dev/dri/renderD*",
    "vaapi": "/dev/dri/renderD*",
    "rkmpp": "/dev/mpp_service",
}
"""What must be there for a kind of transcoding (docker/hwaccel.transcoding.yml of immich-app/immich)."""
_LOOK: Final = """for one in $0; do
  [ -e "$one" ] || continue
  if [ -r "$one" ] && [ -w "$one" ]; then echo "$one open"; else echo "$one closed"; fi
done"""
_FIRST: Final = 'ls -UA "$0" | head -n 1'


def device(target: Target) -> list[Check]:
    """The transcoding device is there and open to the server's user."""
    kind, name, about = target.settings.server.acceleration, "device", "transcoding"
    if kind == "disabled":
        return []
    unit = unit_of(target.running.units(), transcoder(target.settings))
    if unit is None or unit.state != "running":
        return [unchecked(name, about, f"{transcoder(target.settings)} does not run")]
    pattern = _DEVICES[kind]
    _, output = target.running.run(unit, ["sh", "-c", _LOOK, pattern])
    found = [line.rpartition(" ") for line in output.splitlines() if line.startswith("/dev/")]
    expected = f"{pattern} in {unit.name}, readable and writable"
    if not found:
        fix = "Driver and container toolkit of the host; docs/docker.md, GPU, says what each kind needs"
        return [failed(name, about, f"{kind} is asked for and no {pattern} is there", expected, fix)]
    if closed := [one for one, _, access in found if access != "open"]:
        fix = "immich:server.gpu.groups: the numbers of the host's groups video and render (immich#14050)"
        return [failed(name, about, f"{', '.join(closed)} is closed to its user", expected, fix)]
    return [passed(name, about, f"{kind}: {', '.join(one for one, _, _ in found)} in {unit.name}")]


def libraries(target: Target) -> list[Check]:
    """Each external library is mounted, as the settings have it, and not empty."""
    wanted = target.settings.storage.external_libraries
    if not wanted:
        return []
    unit = unit_of(target.running.units(), transcoder(target.settings))
    if unit is None or unit.state != "running":
        why = f"{transcoder(target.settings)} does not run"
        return [unchecked("mounted", f"library {one.name}", why) for one in wanted]
    _, mounts = target.running.run(unit, ["cat", "/proc/mounts"])
    found: list[Check] = []
    for one in wanted:
        found += _library(target, unit, one, mounted(mounts))
    return found


def mounted(text: str) -> dict[str, frozenset[str]]:
    """Path -> options, of /proc/mounts; where one is mounted over another the last counts."""
    found: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 4:
            found[parts[1].replace("\\040", " ")] = frozenset(parts[3].split(","))
    return found


def _library(
    target: Target, unit: Unit, library: ExternalLibrary, mounts: Mapping[str, frozenset[str]]
) -> list[Check]:
    about, path = f"library {library.name}", str(library.mount_path)
    options = mounts.get(path)
    if options is None:
        fix = f"Run `make up STACK={target.stack}`"
        return [failed("mounted", about, f"{path} is no mount in {unit.name}", f"a mount at {path}", fix)]
    checks = [passed("mounted", about, f"{path} in {unit.name}")]
    if library.read_only:
        if "ro" in options:
            checks.append(passed("read-only", about, "mounted read-only"))
        else:
            fix = f"Run `make up STACK={target.stack}`: somebody made it writable, and Immich could delete originals"
            checks.append(failed("read-only", about, f"{path} is writable", "mounted read-only", fix))
    return [*checks, _not_empty(target, unit, about, path)]


def _not_empty(target: Target, unit: Unit, about: str, path: str) -> Check:
    name, expected = "not-empty", f"files in {path}"
    fix = (
        "Is the share mounted on the host, and is it the right folder? Do not scan before it is: Immich would take "
        "every photo of it for deleted (immich#17290)"
    )
    try:
        code, output = target.running.run(unit, ["sh", "-c", _FIRST, path])
    except RunningError as error:
        return unchecked(name, about, str(error))
    if code == 124:
        return failed(name, about, f"{path} does not answer: the share hangs", expected, fix)
    if "ermission denied" in output:
        wanted = f"{target.settings.server.user}:{target.settings.server.group}"
        return failed(
            name, about, output.strip()[:200], f"readable by {wanted}", "Give its user the right to read it"
        )
    if not output.strip():
        return failed(name, about, f"{path} is empty", expected, fix)
    return passed(name, about, f"there are files, such as {output.strip().splitlines()[0][:80]}")
