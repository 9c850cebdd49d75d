"""The task that gives Immich its administrator, people, libraries and keys, before any door opens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.fields.resources import Resources
from components.model.connection import Connection
from components.model.secret_text import SecretText
from components.model.task import BACKUP_FOLDER, Task
from components.model.values import Quantity
from components.model.workload import ConfigFiles, Link, Scratch, SecretFiles, Workload
from components.platform.base import Platform
from components.secrets.component import Secrets
from components.server.component import image
from components.server.settings import Server
from components.setup.plan import (
    API_KEY,
    FOLDER,
    PASSWORD,
    SECRET,
    keys,
    password,
    plan,
    published_keys,
    script,
    secret,
    told,
    value,
)
from components.setup.settings import Setup as SetupSettings
from components.sizing import resources

NAME = "setup"
_FILES = "/etc/immich-setup"
_AFTER_START = 600
"""Seconds that the work itself may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupArgs:
    """What `Setup` is made of."""

    platform: Platform
    """Where it runs."""
    settings: SetupSettings
    """Who and what shall be in Immich, as the section `immich:setup` has it, with an administrator."""
    server: Link
    """`Server.link`."""
    server_settings: Server
    """Its image has what the script needs: Node.js with `fetch`, and psql."""
    database: Connection
    """`Database.connection`."""
    secrets: Secrets
    """`administratorPassword` and `setupApiKey` are among them."""
    after: tuple[pulumi.Resource, ...]
    """`Server.ready`."""


class Setup(pulumi.ComponentResource):
    """Administrator, people, libraries and API keys in Immich. Where it refuses, the update fails with its own words.

    On a cluster: a Job with its secrets.
    On a host: a container that runs once.
    """

    ready: pulumi.Resource
    """What ways in wait for."""
    outputs: Mapping[str, object]
    """Outputs of a stack: what there is, and, as secrets, passwords and keys."""

    def __init__(self, name: str, args: SetupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Setup", name, {}, opts)
        platform, secrets, setup = args.platform, args.secrets, args.settings
        platform.publish(secret(setup), secrets.values, parent=self)
        platform.publish(published_keys(setup), secrets.values, parent=self)
        self.ready = platform.task(
            task(args, f"http://{platform.address(args.server.to)}:{args.server.port}"),
            parent=self,
            after=args.after,
            fingerprints=secrets.fingerprints((API_KEY, PASSWORD, *args.database.secrets)),
        )
        self.outputs = {
            "setup": self.ready.urn.apply(lambda _: told(setup)),
            **_secret_outputs(setup, secrets),
        }
        self.register_outputs({})


def task(args: SetupArgs, server: str) -> Task:
    """One step in the server's image; `server` is Immich's address. It runs again when what it reads changes."""
    settings = args.server_settings
    wait = settings.startup_budget.seconds
    files = {"setup.mjs": script(), "plan.json": plan(args.settings, server=server, wait=wait)}
    step = Workload(
        name=NAME,
        image=image(settings),
        resources=resources("setup", Resources()),
        user=settings.user,
        group=settings.group,
        command=("node", f"{_FILES}/setup.mjs", f"{_FILES}/plan.json"),
        env=args.database.env,
        mounts=(
            *args.database.mounts,
            SecretFiles(
                secret=SECRET, path=FOLDER, items={item: item for item in secret(args.settings).items}
            ),
            ConfigFiles(name=NAME, path=_FILES, files=files),
            # One step has nobody to tell anything: what it leaves there ends with it.
            Scratch(path=BACKUP_FOLDER, size=Quantity("1Mi")),
        ),
        links=(args.server, *((args.database.link,) if args.database.link is not None else ())),
        egress=args.database.egress,
        exclusive=True,
        revision={NAME: hashlib.sha256("".join(files.values()).encode()).hexdigest()[:16]},
    )
    return Task(name=NAME, steps=(step,), deadline=wait + _AFTER_START, follows_secrets=True, tells=True)


def _secret_outputs(setup: SetupSettings, secrets: Secrets) -> dict[str, object]:
    def resolved(text: SecretText) -> pulumi.Output[str]:
        return pulumi.Output.secret(secrets.values(text.keys).apply(text.resolve))

    found: dict[str, object] = {}
    if (first := secrets.value(PASSWORD)) is not None:
        found["administratorPassword"] = first
    if secrets.value(API_KEY) is None:
        return found
    found["apiKeys"] = {str(key.name): resolved(value(key)) for key in keys(setup)}
    passwords = {one.email: password(setup, one) for one in setup.people}
    if any(passwords.values()):
        found["peoplePasswords"] = {
            str(email): resolved(text) for email, text in passwords.items() if text is not None
        }
    return found
