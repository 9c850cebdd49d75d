"""Load CustomResourceDefinitions into a running API server and wait until their kinds are served."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from toolchain.offline.cluster.api import Api, Json
from toolchain.offline.cluster.layout import ClusterError

READY_WITHIN = 60.0
"""Seconds; measured: a few for all of the definitions together."""


def read_crds(folder: Path) -> list[Json]:
    """Every CustomResourceDefinition in the `.yaml` and `.yml` files at or below `folder`; other kinds are skipped.

    Raises ClusterError when there is none, or a file is not YAML.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix in {".yaml", ".yml"})
    found: list[Json] = []
    for file in files:
        try:
            documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader))
        except yaml.YAMLError as error:
            raise ClusterError(f"{file} is not readable YAML: {error}") from error
        found += [
            one
            for one in documents
            if isinstance(one, dict) and one.get("kind") == "CustomResourceDefinition"
        ]
    if not found:
        raise ClusterError(f"{folder} holds no CustomResourceDefinition in a .yaml or .yml file.")
    return found


def load_crds(api: Api, crds: Sequence[Json]) -> None:
    """Apply the definitions and wait until each is Established and served. Raises ClusterError."""
    for crd in crds:
        answer = api.apply(crd)
        if not answer.ok:
            raise ClusterError(f"The CRD {crd['metadata']['name']} was refused: {answer.message}")
    deadline = time.monotonic() + READY_WITHIN
    for crd in crds:
        wait_until_served(api, crd, deadline)


def wait_until_served(api: Api, crd: Json, deadline: float) -> None:
    """Wait until one definition is Established and discovery lists its kind; `deadline` is of the monotonic clock.

    Raises ClusterError when the deadline passes or another definition has the same names.
    """
    name, spec = crd["metadata"]["name"], crd["spec"]
    versions = [one["name"] for one in spec["versions"] if one.get("served")]
    while True:
        conditions: list[Json] = api.get(crd).body.get("status", {}).get("conditions", [])
        by_type = {one["type"]: one for one in conditions}
        if by_type.get("NamesAccepted", {}).get("status") == "False":
            raise ClusterError(
                f"The CRD {name} claims a name that is taken: {by_type['NamesAccepted']['message']}"
            )
        established = by_type.get("Established", {}).get("status") == "True"
        if established and all(
            _listed(api, spec["group"], version, spec["names"]["plural"]) for version in versions
        ):
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"The CRD {name} was not served within {READY_WITHIN:.0f} s.")
        time.sleep(0.1)


def _listed(api: Api, group: str, version: str, plural: str) -> bool:
    resources: list[Json] = api.request("GET", f"/apis/{group}/{version}").body.get("resources") or []
    return any(one["name"] == plural for one in resources)


# The C parser reads the large definitions about ten times faster; PyYAML is built without it on some systems.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
