"""Command line of the throw-away cluster.

Standard output holds only the answer (a path, an `export` line, or JSON); progress goes to standard error.
Exit codes: 0 done (for `status`: it runs), 1 a failure told in words, 2 wrong arguments,
3 `status`: it does not run, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from pathlib import Path

from toolchain import crds as crd_source
from toolchain.offline.cluster.layout import DEFAULT_DIR, ClusterError, Layout
from toolchain.offline.cluster.lifecycle import Options, Status, start, status, stop
from toolchain.offline.cluster.simulated import STORAGE_CLASSES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = _parser().parse_args(arguments)
    # A polite end is treated like Ctrl-C: a half-started cluster does not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root: Path = given.dir
    try:
        match given.command:
            case "start":
                return _start(given, root)
            case "stop":
                ran = stop(root, keep=given.keep)
                _say(f"the cluster in {root} is stopped" if ran else f"no cluster runs in {root}")
                return 0
            case "status":
                return _status(status(root), as_json=given.json)
            case _:
                return _kubeconfig(status(root))
    except (ClusterError, crd_source.CrdError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what was being started is stopped again")
        return 130


def _start(given: argparse.Namespace, root: Path) -> int:
    began = time.monotonic()
    controllers: bool = (
        bool(given.nodes or given.real_node) if given.controllers is None else given.controllers
    )
    options = Options(
        nodes=given.nodes,
        real=given.real_node,
        images=sorted(given.images.resolve().glob("*.tar")) if given.images else (),
        controllers=controllers,
        provision=given.provision,
        crds=given.crds if given.crds is not None else crd_source.find(),
        storage_classes=given.storage_class or STORAGE_CLASSES,
        node_labels=dict(given.node_label),
    )
    if options.crds is None:
        _say(f"no CRDs are loaded: {crd_source.MISSING}")
    running = start(root, options, _say)
    _say(f"ready after {time.monotonic() - began:.1f} s")
    if given.json:
        print(json.dumps(_as_json(running)))
    else:
        print(running.kubeconfig)
        print(f"export KUBECONFIG={shlex.quote(str(running.kubeconfig))}")
    return 0


def _status(found: Status, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_as_json(found)))
    else:
        print(f"{'running' if found.running else 'not running'}: {found.root}")
        if found.server is not None:
            nodes = "a real node" if found.real else f"{found.nodes} nodes"
            print(
                f"server {found.server}, {nodes}, stand-in provisioner {'on' if found.provision else 'off'}"
            )
        for process in found.processes:
            print(f"  {process.name:24} pid {process.pid:<8} {'running' if process.running else 'ended'}")
    return 0 if found.running else 3


def _kubeconfig(found: Status) -> int:
    if not found.running:
        raise ClusterError(
            f"No cluster runs in {found.root}. Start one with `python -m toolchain.offline.cluster start`."
        )
    print(found.kubeconfig)
    return 0


def _as_json(found: Status) -> dict[str, object]:
    return {
        "running": found.running,
        "dir": str(found.root),
        "kubeconfig": str(found.kubeconfig) if found.running else None,
        "server": found.server,
        "nodes": found.nodes,
        "real": found.real,
        "controllers": found.controllers,
        "provision": found.provision,
        "logs": str(Layout(found.root).log("any").parent),
        "processes": [{"name": one.name, "pid": one.pid, "running": one.running} for one in found.processes],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    return key, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.offline.cluster", description="A throw-away Kubernetes cluster."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dir", type=Path, default=DEFAULT_DIR, help="where it keeps its files (default: %(default)s)"
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="answer in JSON")

    begin = commands.add_parser("start", parents=[common, as_json], help="start it, or add to what runs")
    begin.add_argument(
        "--nodes", type=int, default=0, metavar="N", help="simulated nodes on which pods become Ready"
    )
    begin.add_argument(
        "--real-node", action="store_true", help="containerd, kubelet and all: pods run (Linux, root)"
    )
    begin.add_argument(
        "--images", type=Path, metavar="DIR", help="archives (*.tar) of images that the real node gets"
    )
    begin.add_argument(
        "--controllers",
        "--with-controllers",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="run kube-controller-manager (default: with nodes only)",
    )
    begin.add_argument(
        "--provision", action="store_true", help="a stand-in for a storage provisioner; needs --nodes"
    )
    begin.add_argument(
        "--storage-class",
        action="append",
        metavar="NAME",
        help=f"repeatable (default: {', '.join(STORAGE_CLASSES)})",
    )
    begin.add_argument(
        "--node-label", action="append", default=[], type=_label, metavar="KEY=VALUE", help="repeatable"
    )
    begin.add_argument(
        "--crds", type=Path, metavar="DIR", help="folder of CRDs (default: $CRDS, or the downloaded ones)"
    )

    end = commands.add_parser("stop", parents=[common], help="stop it and delete what it held")
    end.add_argument("--keep", action="store_true", help="keep its content for the next start")
    commands.add_parser("status", parents=[common, as_json], help="what runs; exit code 3 when it does not")
    commands.add_parser("kubeconfig", parents=[common], help="path of the kubeconfig of a running cluster")
    return parser


if __name__ == "__main__":
    sys.exit(main())
