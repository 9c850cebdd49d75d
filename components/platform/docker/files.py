"""Files and owners before a container starts: a loader copies its uploads into volumes and ends. Pure.

Files cannot be put into a container whose root is read-only, and a folder that holds one is no volume that another may
read. The loader has both; on Docker and on Podman.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.model.workload import ConfigFiles, SecretFiles, Storage, Workload
from components.platform.docker.containers import Folder, add_folder, container_name
from components.platform.docker.objects import Inputs, labelled
from components.platform.docker.options import DockerPlatformArgs

_STAGING = "/staging"
_TARGET = "/target"
_DATA = "/data"
_MARK = ".immich-volume"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSet:
    """Files that a container reads, in a volume of their own."""

    volume: str
    """Name of the volume on the engine."""
    path: str
    """Where the container has it."""
    contents: Mapping[str, Any]
    """File name -> text, which may be an output."""


def file_volume(workload: Workload, mount: SecretFiles | ConfigFiles, options: DockerPlatformArgs) -> str:
    """Name of the volume with the files of a mount; what one container may read is in no volume of another."""
    name = mount.secret if isinstance(mount, SecretFiles) else mount.name
    kind = "secret" if isinstance(mount, SecretFiles) else "config"
    return f"{options.prefix}-{workload.name}-{kind}-{name}"


def volume(file_set: FileSet, options: DockerPlatformArgs) -> Inputs:
    """Such a volume; it can be filled again at any time."""
    return {
        "name": file_set.volume,
        "driver": "local",
        "labels": labelled({"immich.stack": options.stack}),
    }


def owned(workload: Workload, folders: Mapping[str, Folder]) -> list[tuple[Storage, Folder]]:
    """Mounts that the container writes to, and that may come up as root's."""
    return [
        (mount, folders[mount.volume])
        for mount in workload.mounts
        if isinstance(mount, Storage) and not mount.read_only
    ]


def loader(
    workload: Workload,
    file_sets: Sequence[FileSet],
    writable: Sequence[tuple[Storage, Folder]],
    image: Any,
    options: DockerPlatformArgs,
) -> Inputs:
    """The loader's container: root, since it gives files away, and with no right but that; no network."""
    uploads: list[Inputs] = []
    mounts: list[Inputs] = []
    labelled_folders: list[Inputs] = []
    for index, one in enumerate(file_sets):
        mounts.append(
            {
                "type": "volume",
                "source": one.volume,
                "target": f"{_TARGET}/{index}",
                "readOnly": False,
            }
        )
        uploads += [
            {"file": f"{_STAGING}/{index}/{name}", "content": text} for name, text in one.contents.items()
        ]
    for index, (_, folder) in enumerate(writable):
        target = f"{_DATA}/{index}"
        add_folder(folder, target, mounts, labelled_folders, read_only=False, selinux=options.selinux)
    text = script(workload, len(file_sets), writable)
    inputs: Inputs = {
        "name": container_name(f"{workload.name}-files", options),
        "image": image,
        "entrypoints": ["/bin/sh", "-c"],
        "command": [text],
        "user": "0:0",
        "networkMode": "none",
        "capabilities": {"drops": ["ALL"], "adds": ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]},
        "securityOpts": ["no-new-privileges:true"],
        "memory": 64,
        "memorySwap": 64,
        "restart": "no",
        "mustRun": False,
        # The container that reads the files starts once they are there.
        "attach": True,
        "logDriver": options.log_driver,
        "logOpts": dict(options.log_options),
        "labels": labelled({"immich.stack": options.stack, "immich.workload": f"{workload.name}-files"}),
    }
    if uploads:
        inputs["uploads"] = uploads
    if mounts:
        inputs["mounts"] = mounts
    if labelled_folders:
        inputs["volumes"] = labelled_folders
    return inputs


def script(workload: Workload, file_sets: int, writable: Sequence[tuple[Storage, Folder]]) -> str:
    """What the loader does. A folder with anything in it is never touched: who owns photos is not for us to change.

    A volume gets a file of ours, since engines give an empty one the owner that the image's folder has; to forbid that
    by an option fails with the provider on engines older than 26.
    """
    owner = shlex.quote(f"{workload.user}:{workload.group}")
    lines = ["set -eu", "umask 027"]
    for index in range(file_sets):
        source, target = f"{_STAGING}/{index}", f"{_TARGET}/{index}"
        # Renamed into place: whoever reads at this moment has the old file or the new one.
        lines += [
            # One command a line: of `a && b` the shell forgives a failing `a`.
            f"rm -rf {target}/.new",
            f"mkdir {target}/.new",
            f"cp {source}/* {target}/.new/",
            f"chown 0:{workload.group} {target}/.new/* {target}",
            f"chmod 0440 {target}/.new/*",
            f"chmod 0750 {target}",
            f"mv -f {target}/.new/* {target}/",
            f"rmdir {target}/.new",
            f"for old in {target}/*; do",
            f'    [ -e "{source}/${{old##*/}}" ] || rm -f "$old"',
            "done",
        ]
    for index, (_, folder) in enumerate(writable):
        target = f"{_DATA}/{index}"
        others = f"-mindepth 1 -not -name lost+found -not -name {_MARK}"
        empty = f'[ -z "$(find {target} -maxdepth 1 {others} | head -n 1)" ]'
        lines += [
            f'if {empty} && [ "$(stat -c %u:%g {target})" != {owner} ]; then',
            f"    chown {owner} {target}",
            f"    chmod 0750 {target}",
            "fi",
        ]
        if folder.path is None:
            lines += [f"[ -e {target}/{_MARK} ] || : > {target}/{_MARK}"]
    return "\n".join(lines)
