"""What a stack of one host registers, as tests of the systems ask for it."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import crossplane

from components.settings.model import Settings
from components.settings.reader import read_settings
from tests.harness.mocks import Recorded, Run
from tests.harness.program import (
    ROOT,
    Stack,
    from_file,
    image_id,
    needs,
    random_text,
    shared_run,
    texts,
    unwrapped,
)

Directive = dict[str, Any]

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"
RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"
TASKS = {"backup-dump", "backup-copy", "drill-fetch", "drill-database", "drill-originals", "setup"}
"""Steps of tasks."""
_FILES = "-files"
WATCHING = frozenset(
    {
        "metrics-role",
        "postgres-exporter",
        "valkey-exporter",
        "volume-exporter",
        "door-exporter",
        "gpu-exporter",
    }
)
"""Who reads numbers of others, and what made that possible."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A stack and everything that it registers."""

    stack: Stack
    run: Run

    @property
    def settings(self) -> Settings:
        """Its settings, with their defaults."""
        texts = {key: json.dumps(section) for key, section in self.stack.sections.items()}
        hidden = dict.fromkeys(self.stack.secrets, "")
        return read_settings(self.stack.name, {**texts, **hidden}, list(hidden))

    def recorded(self, token: str, name: str) -> Recorded:
        """The resource of a type and a name, of which there is one."""
        (found,) = [one for one in self.run.of_type(token) if one.name == self._full(name)]
        return found

    def container(self, workload: str) -> dict[str, Any]:
        """Inputs of a workload's container, with the secrets in it."""
        return cast("dict[str, Any]", unwrapped(self.recorded(CONTAINER, workload).props))

    def workloads(self) -> set[str]:
        """Every container but those that put files into volumes."""
        names = {one.name.removeprefix(self._full("")) for one in self.run.of_type(CONTAINER)}
        return {name for name in names if not name.endswith(_FILES)}

    def image(self, workload: str) -> str:
        """Name of the image that a workload runs."""
        wanted = self.container(workload)["image"]
        (name,) = [
            one.props["name"]
            for one in self.run.of_type(REMOTE_IMAGE)
            if image_id(one.props["name"]) == wanted
        ]
        return str(name)

    def env(self, workload: str) -> dict[str, str]:
        """Its environment."""
        pairs = [str(one).partition("=") for one in self.container(workload)["envs"]]
        return {name: text for name, _, text in pairs}

    def labels(self, workload: str) -> dict[str, str]:
        """Its labels."""
        return {one["label"]: one["value"] for one in self.container(workload)["labels"]}

    def mounts(self, workload: str) -> dict[str, tuple[str, bool]]:
        """Path in the container -> folder or volume of the host, and whether it is read-only."""
        inputs = self.container(workload)
        found = {one["target"]: (one["source"], one["readOnly"]) for one in inputs.get("mounts", ())}
        labelled = {
            one["containerPath"]: (one["hostPath"], one["readOnly"]) for one in inputs.get("volumes", ())
        }
        return {**found, **labelled}

    def networks(self, workload: str) -> set[str]:
        """Networks that it is in, by their short names; those of others in full."""
        joined = self.container(workload).get("networksAdvanced", ())
        return {str(one["name"]).removeprefix(self._full("")) for one in joined}

    def members(self, network: str) -> set[str]:
        """Workloads in a network."""
        return {one for one in self.workloads() if network in self.networks(one)}

    def network(self, name: str) -> dict[str, Any]:
        """Inputs of a network."""
        return self.recorded(NETWORK, name).props

    def subnet(self, name: str) -> str:
        """Its addresses."""
        return str(self.network(name)["ipamConfigs"][0]["subnet"])

    def ports(self) -> dict[tuple[str, int], tuple[str, int]]:
        """Address and port of the host -> workload and port of its container."""
        return {
            (one["ip"], one["external"]): (workload, one["internal"])
            for workload in self.workloads()
            for one in self.container(workload).get("ports", ())
        }

    def health(self, workload: str) -> tuple[str, str, int]:
        """Interval, timeout and failures of its health check."""
        check = self.container(workload)["healthcheck"]
        return check["interval"], check["timeout"], check["retries"]

    def files(self, workload: str) -> dict[str, str]:
        """Files that are put into its volumes: where the workload reads them -> their text."""
        loader = self.container(f"{workload}{_FILES}")
        at = {source: path for path, (source, _) in self.mounts(workload).items()}
        targets = {one["target"].replace("/target/", "/staging/"): one["source"] for one in loader["mounts"]}
        found: dict[str, str] = {}
        for upload in loader.get("uploads", ()):
            folder, _, name = str(upload["file"]).rpartition("/")
            found[f"{at[targets[folder]]}/{name}"] = str(upload["content"])
        return found

    def password(self, workload: str, secret: str) -> str:
        """The password that a workload reads."""
        return self.files(workload)[f"/run/secrets/{secret}/password"]

    def app(self) -> dict[str, Any]:
        """Immich's own configuration."""
        return cast(
            "dict[str, Any]", json.loads(self.files("server")[self.env("server")["IMMICH_CONFIG_FILE"]])
        )

    def folders(self) -> set[str]:
        """Folders of the host that any container mounts."""
        return {
            source for one in self.workloads() for source, _ in self.mounts(one).values() if source[0] == "/"
        }

    def starts_after(self, workload: str) -> set[str]:
        """Workloads whose containers are there, and well, before it."""
        before = needs(self.run, self.recorded(CONTAINER, workload))
        return {
            one
            for one in self.workloads()
            if self.recorded(CONTAINER, one).urn in before and self.container(one).get("wait") is True
        }

    @property
    def hidden(self) -> dict[str, str]:
        """Every secret of the stack: those that are given, and those that are made."""
        made = {one.name: random_text(one.name) for one in self.run.of_type(RANDOM_PASSWORD)}
        return {**self.stack.secrets, **made}

    def told(self, *more: str) -> list[str]:
        """Secrets, and texts of `more`, that `docker inspect` or the plain part of the state would show."""
        shown: list[str] = []
        for one in self.run.resources:
            shown += texts(one.props)
            if one.type in {CONTAINER, NETWORK, VOLUME}:
                inspected = {name: value for name, value in one.props.items() if name != "uploads"}
                shown += texts(inspected, inside_secrets=True)
        return [one for one in (*self.hidden.values(), *more) if any(one in text for text in shown)]

    @functools.cached_property
    def nginx(self) -> list[Directive]:
        """nginx's configuration, read by a parser of its own that refuses what nginx does not know."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in self.files("proxy").items():
                (Path(folder) / Path(path).name).write_text(text)
            path = str(Path(folder) / "nginx.conf")
            parsed = cast("Any", crossplane.parse(path, combine=True, check_args=True))
        assert parsed["status"] == "ok", parsed["errors"]
        return cast("list[Directive]", parsed["config"][0]["parsed"])

    def server(self, port: int) -> list[Directive]:
        """Directives of nginx's listener at a port."""
        (found,) = [
            one["block"]
            for one in find(self.nginx, "http", "server")
            if any(listen["args"][0] == f"*:{port}" for listen in find(one["block"], "listen"))
        ]
        return cast("list[Directive]", found)

    def _full(self, name: str) -> str:
        return f"immich-{self.stack.name}-{name}"


def host(name: str, *, secrets: Mapping[str, str] | None = None, **sections: Any) -> Host:
    """The stack `Pulumi.<name>.yaml`, with further secrets, and with these sections laid over its own."""
    stack = from_file(ROOT / f"Pulumi.{name}.yaml")
    changed = {key: {**stack.sections.get(key, {}), **section} for key, section in sections.items()}
    stack = Stack(stack.name, {**stack.sections, **changed}, {**stack.secrets, **(secrets or {})})
    return Host(stack=stack, run=shared_run(stack))


def find(block: list[Directive], *path: str) -> list[Directive]:
    """Directives at a path of names: `http`, `server`, `location`."""
    name, *rest = path
    here = [one for one in block if one["directive"] == name]
    return here if not rest else [inner for one in here for inner in find(one.get("block", []), *rest)]


def limits(server: list[Directive]) -> dict[str, str]:
    """Location of a listener -> the largest body that it lets through, in bytes or with a unit."""
    return {
        one["args"][-1]: find(one["block"], "client_max_body_size")[0]["args"][0]
        for one in find(server, "location")
        if find(one["block"], "client_max_body_size")
    }


def of_uploads(found: Mapping[str, str]) -> str:
    """The limit among these of the location that photos and videos come by."""
    (limit,) = [text for path, text in found.items() if path.startswith("^/api/(?:assets|")]
    return limit


def headers(server: list[Directive], directive: str) -> set[tuple[str, str]]:
    """Headers that every location which leads to Immich sets: `proxy_set_header` or `add_header`."""
    passing = [one["block"] for one in find(server, "location") if find(one["block"], "proxy_pass")]
    assert passing
    each = [{(one["args"][0], one["args"][1]) for one in find(block, directive)} for block in passing]
    return set[tuple[str, str]].intersection(*each)


def believed(server: list[Directive]) -> set[str]:
    """Addresses whose word about the client a listener believes."""
    return {one["args"][0] for one in find(server, "set_real_ip_from")}
