"""Continuous archive and daily base backups of a CloudNativePG database, by the barman-cloud plugin."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.settings.base import Section
from components.values import ObjectName

_FIELD_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_ALIAS = re.compile(r"[a-z]{3}")


def check_six_field_cron(text: str) -> str:
    """A cron line with seconds first, as CloudNativePG reads it.

    A five-field line would be read one field off and run every hour (mitchross/talos-argocd-proxmox).
    """
    fields = text.split()
    if len(fields) == 5:
        raise ValueError(f"CloudNativePG's schedule has six fields, seconds first; write '0 {text}'")
    if len(fields) != 6:
        raise ValueError("expected six fields: second minute hour day month weekday, such as '0 0 2 * * *'")
    for field, (low, high) in zip(fields, _FIELD_RANGES, strict=True):
        for part in field.split(","):
            match = re.fullmatch(r"(\*|\d{1,2}|[A-Za-z]{3})(?:-(\d{1,2}|[A-Za-z]{3}))?(?:/(\d{1,2}))?", part)
            if match is None:
                raise ValueError(f"the cron field {field!r} is not readable")
            numbers = [int(value) for value in match.groups()[:2] if value is not None and value.isdigit()]
            if any(not low <= value <= high for value in numbers) or match.group(3) == "0":
                raise ValueError(f"the cron field {field!r} is out of its range {low}-{high}")
    return text


class ObjectStore(Section):
    """An S3-compatible store; its keys are `immich:backupAccessKeyId` and `immich:backupSecretAccessKey`."""

    name: ObjectName = ObjectName("immich-backup")
    """Name of the ObjectStore object."""
    destination_path: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$")
    """Bucket and folder: `s3://bucket/immich`."""
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    """Address of a store that is not AWS: `http://192.168.10.133:30293`."""
    compression: Literal["gzip", "bzip2", "snappy", "lz4", "none"] = "gzip"
    """Compression of WAL and data."""


class Backup(Section):
    """Backups of the database to an object store."""

    object_store: ObjectStore
    """Where they go."""
    schedule: str = "0 0 2 * * *"
    """Base backups: six cron fields, seconds first; the default is daily 02:00."""
    retention: Annotated[str, Field(pattern=r"^[1-9][0-9]*[dwm]$")] = "30d"
    """How long backups are kept: days, weeks or months."""
    server_name: ObjectName | None = None
    """Folder of this lineage in the store; none is the cluster's name. An archive is never written twice."""
    immediate: bool = True
    """Make the first base backup at once."""

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        return check_six_field_cron(value)

    @model_validator(mode="after")
    def _plain_http_stays_inside(self) -> Self:
        url = self.object_store.endpoint_url
        if url is not None and url.startswith("http://"):
            host = url.removeprefix("http://").rsplit(":", 1)[0]
            if not re.fullmatch(
                r"10\..*|192\.168\..*|172\.(1[6-9]|2\d|3[01])\..*|[a-z0-9.-]+\.(svc|local|lan|internal)(\..*)?|[a-z0-9-]+",
                host,
            ):
                raise ValueError(
                    f"endpointUrl {url} sends the keys in the clear over a public network; use https"
                )
        return self
