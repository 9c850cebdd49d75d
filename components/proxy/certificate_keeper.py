"""The certificate of nginx where nobody else makes it: a container that fetches, renews or copies it into a volume."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from components import versions
from components.model.secret_text import SecretPart, SecretText
from components.model.specs import PublishedSecret
from components.model.values import Hostname, ImageRef, Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Egress,
    Mount,
    Probe,
    Resources,
    Scratch,
    SecretFiles,
    VolumeRequest,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.proxy.tls_settings import TlsAcme, TlsFiles, TlsSelfSigned
from components.secrets.component import Secrets
from components.templates import render

NAME = "certificates"
"""Of the workload and of its volume."""
TOKEN = "acmeDnsToken"
_SOURCE = "certificate-source"
_FOLDER = "/certificates"
_SCRIPT_FOLDER = "/etc/immich-certificates"
_TOKEN_FOLDER = "/run/secrets/acme"

Kept = TlsSelfSigned | TlsFiles | TlsAcme


@dataclass(frozen=True, kw_only=True, slots=True)
class KeeperArgs:
    """What `keep` needs."""

    platform: Platform
    tls: Kept
    hostnames: Sequence[str]
    user: int
    """nginx's user: the files are for it alone."""
    secrets: Secrets | None
    """With `acmeDnsToken` for a certificate by DNS."""


def keep(args: KeeperArgs, *, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Run it; gives what nginx waits for. The volume is kept: a new certificate of an ACME server is not always to be
    had.
    """
    platform, tls = args.platform, args.tls
    platform.volume(
        VolumeRequest(name=NAME, size=Quantity("64Mi"), holds_data=False, kept=True), parent=parent
    )
    fingerprints = None
    if isinstance(tls, TlsFiles):
        platform.volume(
            VolumeRequest(name=_SOURCE, size=Quantity("1Mi"), host_path=tls.folder, holds_data=False),
            parent=parent,
        )
    if isinstance(tls, TlsAcme) and tls.challenge == "dns-cloudflare":
        if args.secrets is None:
            raise ValueError(f"a certificate by DNS needs secrets with {TOKEN}")
        text = SecretText(parts=("dns_cloudflare_api_token = ", SecretPart(key=TOKEN), "\n"))
        platform.publish(
            PublishedSecret(name="acme", items={"cloudflare.ini": text}), args.secrets.values, parent=parent
        )
        fingerprints = args.secrets.fingerprints((TOKEN,))
    ready = platform.workload(
        workload(tls, args.hostnames, args.user), parent=parent, fingerprints=fingerprints
    )
    return [ready]


def workload(tls: Kept, hostnames: Sequence[str], user: int) -> Workload:
    """The container; well as long as there is a certificate, which may be one that stands in for the first real one."""
    mounts: list[Mount] = [
        Mounted(volume=NAME, path=_FOLDER),
        ConfigFiles(name=NAME, path=_SCRIPT_FOLDER, files={"keep.sh": script(tls, hostnames)}),
        Scratch(path="/tmp", size=Quantity("64Mi")),
    ]
    egress: tuple[Egress, ...] = ()
    groups: tuple[int, ...] = ()
    if isinstance(tls, TlsFiles):
        mounts.append(Mounted(volume=_SOURCE, path="/source", read_only=True))
        groups = (tls.group,) if tls.group is not None else ()
    if isinstance(tls, TlsAcme):
        server = urlsplit(tls.server)
        egress = (Egress.to_host("certificates", server.hostname or "", server.port or 443),)
        if tls.challenge == "dns-cloudflare":
            mounts.append(
                SecretFiles(secret="acme", path=_TOKEN_FOLDER, items={"cloudflare.ini": "cloudflare.ini"})
            )
            egress = (*egress, Egress(reason="DNS records of challenges", names=("api.cloudflare.com",)))
    return Workload(
        name=NAME,
        image=image(tls),
        resources=Resources(
            cpu_request=Quantity("10m"),
            memory_request=Quantity("32Mi"),
            cpu_limit=Quantity("500m"),
            memory_limit=Quantity("256Mi"),
        ),
        user=user,
        group=user,
        command=("/bin/sh", f"{_SCRIPT_FOLDER}/keep.sh"),
        readiness=Probe(
            check=CommandCheck(command=("test", "-s", f"{_FOLDER}/tls.crt")), period=10, startup_budget=120
        ),
        mounts=tuple(mounts),
        supplemental_groups=groups,
        stateful=True,
        exclusive=True,
        egress=egress,
        termination_grace=10,
        start_timeout=180,
    )


def image(tls: Kept) -> ImageRef:
    """Its image: the table's, or the one given."""
    return tls.image or versions.current("certbot")


def script(tls: Kept, hostnames: Sequence[str]) -> str:
    """What it runs."""
    alternatives = ",".join(
        f"{'IP' if Hostname(name).is_ip else 'DNS'}:{name}"
        for name in dict.fromkeys((*hostnames, "localhost"))
    )
    challenge = (
        f"--webroot --webroot-path {_FOLDER}/webroot"
        if not isinstance(tls, TlsAcme) or tls.challenge == "http"
        else f"--dns-cloudflare --dns-cloudflare-credentials {_TOKEN_FOLDER}/cloudflare.ini"
    )
    values: dict[str, object] = {
        "kind": {"selfSigned": "self-signed"}.get(tls.kind, tls.kind),
        "hostnames": list(hostnames),
        "alternative_names": alternatives,
        "challenge": challenge,
        # As words of the shell, whatever stands in them; all others have no signs of it.
        "email": shlex.quote(tls.email) if isinstance(tls, TlsAcme) else "",
        "server": shlex.quote(tls.server) if isinstance(tls, TlsAcme) else "",
        "folder": shlex.quote(tls.folder) if isinstance(tls, TlsFiles) else "",
        "certificate": tls.certificate if isinstance(tls, TlsFiles) else "",
        "key": tls.key if isinstance(tls, TlsFiles) else "",
    }
    return render("certificates.sh.j2", values)
