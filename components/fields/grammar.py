"""Texts with a grammar of Kubernetes' or of a container engine's: checked before an update, not in the middle of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from components.fields.base import TextValue
from components.model.values import AbsolutePath

_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
_LONGEST_SUBDOMAIN = 253
_MOST_ANNOTATIONS = 256 * 1024
_MOUNT_OPTION = re.compile(r"[A-Za-z0-9_.-]+(=[^\s,]+)?\Z")
_PASSWORD_OPTION = re.compile(r"(password\d?|pass|credentials|cred)=", re.IGNORECASE)


def each_once(items: tuple[object, ...]) -> tuple[object, ...]:
    """The items of a list; raises `ValueError` where one is there twice."""
    if len(set(items)) != len(items):
        raise ValueError(f"names something twice: {', '.join(map(str, items))}")
    return items


def _checked(fits: Callable[[str], bool], accepted: str) -> AfterValidator:
    def check(text: str) -> str:
        if not fits(text):
            raise ValueError(f"expected {accepted}")
        return text

    return AfterValidator(check)


def is_subdomain(text: str) -> bool:
    """Whether this is a DNS subdomain in lower case, of at most 253 characters."""
    return len(text) <= _LONGEST_SUBDOMAIN and _SUBDOMAIN.match(text) is not None


def is_qualified(text: str) -> bool:
    """Whether this is a name of Kubernetes: `name`, or `example.com/name`."""
    prefix, slash, name = text.rpartition("/")
    return _PART.match(name) is not None and (not slash or is_subdomain(prefix))


def _is_extended_resource(text: str) -> bool:
    prefix, _, _ = text.rpartition("/")
    return is_qualified(text) and bool(prefix) and not prefix.endswith("kubernetes.io")


ClassName = Annotated[
    str,
    Field(examples=["fast-ssd"]),
    _checked(is_subdomain, "a name of lower-case letters, digits, hyphens and dots, such as fast-ssd"),
]
"""Name of a RuntimeClass or PriorityClass."""
StorageClassName = Annotated[
    str,
    Field(examples=["fast-ssd"]),
    _checked(
        lambda text: text == "" or is_subdomain(text),
        'a name of lower-case letters, digits, hyphens and dots, such as fast-ssd, or "" for no class',
    ),
]
"""Name of a StorageClass; `""` asks for a volume that exists without one."""
QualifiedName = Annotated[
    str,
    Field(examples=["example.com/internal"]),
    _checked(
        is_qualified,
        "a name of letters, digits, - _ and ., with or without a domain, such as example.com/gpu",
    ),
]
"""Key of a label, an annotation or a taint; name of a load balancer's class."""
LabelValue = Annotated[
    TextValue,
    _checked(
        lambda text: text == "" or _PART.match(text) is not None,
        "the value of a label: at most 63 letters, digits, - _ and ., a letter or digit first and last",
    ),
]
"""Value of a label or a taint."""
ExtendedResource = Annotated[
    str,
    Field(examples=["nvidia.com/gpu"]),
    _checked(
        _is_extended_resource, "the name of an extended resource with its domain, such as nvidia.com/gpu"
    ),
]
"""What a device plugin hands out."""


def _small(given: Mapping[str, str]) -> Mapping[str, str]:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in given.items())
    if size > _MOST_ANNOTATIONS:
        raise ValueError(f"annotations have {size} bytes; the API server takes {_MOST_ANNOTATIONS} in all")
    return given


Annotations = Annotated[dict[QualifiedName, TextValue], AfterValidator(_small)]
"""Annotations of an object."""
Labels = dict[QualifiedName, LabelValue]
"""Labels that select or that an object has."""


def _mount_option(text: str) -> str:
    if _MOUNT_OPTION.match(text) is None or not text.isprintable():
        raise ValueError(
            "expected one option of mount, such as hard or nfsvers=4.2, without spaces and commas"
        )
    if _PASSWORD_OPTION.match(text):
        raise ValueError(
            "a password among options of a mount can be read by everybody; give credentialsSecret"
        )
    return text


MountOption = Annotated[str, Field(examples=["nfsvers=4.2"]), AfterValidator(_mount_option)]
"""One option of `mount`."""

_OF_THE_IMAGE = (
    "app", "backup", "bin", "boot", "build", "cache", "dev", "etc", "immich-config", "lib", "lib32", "lib64", "opt",
    "proc", "root", "run", "sbin", "stack", "sys", "tmp", "usr", "var",
)  # fmt: skip
"""First folders of the images, and those that this program mounts."""
_OF_THE_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr",
    "/var/run", "/var/tmp", "/var/lib/docker", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/rancher",
)  # fmt: skip
"""Folders of a host whose content is its system's, its engine's, or gone after a restart."""
_MOUNTED_IN_RUN = ("/run/media/", "/run/mount/")
_WHOLE = ("/home", "/opt", "/root", "/var", "/var/lib")
"""Folders that hold those of others."""


def _free_of_the_image(path: AbsolutePath) -> AbsolutePath:
    if ":" in path or "," in path:
        raise ValueError("expected a path without : and ,, which engines and Kubernetes read as separators")
    if path.split("/")[1] in _OF_THE_IMAGE:
        raise ValueError(f"{path} would hide a folder of the image or of this program; use /mnt/...")
    return path


MountPath = Annotated[AbsolutePath, AfterValidator(_free_of_the_image)]
"""Where a container sees something of ours, beside what its image has."""


def _a_folder_for_data(path: AbsolutePath) -> AbsolutePath:
    inside = any(path == one or path.startswith(f"{one}/") for one in _OF_THE_SYSTEM)
    if (inside and not path.startswith(_MOUNTED_IN_RUN)) or path in _WHOLE:
        raise ValueError(
            f"{path} belongs to the system of the host; give a folder for this data alone, such as /srv/immich"
        )
    if path.endswith(".sock"):
        raise ValueError(f"{path} is a socket; give a folder")
    return path


HostFolder = Annotated[AbsolutePath, AfterValidator(_a_folder_for_data)]
"""A folder of the host for data."""
