"""A real node for the throw-away cluster: containerd, kubelet, kube-proxy, kube-router, CoreDNS, and volumes.

The node is a network namespace, a copy of this machine's mounts and a branch of its control groups, all named after
the folder of the cluster. What its programs write in /run, /var/log and /var/lib is in that folder, so that nothing of
a node outlives :meth:`RealNode.remove`, however its processes ended. This machine is the node's neighbour on a network
of their own:

    this machine  198.19.N.1 (and .11, .12) ---- veth ---- 198.19.N.2  the node; 198.19.N.128/25  load balancers
                                                           10.244.0.0/24 pods, 10.96.0.0/16 services

198.19.0.0/16 is set aside for tests (RFC 2544). There is no way to the internet: images come from archives.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from toolchain.offline.cluster.api import Api, Json
from toolchain.offline.cluster.layout import MODULE_DIR, REPO_ROOT, ClusterError, Layout
from toolchain.offline.cluster.process import last_lines
from toolchain.paths import is_installed

NAME: Final = "node-1"
CLUSTER_CIDR: Final = "10.244.0.0/16"
SERVICE_CIDR: Final = "10.96.0.0/16"
DNS_ADDRESS: Final = "10.96.0.10"
USERS: Final[Mapping[str, str]] = {
    "kubelet": f'system:node:{NAME},kubelet,"system:nodes"',
    "kube-proxy": "system:kube-proxy,kube-proxy",
}
"""Who asks the API server -> the rest of the line in its token file."""
PACKAGES: Final[Mapping[str, str]] = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
"""Program, or file -> Debian's package that has it."""

_GROUPS: Final = Path("/sys/fs/cgroup")
_NETWORKS: Final = Path("/run/netns")
_PAUSE: Final = "registry.k8s.io/pause:3.10"
_DNS: Final = "registry.k8s.io/coredns/coredns:built"
_TRIAL: Final = "iptables -t nat -L -n && iptables -m conntrack -h && ipset create trial hash:ip"


def missing_parts() -> list[str]:
    """Why this machine cannot have a real node, each with what to do where something can be done."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return ["it takes root on Linux"]
    absent = sorted({package for name, package in PACKAGES.items() if not is_installed(name)})
    if absent:
        return [f"not installed (Debian: apt-get install {' '.join(absent)})"]
    missing: list[str] = []
    if "\toverlay\n" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        missing.append("the kernel has no overlayfs (modprobe overlay)")
    if not Path("/dev/kmsg").exists():
        missing.append("there is no /dev/kmsg, which the kubelet reads")
    if not any(os.access(group, os.W_OK) for group in _hierarchies()):
        missing.append(f"no control groups can be made below {_GROUPS}")
    tried = subprocess.run(
        ["unshare", "--net", "sh", "-c", _TRIAL], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        missing.append(f"the kernel lacks what iptables or ipset need: {tried.stderr.strip()[-200:]}")
    return missing


class RealNode:
    """The node of the cluster in one folder. Where it is follows from the folder's path alone."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.root / "node"
        self._layout = layout
        self._loading: subprocess.Popen[bytes] | None = None
        self._key = zlib.crc32(os.fsencode(layout.root))
        self.name = f"immich-node-{self._key:08x}"
        """Of the network namespace and of the control groups."""

    @property
    def network(self) -> Path:
        """The network namespace, for nsenter."""
        return _NETWORKS / self.name

    @property
    def address(self) -> str:
        """The node's address; this machine's is its neighbour .1."""
        return self._file("address").read_text(encoding="utf-8")

    @property
    def link(self) -> str:
        """This machine's interface to it."""
        return f"imn{self.address.split('.')[2]}"

    def _file(self, name: str) -> Path:
        return self.folder / name

    # What has to be there before its processes

    def prepare(self, bin_dir: Path) -> None:
        """Make the network, the control groups and the configuration. Raises ClusterError."""
        self.remove()
        for part in ("volumes", "log", "lib", "work", "kubelet", "cni"):
            self._file(part).mkdir(parents=True, exist_ok=True)
        self._make_network()
        for hierarchy in _hierarchies():
            group = hierarchy / self.name / "node"
            group.mkdir(parents=True, exist_ok=True)
            # In cgroup v1 a new group may use no processor and no memory at all until it is told which.
            for name in ("cpuset.cpus", "cpuset.mems") if hierarchy.name == "cpuset" else ():
                for made in (group.parent, group):
                    (made / name).write_text((hierarchy / name).read_text(encoding="utf-8"))
        self._configure(bin_dir)

    def _make_network(self) -> None:
        _run("ip", "netns", "add", self.name)
        for number in (one % 254 for one in range(self._key, self._key + 254)):
            outer = f"imn{number}"
            link = ["link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", self.name]
            if subprocess.run(["ip", *link], capture_output=True, check=False).returncode == 0:
                break
        else:
            raise ClusterError("All networks for nodes are in use: see `ip link`, imn0 to imn253.")
        net = f"198.19.{number}"
        self._file("address").write_text(f"{net}.2", encoding="utf-8")
        for last in (1, 11, 12):
            _run("ip", "address", "add", f"{net}.{last}/25", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        for command in (
            f"ip address add {net}.2/25 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
            f"ip route add default via {net}.1",
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.proxy_arp=1",
        ):
            _run("nsenter", f"--net={self.network}", *command.split())
        _run("ip", "route", "add", f"{net}.128/25", "via", f"{net}.2")

    def _configure(self, bin_dir: Path) -> None:
        self._file("resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
        self._file("containerd.toml").write_text(
            _CONTAINERD.format(folder=self.folder, pause=_PAUSE), encoding="utf-8"
        )
        (self.folder / "cni" / "10-node.conflist").write_text(_CNI, encoding="utf-8")
        kubelet: Json = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            # Only this machine and the pods reach it.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": "unix:///run/containerd.sock",
            "resolvConf": str(self._file("resolv.conf")),
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            "maxPods": 100,
            "serializeImagePulls": False,
        }
        proxy: Json = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "bindAddress": self.address,
            "healthzBindAddress": f"{self.address}:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self._layout.kubeconfig_of("kube-proxy"))},
            "clusterCIDR": CLUSTER_CIDR,
            "mode": "iptables",
            # These belong to the machine and cannot be set from a network namespace.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "hostnameOverride": NAME,
        }
        for name, content in (("kubelet.yaml", kubelet), ("kube-proxy.yaml", proxy)):
            self._file(name).write_text(yaml.safe_dump(content), encoding="utf-8")
        write_image(self._file("pause.tar"), _PAUSE, bin_dir / "pause")
        write_image(self._file("coredns.tar"), _DNS, bin_dir / "coredns")

    # Its processes

    def mounts_command(self) -> list[str]:
        """Of the process that holds the node's mounts: this machine's, and folders of the node's own."""
        # No mount point of its own below /var/lib: whoever removed it would take the mount from every other node.
        script = (
            "mount --make-rshared / && mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock && "
            "mount --bind log /var/log && "
            "mount -t overlay overlay -o lowerdir=/var/lib,upperdir=lib,workdir=work /var/lib && "
            # Not on the overlay, and by a short path: the kubelet has sockets there.
            "mkdir -p /var/lib/kubelet && mount --bind kubelet /var/lib/kubelet && "
            "touch mounted && exec sleep infinity"
        )
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", f"cd '{self.folder}' && {script}"]

    def inside(self, command: Sequence[str], mounts: int) -> list[str]:
        """A command as a process of the node; `mounts` is the pid of the process that holds its mounts."""
        entered = f"--mount=/proc/{mounts}/ns/mnt"
        return self.grouped(["nsenter", f"--net={self.network}", entered, "--", *command])

    def grouped(self, command: Sequence[str]) -> list[str]:
        """A command in the node's control group: it ends with the node, whoever forgets it."""
        procs = process_groups() / self.name / "node" / "cgroup.procs"
        return ["sh", "-c", f'echo $$ > {procs} && exec "$@"', "sh", *command]

    def wait_for_mounts(self) -> None:
        """Return when the holder of the mounts has made them."""
        _until(self._file("mounted").exists, "the mounts of the node", 10)

    def containerd_command(self) -> list[str]:
        """containerd with its CRI."""
        return ["containerd", "--config", str(self._file("containerd.toml"))]

    def kubelet_command(self, bin_dir: Path) -> list[str]:
        """The kubelet."""
        return [
            str(bin_dir / "kubelet"),
            f"--config={self._file('kubelet.yaml')}",
            f"--kubeconfig={self._layout.kubeconfig_of('kubelet')}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.address}",
        ]

    def kube_proxy_command(self, bin_dir: Path) -> list[str]:
        """Addresses of Services."""
        return [str(bin_dir / "kube-proxy"), f"--config={self._file('kube-proxy.yaml')}"]

    def kube_router_command(self, bin_dir: Path) -> list[str]:
        """NetworkPolicies, and addresses of load balancers. It ends at once where its Node is not registered."""
        return [
            "env",
            "POD_NAME=kube-router",
            "POD_NAMESPACE=kube-system",  # where its lock is
            str(bin_dir / "kube-router"),
            f"--kubeconfig={self._layout.kubeconfig}",
            f"--hostname-override={NAME}",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=true",
            f"--loadbalancer-ip-range={self.address.rpartition('.')[0]}.128/25",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--health-port=0",
        ]

    def volumes_command(self) -> list[str]:
        """Of the stand-in provisioner, which runs beside the node."""
        module = ["-m", "toolchain.offline.cluster.volumes"]
        return [sys.executable, *module, str(self._layout.kubeconfig), str(self._file("volumes"))]

    def begin_to_load(self, archives: Sequence[Path], mounts: int) -> None:
        """Give containerd the images of the node itself and those of archives as `docker save` writes them.

        Others may start meanwhile; `finish_loading` waits for it.
        """
        self._ctr_answers(mounts)
        files = [self._file("pause.tar"), self._file("coredns.tar"), *archives]
        script = (
            f'for file; do echo "$file:" && {shlex.join([*_CTR, "images", "import"])} "$file" || exit 1; done'
        )
        with self._layout.log("images").open("wb") as log:
            self._loading = subprocess.Popen(
                self.inside(["sh", "-c", script, "sh", *map(str, files)], mounts), stdout=log, stderr=log
            )

    def finish_loading(self) -> None:
        """Return when all images are there. Raises ClusterError."""
        if self._loading is not None and self._loading.wait() != 0:
            raise ClusterError(f"The images cannot be loaded. {last_lines(self._layout.log('images'))}")

    def _ctr_answers(self, mounts: int) -> None:
        command = self.inside([*_CTR, "version"], mounts)

        def answers() -> bool:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        _until(answers, "containerd", 30)

    def wait_for_registration(self, check: Callable[[], None]) -> None:
        """Return when the kubelet has made its Node; `check` raises when a process has ended meanwhile."""
        with contextlib.closing(Api.from_kubeconfig(self._layout.kubeconfig)) as api:

            def registered() -> bool:
                check()
                return api.request("GET", f"/api/v1/nodes/{NAME}").ok

            _until(registered, "the registration of the node", 60)

    def fill(self, api: Api) -> None:
        """Create CoreDNS, and return when the node is Ready and names are answered."""
        text = (MODULE_DIR / "coredns.yaml").read_text(encoding="utf-8")
        for document in yaml.safe_load_all(text.replace("$ADDRESS", DNS_ADDRESS).replace("$IMAGE", _DNS)):
            answer = api.apply(document)
            if not answer.ok:
                raise ClusterError(f"{document['kind']} of CoreDNS was refused: {answer.message}")

        def ready() -> bool:
            path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
            return bool(api.request("GET", path).body.get("status", {}).get("readyReplicas"))

        _until(ready, "the node with its CoreDNS", 120)

    # The end

    def remove(self) -> None:
        """End whatever runs in the node, and undo what it changed outside its folder.

        Needs no record of what was started. Does nothing where there is no node.
        """
        if os.geteuid() != 0:
            return
        _kill_all(process_groups() / self.name)
        if self.network.exists():
            _run("ip", "netns", "delete", self.name)
            # Its address is free for its next start at once, not when the kernel has taken the namespace apart.
            subprocess.run(["ip", "link", "delete", self.link], capture_output=True, check=False)
        for hierarchy in _hierarchies():
            _remove_groups(hierarchy / self.name)
        self._file("mounted").unlink(missing_ok=True)


_CTR: Final = ("ctr", "--address", "/run/containerd.sock", "--namespace", "k8s.io")
_CONTAINERD: Final = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  # A machine may lack CAP_SYS_RESOURCE, and with it the right to a lower oom_score_adj.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""
_CNI: Final = json.dumps(
    {
        "cniVersion": "0.4.0",
        "name": "node",
        "plugins": [
            {
                # Every packet between pods is routed, so that rules about what is forwarded see it.
                "type": "ptp",
                "ipMasq": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.244.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }
)


def write_image(archive: Path, reference: str, program: Path) -> None:
    """An image of one static program, as `docker save` writes images."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as made:
        _add(made, program.name, program.read_bytes(), 0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as made:
        _add(made, "config.json", json.dumps(config).encode(), 0o644)
        _add(made, "layer.tar", layer.getvalue(), 0o644)
        _add(made, "manifest.json", json.dumps(manifest).encode(), 0o644)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _hierarchies() -> list[Path]:
    """The trees of control groups: one, or of cgroup v1 one for each controller."""
    if (_GROUPS / "cgroup.controllers").exists():
        return [_GROUPS]
    return [one for one in sorted(_GROUPS.glob("*")) if not one.is_symlink()]


def process_groups() -> Path:
    """The tree that tells which processes belong to a node."""
    return _GROUPS if _hierarchies() == [_GROUPS] else _GROUPS / "pids"


def _kill_all(group: Path) -> None:
    def none_left() -> bool:
        pids = [pid for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not pids

    _until(none_left, f"the end of the processes in {group}", 20)


def _remove_groups(group: Path) -> None:
    if not group.is_dir():
        return
    for one in (*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group):
        one.rmdir()


def _until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} took longer than {seconds:.0f} s.")
        time.sleep(0.05)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, cwd=REPO_ROOT)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
