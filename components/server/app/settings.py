"""The settings section `immich:app`: Immich's own configuration file, typed.

What the user sets here, and what other settings imply, becomes the file that IMMICH_CONFIG_FILE names; Immich
puts its own defaults under it. While such a file is there, the administration pages only show these settings.
The defaults of the models are those of Immich 3.2; they are for rules between settings and for the reference,
and are not rendered.

Source of keys, defaults and ranges: system-config.dto.ts, model-config.dto.ts and config.ts of Immich, and
AdminConfigDto of its SDK 3.2.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self, cast

from pydantic import Field, model_validator

from components.fields.base import Section
from components.fields.urls import HttpUrl
from components.server.app.access import AppOAuth, AppPasswordLogin, AppServer, oauth_redirect_uris
from components.server.app.machine_learning import AppMachineLearning
from components.server.app.mail import AppNotifications, AppTemplates
from components.server.app.media import AppFfmpeg, AppImage
from components.server.app.secrets import SECRET_FIELDS, hide_secrets, with_secrets
from components.server.app.tasks import (
    AppBackup,
    AppIntegrityChecks,
    AppJob,
    AppLibrary,
    AppLogging,
    AppNewVersionCheck,
    AppNightlyTasks,
    AppTrash,
    AppUser,
)
from components.server.app.template import StorageTemplatePath
from components.server.app.values import Flag

__all__ = [
    "SECRET_FIELDS",
    "AppConfig",
    "AppConfigConflictError",
    "Conflict",
    "oauth_redirect_uris",
    "required_secrets",
    "with_secrets",
]

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class AppMap(Section):
    """The map."""

    enabled: Flag = True
    """Whether there is a map."""
    light_style: HttpUrl = HttpUrl("https://tiles.immich.cloud/v1/style/light.json")
    """URL of the style of the light map; browsers load it and the tiles it names."""
    dark_style: HttpUrl = HttpUrl("https://tiles.immich.cloud/v1/style/dark.json")
    """URL of the style of the dark map; browsers load it and the tiles it names."""


class Faces(Section):
    """Faces in metadata."""

    import_: Flag = Field(default=False, alias="import")
    """Whether faces that other programs marked in EXIF or XMP are taken over."""


class AppMetadata(Section):
    """Metadata of photos."""

    faces: Faces = Field(default_factory=Faces)
    """Faces in metadata."""


class AppReverseGeocoding(Section):
    """Names of places from coordinates, without any service outside."""

    enabled: Flag = True
    """Whether places are named."""


class AppStorageTemplate(Section):
    """Where originals are kept under `library/<user>`."""

    enabled: Flag = False
    """Whether originals are moved to the place that the template gives; else they stay in `upload`."""
    hash_verification_enabled: Flag = True
    """Whether each moved file is compared with its checksum."""
    template: StorageTemplatePath = StorageTemplatePath("{{y}}/{{y}}-{{MM}}-{{dd}}/{{filename}}")
    """The place: a path with tokens in double braces. A change moves old photos only by the migration job."""


class AppTheme(Section):
    """Appearance."""

    custom_css: str = ""
    """CSS that is added to every page."""


@dataclass(frozen=True)
class Conflict:
    """A key that the user and another setting give different values."""

    path: str
    """The key in Immich's names, with dots."""
    given: object
    """What the user set in `immich:app`."""
    implied: object
    """What the other settings imply."""


class AppConfigConflictError(ValueError):
    """`immich:app` says something else than the other settings; `conflicts` has every such key."""

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        self.conflicts = conflicts
        super().__init__("\n".join(
            f"immich:app.{conflict.path} is {_shown(conflict.given)}, but the other settings imply "
            f"{_shown(conflict.implied)}: remove it from immich:app, or change the setting that implies it"
            for conflict in conflicts
        ))  # fmt: skip


class AppConfig(Section):
    """Immich's own configuration: only what is set here is written, the rest is Immich's default."""

    backup: AppBackup = Field(default_factory=AppBackup)
    """Backups that Immich makes itself."""
    ffmpeg: AppFfmpeg = Field(default_factory=AppFfmpeg)
    """Transcoding of videos."""
    image: AppImage = Field(default_factory=AppImage)
    """Generated images."""
    integrity_checks: AppIntegrityChecks = Field(default_factory=AppIntegrityChecks)
    """Checks of the files against the database."""
    job: AppJob = Field(default_factory=AppJob)
    """Background jobs."""
    library: AppLibrary = Field(default_factory=AppLibrary)
    """External libraries."""
    logging: AppLogging = Field(default_factory=AppLogging)
    """Logging."""
    machine_learning: AppMachineLearning = Field(default_factory=AppMachineLearning)
    """Machine learning as the server sees it."""
    map: AppMap = Field(default_factory=AppMap)
    """The map."""
    metadata: AppMetadata = Field(default_factory=AppMetadata)
    """Metadata of photos."""
    new_version_check: AppNewVersionCheck = Field(default_factory=AppNewVersionCheck)
    """The check for new versions."""
    nightly_tasks: AppNightlyTasks = Field(default_factory=AppNightlyTasks)
    """Tasks that run once a night."""
    notifications: AppNotifications = Field(default_factory=AppNotifications)
    """Notifications by mail."""
    oauth: AppOAuth = Field(default_factory=AppOAuth)
    """Sign-in through an OpenID Connect provider."""
    password_login: AppPasswordLogin = Field(default_factory=AppPasswordLogin)
    """Sign-in by password."""
    reverse_geocoding: AppReverseGeocoding = Field(default_factory=AppReverseGeocoding)
    """Names of places."""
    server: AppServer = Field(default_factory=AppServer)
    """The server as people see it."""
    storage_template: AppStorageTemplate = Field(default_factory=AppStorageTemplate)
    """Where originals are kept."""
    templates: AppTemplates = Field(default_factory=AppTemplates)
    """Texts of mails."""
    theme: AppTheme = Field(default_factory=AppTheme)
    """Appearance."""
    trash: AppTrash = Field(default_factory=AppTrash)
    """The trash."""
    user: AppUser = Field(default_factory=AppUser)
    """User accounts."""

    @model_validator(mode="before")
    @classmethod
    def _hide_secrets(cls, data: object) -> object:
        return hide_secrets(data)

    @model_validator(mode="after")
    def _someone_can_sign_in(self) -> Self:
        if not self.password_login.enabled and not self.oauth.enabled:
            raise ValueError(
                "passwordLogin.enabled is false and oauth.enabled is not true: nobody could sign in, "
                "the administrator included; set up oauth first, or leave passwordLogin.enabled on"
            )
        return self

    @property
    def required_secrets(self) -> frozenset[str]:
        """The secret config keys without which what is turned on here cannot work."""
        smtp = self.notifications.smtp
        needed = {
            "oauthClientSecret": self.oauth.enabled,
            "smtpPassword": smtp.enabled and smtp.transport.username != "",
        }
        return frozenset(key for key, need in needed.items() if need)

    @property
    def watches_libraries(self) -> bool:
        """Whether external libraries are watched for changes."""
        return self.library.watch.enabled

    @property
    def acceleration(self) -> str | None:
        """`ffmpeg.accel` where the user set it, else None."""
        return self.ffmpeg.accel if "accel" in self.ffmpeg.model_fields_set else None

    @property
    def machine_learning_urls(self) -> tuple[str, ...] | None:
        """`machineLearning.urls` where the user set it, else None."""
        return self.machine_learning.urls if "urls" in self.machine_learning.model_fields_set else None

    @property
    def dumps_itself(self) -> bool | None:
        """`backup.database.enabled` where the user set it, else None."""
        own = self.backup.database
        return own.enabled if "enabled" in own.model_fields_set else None

    def render(self, overrides: Mapping[str, object] = _NOTHING) -> dict[str, object]:
        """The file's content in Immich's names, sorted by key, without secrets: what is set and nothing else.

        `overrides` is what other settings imply, nested, in Immich's names and as this function gives it.
        Raises `AppConfigConflictError` where the user set something else, and `pydantic.ValidationError`
        where the result would not be accepted in `immich:app`.
        """
        conflicts: list[Conflict] = []
        merged = _merge(_written(self), overrides, "", conflicts)
        if conflicts:
            raise AppConfigConflictError(tuple(conflicts))
        return _written(AppConfig.model_validate(merged))


def required_secrets(app: AppConfig) -> frozenset[str]:
    """`AppConfig.required_secrets`, as a function."""
    return app.required_secrets


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _written(app: AppConfig) -> dict[str, object]:
    """What was set, in Immich's names."""
    return _tidy(app.model_dump(mode="json", by_alias=True, exclude_unset=True))


def _tidy(tree: Mapping[str, object]) -> dict[str, object]:
    """The tree sorted by key, without sections in which nothing is set."""
    result: dict[str, object] = {}
    for key, value in sorted(tree.items()):
        tidied: object = _tidy(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else value
        if tidied != {}:
            result[key] = tidied
    return result


def _merge(
    given: Mapping[str, object], implied: Mapping[str, object], path: str, conflicts: list[Conflict]
) -> dict[str, object]:
    """Both trees as one; where both have a value and they differ, a conflict is added."""
    result = dict(given)
    for key, value in implied.items():
        here = f"{path}{key}"
        wanted: object = list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
        present = result.get(key)
        if key not in result:
            result[key] = wanted
        elif isinstance(present, Mapping) and isinstance(wanted, Mapping):
            sections = cast("Mapping[str, object]", present), cast("Mapping[str, object]", wanted)
            result[key] = _merge(*sections, f"{here}.", conflicts)
        elif present != wanted:
            conflicts.append(Conflict(here, result[key], wanted))
    return result
