"""Continuous archive and daily base backups of a CloudNativePG database, by the barman-cloud plugin."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.fields.base import Section
from components.fields.schedule import MONTHS, WEEKDAYS, CronField
from components.model.values import ObjectName

_FIELDS = (
    CronField("second", 0, 59),
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of the month", 1, 31),
    CronField("month", 1, 12, MONTHS),
    CronField("day of the week", 0, 6, WEEKDAYS),
)


def check_six_field_cron(text: str) -> str:
    """A cron line with seconds first, as CloudNativePG reads it (robfig/cron: Sunday is 0, not 7).

    A five-field line would be read one field off and run every hour (mitchross/talos-argocd-proxmox).
    """
    fields = text.split()
    if len(fields) == 5:
        raise ValueError(
            f"CloudNativePG's schedule has six fields, seconds first; write '0 {' '.join(fields)}'"
        )
    if len(fields) != 6:
        raise ValueError("expected six fields: second minute hour day month weekday, such as '0 0 2 * * *'")
    for field, part in zip(_FIELDS, fields, strict=True):
        field.values(part)
    return " ".join(fields)


_INSIDE = (".svc", ".local", ".lan", ".internal", ".home.arpa")


def is_inside(authority: str) -> bool:
    """Whether a host, with or without port, is one of a private network: by its address, or by what its name says."""
    host = re.sub(r":[0-9]{1,5}\Z", "", authority) if not authority.endswith("]") else authority
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host or host.endswith(_INSIDE) or ".svc." in host


def is_clear_outside(url: str) -> bool:
    """Whether a web address sends what it is asked with in the clear over a public network."""
    return url.startswith("http://") and not is_inside(url.removeprefix("http://").partition("/")[0])


class ObjectStore(Section):
    """An S3-compatible store; its keys are `immich:backupAccessKeyId` and `immich:backupSecretAccessKey`."""

    name: ObjectName = ObjectName("immich-backup")
    """Name of the ObjectStore object."""
    destination_path: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$", examples=["s3://bucket/immich"]
    )
    """Bucket and folder: `s3://bucket/immich`."""
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/@?#\s]+$", examples=["https://s3.example.com"]
    )
    """Address of a store that is not AWS: `http://192.168.10.133:30293`."""
    compression: Literal["gzip", "bzip2", "snappy", "lz4", "none"] = "gzip"
    """Compression of WAL and data."""


class Archive(Section):
    """Continuous archive and base backups of a CloudNativePG database."""

    object_store: ObjectStore
    """Where they go."""
    schedule: str = "0 0 2 * * *"
    """Base backups: six cron fields, seconds first; the default is daily 02:00."""
    retention: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[dwm]$", examples=["30d", "4w", "6m"])] = "30d"
    """How long backups are kept: days, weeks or months."""
    server_name: ObjectName | None = None
    """Folder of the first lineage in the store; none is the cluster's name. An archive is never written twice."""
    immediate: bool = True
    """Make the first base backup at once."""

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        return check_six_field_cron(value)

    @model_validator(mode="after")
    def _plain_http_stays_inside(self) -> Self:
        url = self.object_store.endpoint_url
        if url is not None and is_clear_outside(url):
            raise ValueError(
                f"endpointUrl {url} sends the keys in the clear over a public network; use https"
            )
        return self
