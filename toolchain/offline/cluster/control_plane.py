"""The command lines of the cluster's processes, and the credentials between them.

Everything listens on 127.0.0.1, or in the network of a real node. kube-apiserver asks for a bearer token and RBAC
decides; etcd does not ask, as in any test control plane: whoever has an account on this machine can read the content of
a throw-away cluster.
"""

from __future__ import annotations

import base64
import os
import platform
import secrets
import shutil
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from toolchain.offline.cluster import real_node
from toolchain.offline.cluster.layout import ClusterError, Layout, write_private

WITHOUT_ETCD = (
    "The throw-away cluster keeps its objects in etcd, and no `etcd` is on PATH. Install it (Debian, Ubuntu: "
    "`apt-get install etcd-server`; macOS: `brew install etcd`) and run the command again. The cluster starts an "
    "etcd of its own: a system service is neither needed nor touched."
)

ADMIN_GROUP = "system:masters"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """Free TCP ports, on 127.0.0.1 unless the API server has another address."""

    etcd: int
    etcd_peer: int
    api: int
    address: str = LOOPBACK

    @property
    def server(self) -> str:
        """https URL of the API server."""
        return f"https://{self.address}:{self.api}"


def find_etcd() -> str:
    """Path of the etcd executable. Raises ClusterError when there is none."""
    etcd = shutil.which("etcd")
    if etcd is None:
        raise ClusterError(WITHOUT_ETCD)
    return etcd


def free_ports() -> Ports:
    """Ports that nothing used a moment ago; whoever binds them must be ready to lose the race and ask again."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        etcd, etcd_peer, api = (int(one.getsockname()[1]) for one in sockets)
    return Ports(etcd, etcd_peer, api)


def etcd_command(layout: Layout, ports: Ports) -> list[str]:
    """etcd 3.4 or newer, a cluster of one member."""
    peer = f"http://127.0.0.1:{ports.etcd_peer}"
    client = f"http://127.0.0.1:{ports.etcd}"
    return [
        find_etcd(),
        "--name=throw-away",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=throw-away={peer}",
        # The recorded peer address is of an earlier run when the data is used again; this rewrites it.
        *(["--force-new-cluster"] if layout.etcd_data.exists() else []),
        "--logger=zap",
        "--log-level=warn",
    ]


def etcd_environment() -> dict[str, str]:
    """etcd 3.4 refuses to run on arm64 unless told by this variable; elsewhere it changes nothing."""
    return {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() in {"arm64", "aarch64"} else {}


def api_server_command(layout: Layout, ports: Ports, bin_dir: Path, *, controllers: bool) -> list[str]:
    """kube-apiserver with its default admission, RBAC, and bearer tokens from a file.

    Without controllers nobody creates the `default` ServiceAccount of a namespace, and admission would refuse every
    pod for lack of it, so that one plugin is then off.
    """
    if ports.address == LOOPBACK:
        # A Service cannot have an endpoint on loopback, so `default/kubernetes` gets none.
        place = [f"--bind-address={LOOPBACK}", "--endpoint-reconciler-type=none", "--authorization-mode=RBAC"]
    else:
        place = [
            "--bind-address=0.0.0.0",  # the node's own network, in which pods are too
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--kubelet-preferred-address-types=InternalIP",
        ]
    return [
        str(bin_dir / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--advertise-address={ports.address}",
        *place,
        f"--secure-port={ports.api}",
        f"--cert-dir={layout.certificates}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        f"--token-auth-file={layout.tokens}",
        f"--service-cluster-ip-range={real_node.SERVICE_CIDR}",
        "--allow-privileged=true",
        "--profiling=false",
        # etcd before 3.4.25 (Debian 12 has 3.4.23) cannot serve lists as watches. While the server offers it all the
        # same, kwok asks again and again, ever more slowly, and pods take half a minute to become Ready.
        "--feature-gates=WatchList=false",
        *([] if controllers else ["--disable-admission-plugins=ServiceAccount"]),
    ]


def controller_manager_command(layout: Layout, bin_dir: Path, *, real: bool) -> list[str]:
    """All controllers; without a real node not those that judge or number nodes: simulated ones send no heartbeats."""
    nodes = ["--allocate-node-cidrs=true", f"--cluster-cidr={real_node.CLUSTER_CIDR}"]
    return [
        str(bin_dir / "kube-controller-manager"),
        f"--kubeconfig={layout.kubeconfig}",
        *(nodes if real else ["--controllers=*,-node-ipam-controller,-node-lifecycle-controller"]),
        f"--service-account-private-key-file={layout.service_account_key}",
        f"--root-ca-file={layout.serving_certificate}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        # The default of 15 s makes a claim wait that long for its volume after a lost race.
        "--pvclaimbinder-sync-period=2s",
    ]


def scheduler_command(layout: Layout, bin_dir: Path) -> list[str]:
    """kube-scheduler with its default profile."""
    return [
        str(bin_dir / "kube-scheduler"),
        f"--kubeconfig={layout.kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def kwok_command(layout: Layout, bin_dir: Path) -> list[str]:
    """kwok, which plays the kubelet of every node."""
    return [
        str(bin_dir / "kwok"),
        f"--kubeconfig={layout.kubeconfig}",
        "--manage-all-nodes=true",
        f"--config={layout.stages}",
        "--v=WARN",
    ]


def write_credentials(layout: Layout) -> None:
    """Make the token and the service account key, unless an earlier start with the same data made them."""
    layout.certificates.mkdir(parents=True, exist_ok=True)
    layout.certificates.chmod(0o700)
    if not layout.tokens.exists():
        users = (f'admin,admin,"{ADMIN_GROUP}"', *real_node.USERS.values())
        write_private(layout.tokens, "".join(f"{secrets.token_urlsafe(32)},{user}\n" for user in users))
    if not layout.service_account_key.exists():
        write_private(layout.service_account_key, _rsa_key())


def write_kubeconfigs(layout: Layout, ports: Ports) -> None:
    """Write the administrator's kubeconfig, and a real node's, once kube-apiserver has made its certificate."""
    lines = layout.tokens.read_text(encoding="utf-8").splitlines()
    files = [layout.kubeconfig]
    if ports.address != LOOPBACK:
        files += [layout.kubeconfig_of(user) for user in real_node.USERS]
    for path, line in zip(files, lines, strict=False):
        _write_kubeconfig(path, layout, ports.server, line.split(",", 1)[0])


def _write_kubeconfig(path: Path, layout: Layout, server: str, token: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "throw-away",
        "contexts": [{"name": "throw-away", "context": {"cluster": "throw-away", "user": "admin"}}],
        "clusters": [
            {
                "name": "throw-away",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(
                        layout.serving_certificate.read_bytes()
                    ).decode(),
                },
            }
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False))


def _rsa_key() -> str:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ClusterError(
            "The cluster signs service account tokens with a key made by `openssl`, which is not on PATH."
        )
    made = subprocess.run(
        [openssl, "genrsa", "2048"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if made.returncode != 0:
        raise ClusterError(f"openssl could not make a key: {made.stderr.strip()}")
    return made.stdout
