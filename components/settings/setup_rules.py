"""Rules about Immich itself as code: what other sections must have for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.fields.finding import Finding, Rule
from components.proxy.settings import refuses

if TYPE_CHECKING:
    from components.proxy.settings import Proxy
    from components.server.app.settings import AppConfig
    from components.setup.settings import Setup
    from components.storage.settings import Storage


def closed(proxy: Proxy, setup: Setup) -> Proxy:
    """The section `proxy` as it is where a person makes the first administrator: no door lets anybody do so."""
    if setup.administrator is not None or proxy.maintenance != "lan":
        return proxy
    return proxy.model_copy(update={"maintenance": "nowhere"})


def libraries_are_mounted(setup: Setup | None, storage: Storage) -> Iterator[Finding]:
    """Immich refuses a folder that its containers do not have."""
    mounted = [str(one.mount_path) for one in storage.external_libraries]
    for index, library in enumerate(setup.libraries if setup is not None else ()):
        for path in library.import_paths:
            if not any(f"{path}/".startswith(f"{one}/") for one in mounted):
                yield Finding(
                    key=f"setup.libraries[{index}].importPaths",
                    given=path,
                    reason="is in no external library that the server mounts: "
                    f"storage.externalLibraries has {', '.join(mounted) or 'none'}",
                    hint="add it to storage.externalLibraries with this mountPath",
                )


def people_can_sign_in(setup: Setup | None, app: AppConfig | None) -> Iterator[Finding]:
    """An account without a password needs OpenID Connect; Immich refuses to make one without."""
    # Without the section it may be switched on in Immich's page.
    if setup is None or app is None or app.oauth.enabled:
        return
    for index, person in enumerate(setup.people):
        if not person.password:
            yield Finding(
                key=f"setup.people[{index}].password",
                given="false",
                reason=f"{person.email} could not sign in: app.oauth.enabled is false",
                hint="pulumi config set --path immich:app.oauth.enabled true, or leave password out",
            )


def nobody_comes_first(setup: Setup | None, proxy: Proxy) -> Iterator[Finding]:
    """Where a person makes the first administrator, no door may let somebody else be quicker."""
    if setup is None or setup.administrator is not None:
        return
    if proxy.maintenance == "everywhere":
        yield Finding(
            key="proxy.maintenance",
            given="everywhere",
            reason="whoever comes first would be the administrator: setup.administrator is none",
            hint="leave it out, or name the administrator in immich:setup",
        )
    for index, way in enumerate(proxy.expose):
        if proxy.closes(way) and not refuses(way):
            yield Finding(
                key=f"proxy.expose[{index}].kind",
                given=way.kind,
                reason="cannot refuse what makes the first administrator, and setup.administrator is none",
                hint="pulumi config set --path immich:proxy.kind nginx, or name the administrator in immich:setup",
            )


SETUP_RULES: tuple[Rule, ...] = (
    Rule(("setup", "storage"), libraries_are_mounted),
    Rule(("setup", "app"), people_can_sign_in),
    Rule(("setup", "proxy"), nobody_comes_first),
)
