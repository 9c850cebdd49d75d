"""Start, stop and look at a throw-away cluster."""

from __future__ import annotations

import fcntl
import json
import shutil
import ssl
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from toolchain.offline.cluster import control_plane, real_node, simulated
from toolchain.offline.cluster.api import Api, Json
from toolchain.offline.cluster.build import KUBERNETES, ensure_built
from toolchain.offline.cluster.crd_loading import load_crds, read_crds
from toolchain.offline.cluster.layout import BIN_DIR, REPO_ROOT, ClusterError, Layout, Progress, write_private
from toolchain.offline.cluster.process import Owned, last_lines, spawn
from toolchain.offline.cluster.process import stop as stop_processes
from toolchain.offline.cluster.real_node import RealNode

READY_WITHIN = 60.0
"""Seconds that kube-apiserver may take; measured: 5 to 10."""

ATTEMPTS = 3
"""Starts on fresh ports, should somebody take a port between its choice and its use."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the cluster should have. Nodes imply controllers; a provisioner needs nodes."""

    nodes: int = 0
    """Simulated ones."""
    real: bool = False
    """A real node instead, with its provisioner."""
    images: Sequence[Path] = ()
    """Archives of images that a real node has from the start, as `docker save` writes them."""
    controllers: bool = False
    provision: bool = False
    crds: Path | None = None
    storage_classes: Sequence[str] = simulated.STORAGE_CLASSES
    node_labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.nodes < 0:
            raise ClusterError(f"The number of nodes must be 0 or more, and {self.nodes} was given.")
        if self.real and (self.nodes or self.provision):
            raise ClusterError(
                "A real node runs alone, with a provisioner of its own: leave --nodes and --provision out."
            )
        if (self.nodes or self.real) and not self.controllers:
            raise ClusterError(
                "Nodes need controllers: nothing would make pods for them. Leave --no-controllers out."
            )
        if self.provision and not self.nodes:
            raise ClusterError(
                "The stand-in provisioner is played by the simulated nodes: give --nodes 1 or more too."
            )


@dataclass(frozen=True, slots=True)
class Status:
    """What runs."""

    root: Path
    server: str | None = None
    """https URL of the API server."""
    nodes: int = 0
    real: bool = False
    controllers: bool = False
    provision: bool = False
    processes: tuple[Owned, ...] = ()

    @property
    def running(self) -> bool:
        """Whether all processes of the cluster run."""
        return bool(self.processes) and all(process.running for process in self.processes)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; exists while the cluster runs."""
        return Layout(self.root).kubeconfig


def start(root: Path, options: Options, progress: Progress, bin_dir: Path = BIN_DIR) -> Status:
    """Bring up what `options` ask for and return when it answers; what already runs is kept.

    A running cluster that lacks controllers, nodes or the provisioner is started again with them and its content is
    kept. It never gets less than it has. Raises ClusterError.
    """
    control_plane.find_etcd()
    if options.real and (missing := real_node.missing_parts()):
        raise ClusterError(f"This machine cannot have a real node: {'; '.join(missing)}.")
    definitions = [] if options.crds is None else read_crds(options.crds)
    ensure_built(bin_dir, real_node=options.real)
    root = root.resolve()
    layout = Layout(root)
    with _locked(layout):
        before = status(root)
        asked = Options(
            nodes=max(options.nodes, before.nodes if before.running else 0),
            controllers=options.controllers or (before.running and before.controllers),
            provision=options.provision or (before.running and before.provision),
            real=options.real,
            images=options.images,
            crds=options.crds,
            storage_classes=options.storage_classes,
            node_labels=options.node_labels,
        )
        kept = before.running and _has(before, asked)
        if kept:
            progress("the cluster runs already")
        else:
            _end(layout, before.processes)
            _start_processes(layout, asked, progress, bin_dir)
        try:
            _fill(layout, asked, definitions, progress)
            _must_run(layout, status(root).processes)
        except BaseException:
            if not kept:
                _end(layout, status(root).processes)
                layout.state.unlink(missing_ok=True)
            raise
        after = replace(status(root), nodes=asked.nodes)
        _save(layout, after)
    return after


def stop(root: Path, *, keep: bool = False) -> bool:
    """End the cluster's processes, and delete what it held unless `keep`; returns whether anything ran.

    Doing it twice, or where there never was a cluster, is no error.
    """
    layout = Layout(root.resolve())
    if not layout.root.is_dir():
        return False
    with _locked(layout):
        before = status(root)
        ran = any(process.running for process in before.processes)
        _end(layout, before.processes)
        layout.state.unlink(missing_ok=True)
        if not keep:
            layout.kubeconfig.unlink(missing_ok=True)
            layout.stages.unlink(missing_ok=True)
            for folder in (
                RealNode(layout).folder,
                layout.etcd_data,
                layout.certificates,
                layout.log("any").parent,
            ):
                shutil.rmtree(folder, ignore_errors=True)
    return ran


def status(root: Path) -> Status:
    """What is recorded of the cluster in `root`, and (by asking the system) what of it runs."""
    layout = Layout(root.resolve())
    try:
        recorded: dict[str, Any] = json.loads(layout.state.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Status(layout.root)
    except ValueError as error:
        raise ClusterError(
            f"{layout.state} is damaged ({error}). Look for processes started from {layout.root}, end them, delete it."
        ) from error
    processes = tuple(Owned(**one) for one in recorded.pop("processes"))
    return Status(layout.root, processes=processes, **recorded)


def _end(layout: Layout, processes: Sequence[Owned]) -> None:
    RealNode(layout).remove()  # at once, as when the power fails: pods would hold the API server up
    stop_processes(processes[::-1])


def _has(before: Status, asked: Options) -> bool:
    return (
        before.controllers == asked.controllers
        and before.real == asked.real
        and before.provision == asked.provision
        and (bool(before.nodes) == bool(asked.nodes))
    )


def _fields(value: Status) -> dict[str, Any]:
    return {name: getattr(value, name) for name in Status.__slots__}


def _save(layout: Layout, value: Status) -> None:
    recorded = {key: item for key, item in _fields(value).items() if key not in {"root", "processes"}}
    recorded["processes"] = [asdict(process) for process in value.processes]
    write_private(layout.state, json.dumps(recorded, indent=2) + "\n")


@contextmanager
def _locked(layout: Layout) -> Generator[None]:
    layout.root.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_processes(layout: Layout, asked: Options, progress: Progress, bin_dir: Path) -> None:
    progress(f"starting kube-apiserver {KUBERNETES} and etcd in {layout.root}")
    for attempt in range(1, ATTEMPTS + 1):
        started: list[Owned] = []
        try:
            _start_once(layout, asked, progress, bin_dir, started)
        except BaseException as error:
            _end(layout, started)
            layout.state.unlink(missing_ok=True)
            if isinstance(error, _PortTakenError) and attempt < ATTEMPTS:
                progress("a port was taken meanwhile; trying others")
                continue
            raise
        return


class _PortTakenError(ClusterError):
    """Somebody bound a port between its choice and its use."""


def _start_once(
    layout: Layout, asked: Options, progress: Progress, bin_dir: Path, started: list[Owned]
) -> None:
    node = RealNode(layout) if asked.real else None
    ports = control_plane.free_ports()
    control_plane.write_credentials(layout)

    def launch(
        name: str,
        command: Sequence[str],
        extra_env: dict[str, str] | None = None,
        placed: Callable[[Sequence[str]], list[str]] | None = None,
    ) -> None:
        if node:
            command = placed(command) if placed else node.inside(command, started[0].pid)
        started.append(spawn(name, command, layout.log(name), layout.root, extra_env))
        # Recorded one by one, so that an interrupted start leaves nothing that `stop` does not know.
        _save(
            layout,
            Status(
                layout.root,
                server=ports.server,
                real=asked.real,
                controllers=asked.controllers,
                provision=asked.provision,
                processes=tuple(started),
            ),
        )

    if node:
        node.prepare(bin_dir)
        ports = control_plane.Ports(2379, 2380, 6443, node.address)  # in a network where nobody else is
        launch("mounts", node.mounts_command(), placed=node.grouped)
        node.wait_for_mounts()
        launch("containerd", node.containerd_command())
        node.begin_to_load(asked.images, started[0].pid)
    launch("etcd", control_plane.etcd_command(layout, ports), control_plane.etcd_environment())
    launch(
        "kube-apiserver",
        control_plane.api_server_command(layout, ports, bin_dir, controllers=asked.controllers),
    )
    began = time.monotonic()
    _wait_until_ready(layout, ports, started)
    progress(f"the API server is ready after {time.monotonic() - began:.1f} s")
    if asked.controllers:
        launch(
            "kube-controller-manager",
            control_plane.controller_manager_command(layout, bin_dir, real=asked.real),
        )
    if asked.nodes or node:
        launch("kube-scheduler", control_plane.scheduler_command(layout, bin_dir))
    if node:
        progress("loading images")
        launch("kubelet", node.kubelet_command(bin_dir))
        launch("kube-proxy", node.kube_proxy_command(bin_dir))
        node.wait_for_registration(lambda: _must_run(layout, started))
        launch("kube-router", node.kube_router_command(bin_dir))
        node.finish_loading()
        launch("volumes", node.volumes_command(), {"PYTHONPATH": str(REPO_ROOT)}, node.grouped)
    if asked.nodes:
        layout.stages.write_text(simulated.stages_text(bin_dir, provision=asked.provision), encoding="utf-8")
        launch("kwok", control_plane.kwok_command(layout, bin_dir))


def _wait_until_ready(layout: Layout, ports: control_plane.Ports, started: Sequence[Owned]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        _must_run(layout, started)
        if layout.serving_certificate.exists() and _answers(layout, ports):
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"kube-apiserver was not ready within {READY_WITHIN:.0f} s. {last_lines(layout.log('kube-apiserver'))}"
            )
        time.sleep(0.1)


def _must_run(layout: Layout, processes: Sequence[Owned]) -> None:
    for process in processes:
        if not process.running:
            end = last_lines(layout.log(process.name))
            kind = _PortTakenError if "address already in use" in end else ClusterError
            raise kind(f"{process.name} ended while the cluster started. {end}")


def _answers(layout: Layout, ports: control_plane.Ports) -> bool:
    control_plane.write_kubeconfigs(layout, ports)
    api = Api.from_kubeconfig(layout.kubeconfig)
    try:
        # The namespace is made shortly after readiness, and nearly everybody needs it.
        return api.request("GET", "/readyz").ok and api.request("GET", "/api/v1/namespaces/default").ok
    except (OSError, ssl.SSLError):
        return False
    finally:
        api.close()


def _fill(layout: Layout, asked: Options, definitions: Sequence[Json], progress: Progress) -> None:
    api = Api.from_kubeconfig(layout.kubeconfig)
    try:
        if asked.controllers:
            simulated.create_classes(api, asked.storage_classes, provision=asked.provision or asked.real)
        if asked.real:
            RealNode(layout).fill(api)
            progress(f"the node {real_node.NAME} is Ready")
        if asked.nodes:
            simulated.create_nodes(api, asked.nodes, asked.node_labels)
            progress(f"{asked.nodes} simulated node{'s' if asked.nodes > 1 else ''} ready")
        if definitions:
            load_crds(api, definitions)
            progress(f"{len(definitions)} CRDs loaded from {asked.crds}")
    except OSError as error:
        raise ClusterError(
            f"The API server stopped answering ({error}). {last_lines(layout.log('kube-apiserver'))}"
        ) from error
    finally:
        api.close()
