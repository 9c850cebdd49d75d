"""Kubernetes: realises what components ask for as objects of one namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Self

import pulumi

from components.model.exposure import (
    IngressSpec,
    LoadBalancerSpec,
    PublishedPortSpec,
    RouteSpec,
    TraefikSpec,
    Way,
)
from components.model.naming import cluster_peer, labels, object_name
from components.model.specs import CertificateSpec, DatabaseCluster, Peer, PublishedSecret
from components.model.task import Task
from components.model.watch import Watch
from components.model.workload import ConfigFiles, Mount, Port, SecretFiles, VolumeRequest, Workload
from components.platform.base import Values
from components.platform.inputs import digest
from components.platform.kubernetes import (
    certificates,
    cilium,
    cloudnative_pg,
    gateway_policies,
    monitoring,
    network_policies,
    routes,
    secrets,
    tasks,
    traefik,
    volumes,
    workloads,
)
from components.platform.kubernetes.existing_secrets import Located, locate
from components.platform.kubernetes.objects import Manifest, register
from components.platform.kubernetes.options import KubernetesPlatformArgs
from components.platform.kubernetes.pods import SERVICE_ACCOUNT, PodContext

_ADDRESS_WITHIN = 300
"""Seconds that an update waits for a load balancer's address; the plugin's own ten minutes only delay the report."""


class KubernetesPlatform(pulumi.ComponentResource):
    """The namespace and everything in it. Components call it; `finish` makes what needs to know all of them.

    On a cluster: Namespace, ServiceAccount, and the NetworkPolicy of every workload on top of one that denies all.
    """

    def __init__(
        self, name: str, args: KubernetesPlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("immich:kubernetes:Platform", name, {}, opts)
        self._options = args
        self._provider = self.get_provider("kubernetes:core/v1:Namespace")
        self._workloads: list[Workload] = []
        self._tasks: list[Task] = []
        self._peers: dict[str, Peer] = {}
        self._claims: dict[str, str] = {}
        self._access_modes: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._located: dict[str, Located] = {}
        self._published: dict[str, pulumi.Resource] = {}
        self._files: dict[str, pulumi.Resource] = {}
        self._clusters: list[DatabaseCluster] = []
        self._made: set[tuple[str, str, str]] = set()
        self._namespace_ready: list[pulumi.Resource] = []
        if args.create_namespace:
            self._namespace_ready.append(self._namespace(args.privileged))
        account: Manifest = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {},
            "automountServiceAccountToken": False,
        }
        self._account = self._register(account, SERVICE_ACCOUNT, "platform", self)

    # What components call

    @property
    def makes_certificates(self) -> bool:
        """cert-manager does."""
        return True

    @property
    def hides_clients(self) -> bool:
        """No port is published: load balancers keep the client's address."""
        return False

    @property
    def unpinned_images(self) -> tuple[str, ...]:
        """Images without a digest, of everything that runs there so far."""
        pods = [*self._workloads, *(step for task in self._tasks for step in task.steps)]
        images = [image for pod in pods for image in (pod.image, *(one.image for one in pod.sidecars))]
        images += [cluster.image for cluster in self._clusters]
        known = dict.fromkeys(str(image) for image in images if isinstance(image, str))
        return tuple(image for image in known if "@" not in image)

    @property
    def resolver(self) -> str | None:
        """None: a Service keeps its address."""
        return None

    def sources(self, workload: str) -> tuple[str, ...]:
        """Networks of the pods: any pod that a policy lets through may be the peer."""
        del workload
        return self._options.pod_cidrs

    def host_addresses(self, workload: str) -> tuple[str, ...]:
        """None: no port of a node is published."""
        del workload
        return ()

    def address(self, workload: str, at: str | None = None) -> str:
        """Host name of a workload inside the deployment, the same to all."""
        del at
        return object_name(workload)

    def full_address(self, workload: str) -> str:
        """Host name of a workload for pods of other namespaces."""
        return f"{object_name(workload)}.{self._options.namespace}.svc.{self._options.cluster_domain}"

    def volume(self, request: VolumeRequest, *, parent: pulumi.Resource) -> None:
        """Make a volume for data, or adopt the claim that exists."""
        claim = volumes.claim_name(request)
        self._claims[request.name] = claim
        self._access_modes[request.name] = request.access_mode
        if request.existing_claim is not None:
            return
        namespace = self._options.namespace
        after: list[pulumi.Resource] = []
        static = volumes.volume(request, namespace)
        if static is not None:
            after.append(
                register(
                    static,
                    provider=self._provider,
                    name=volumes.volume_name(request, namespace),
                    namespace=None,
                    labels=self._labels("storage"),
                    parent=parent,
                    holds_data=request.holds_data,
                )
            )
        manifest = volumes.claim(request, namespace)
        self._register(manifest, claim, "storage", parent, after=after, holds_data=request.holds_data)

    def publish(self, secret: PublishedSecret, values: Values, *, parent: pulumi.Resource) -> None:
        """Make a secret that workloads can mount by its logical name."""
        name = self._options.secret_names.get(secret.name, object_name(secret.name))
        self._secrets[secret.name] = name
        store = self._options.external_store
        if store is not None and not secret.generated:
            manifest: Manifest = secrets.external_secret(secret, store, name)
        else:
            left, located = locate(secret, self._options.existing_secrets, name)
            if located is not None:
                self._located[secret.name] = located
            if located is not None and secret.type != "Opaque":
                # An operator reads it as a whole, so that the one that exists takes its place.
                self._secrets[secret.name] = next(one for one, _ in located.entries.values() if one != name)
                return
            if left is None:
                return
            keys = tuple(dict.fromkeys(key for text in left.items.values() for key in text.keys))
            texts = left.items
            resolved = values(keys).apply(
                lambda found: {item: text.resolve(found) for item, text in texts.items()}
            )
            manifest = {**secrets.secret(secret), "stringData": pulumi.Output.secret(resolved)}
        if secret.labels:
            manifest["metadata"]["labels"] = dict(secret.labels)
        self._published[secret.name] = self._register(
            manifest, name, secret.name, parent, namespace=secret.namespace
        )

    def workload(
        self,
        workload: Workload,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """Run a workload once `after` is there; gives the resource that is ready when the workload is.

        `fingerprints` are keyed hashes of its secrets: a change restarts the pods.
        """
        self._workloads.append(workload)
        files = [mount for mount in workload.mounts if isinstance(mount, ConfigFiles)]
        needed = [*after, *self._needed(workload.mounts, parent)]
        annotations: dict[str, pulumi.Input[str]] = {}
        revision: dict[str, pulumi.Input[str]] = {
            **workload.revision,
            **{mount.name: digest(mount.files) for mount in files},
        }
        annotations |= {f"immich/revision-{name}": value for name, value in sorted(revision.items())}
        annotations |= {
            f"immich/secret-{name}": value for name, value in sorted((fingerprints or {}).items())
        }
        context = self._context(workload.name)
        ready: pulumi.Resource = self._register(
            workloads.controller(workload, context, annotations),
            object_name(workload.name),
            workload.name,
            parent,
            after=needed,
            timeout=workload.start_timeout + workload.termination_grace + 60,
        )
        if workload.ports:
            # After the pods: the engine waits for a Service's endpoints.
            ready = self._register(
                workloads.service(workload), object_name(workload.name), workload.name, parent, after=[ready]
            )
        if workload.replicas > 1:
            self._register(
                workloads.disruption_budget(workload), object_name(workload.name), workload.name, parent
            )
        return ready

    def task(
        self,
        task: Task,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """A CronJob, or a Job that the engine waits for until it has succeeded.

        A Job runs again when its images, commands, settings or `revision`s change. Scripts that changed are no
        reason: pods read them when they start; nor are secrets, unless the task says so.
        """
        others = [*self._workloads, *self._tasks]
        tasks.check(task, [one.name for one in others], self._access_modes)
        beside = tasks.neighbours(task, others, self._access_modes, self._options.server_volumes)
        self._tasks.append(task)
        mounts = [mount for step in task.steps for mount in step.mounts]
        context = self._context(task.name)
        made = (
            tasks.job(task, context, beside, (fingerprints or {}) if task.follows_secrets else {})
            if task.schedule is None
            else tasks.cron_job(task, task.schedule, context, beside)
        )
        return self._register(
            made,
            object_name(task.name),
            task.name,
            parent,
            after=[*after, *self._needed(mounts, parent)],
            timeout=task.deadline + 120 if task.schedule is None else None,
            ignore=() if task.repeats else ("spec",),
        )

    def cluster_address(self, name: str, namespace: str | None) -> str:
        """Host name of a database cluster's primary."""
        if namespace is None:
            return f"{name}-rw"
        return f"{name}-rw.{namespace}.svc.{self._options.cluster_domain}"

    def copies(self, workload: str, port: Port, *, parent: pulumi.Resource, at: str | None = None) -> str:
        """A Service without an address of its own: its name stands for every pod, ready or not."""
        del at
        name = f"{object_name(workload)}-{port.name}"
        self._register(monitoring.headless(workload, port), name, workload, parent)
        return name

    def watch(self, watch: Watch, *, parent: pulumi.Resource) -> None:
        """Monitors, a PrometheusRule, and dashboards as ConfigMaps."""
        for piece in monitoring.pieces(watch, self._options.namespace):
            self._register(piece.manifest, piece.name, piece.component, parent)

    def database_cluster(
        self, spec: DatabaseCluster, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> tuple[str, pulumi.Resource]:
        """Make a CloudNativePG cluster; gives its host name and the resource that is ready when it is.

        Its kept generations are registered as they are and never made.
        """
        namespace = spec.namespace or self._options.namespace
        for name in (spec.name, *spec.kept):
            self._peers[cluster_peer(name)] = Peer(namespace=spec.namespace, labels={"cnpg.io/cluster": name})
        self._clusters.append(spec)

        made = dict(self._published)
        for piece in cloudnative_pg.pieces(spec, self._secrets, self._located):
            made[piece.kind] = self._register(
                piece.manifest,
                piece.name,
                "database",
                parent,
                after=[*after, *(made[one] for one in piece.after if one in made)],
                namespace=namespace,
                holds_data=piece.holds_data,
                timeout=piece.timeout,
                ignore=piece.ignore,
                must_exist=piece.must_exist,
            )
        return self.cluster_address(spec.name, spec.namespace), made["Database"]

    def certificate(self, spec: CertificateSpec, *, parent: pulumi.Resource) -> None:
        """Have cert-manager make a certificate, or adopt the Secret that exists."""
        self._secrets[spec.name] = spec.secret
        after: list[pulumi.Resource] = []
        for manifest in certificates.manifests(spec):
            after = [self._register(manifest, spec.secret, "proxy", parent, after=after)]
        if after:
            self._published[spec.name] = after[0]

    def open(self, way: Way, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]) -> None:
        """Register the object that opens a way, and what its implementation needs for large uploads."""
        match way:
            case RouteSpec():
                route = self._register(routes.http_route(way), way.name, way.to, parent, after=after)
                for policy in gateway_policies.policies(way):
                    self._register(policy, way.name, way.to, parent, after=[route])
                name = f"{way.name}-begin"
                for limited in gateway_policies.limited(way, name):
                    self._register(limited, name, way.to, parent, after=after)
            case IngressSpec():
                self._register(routes.ingress(way), way.name, way.to, parent, after=after)
            case TraefikSpec():
                named = [
                    self._register(manifest, name, way.to, parent, after=after)
                    for name, manifest in traefik.named_objects(way)
                ]
                self._register(traefik.ingress_route(way), way.name, way.to, parent, after=[*after, *named])
            case LoadBalancerSpec():
                self._register(
                    routes.load_balancer(way), way.name, way.to, parent, after=after, timeout=_ADDRESS_WITHIN
                )
            case PublishedPortSpec():
                raise ValueError(f"{way.name}: a cluster publishes no port of a host")

    def finish(self) -> None:
        """Isolate what was made: everything denied both ways, then what the links say."""
        flavour = self._options.network_policies
        if flavour != "none":
            make = cilium if flavour == "cilium" else network_policies
            self._register(make.default_deny(), "immich-default-deny", "isolation", self)
            members = self._members()
            for one in members:
                manifest = make.workload_policy(one, members, self._peers)
                self._register(manifest, object_name(one.name), one.name, self)
            if self._options.lan_allowances:
                self._register(
                    cilium.lan_allowances(self._options.lan_allowances),
                    "immich-lan-allowances",
                    "isolation",
                    self,
                )
            for spec in self._clusters:
                self._isolate_cluster(spec)
        self.register_outputs({})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.finish()

    # Private

    def _context(self, name: str) -> PodContext:
        return PodContext(
            claims=self._claims, secrets=self._secrets, located=self._located, labels=self._labels(name)
        )

    def _members(self) -> list[network_policies.Connected]:
        return [*self._workloads, *(tasks.member(task) for task in self._tasks)]

    def _needed(self, mounts: Sequence[Mount], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """What pods with these mounts cannot start without."""
        secrets_there = [
            self._published[mount.secret]
            for mount in mounts
            if isinstance(mount, SecretFiles) and mount.secret in self._published
        ]
        files = [self._config_files(mount, parent) for mount in mounts if isinstance(mount, ConfigFiles)]
        return [self._account, *secrets_there, *files]

    def _isolate_cluster(self, spec: DatabaseCluster) -> None:
        clients = [
            (workload.name, link.port)
            for workload in self._members()
            for link in workload.links
            if link.to == cluster_peer(spec.name)
        ]
        for name in (spec.name, *spec.kept):
            manifest = network_policies.peer_policy(
                self._peers[cluster_peer(name)],
                clients if name == spec.name else [],
                namespace=self._options.namespace,
                operator_namespace=spec.operator_namespace,
                archive_ports=cloudnative_pg.archive_ports(spec),
                monitoring_namespace=spec.monitoring_namespace,
            )
            self._register(manifest, name, "database", self, namespace=spec.namespace)

    def _config_files(self, files: ConfigFiles, parent: pulumi.Resource) -> pulumi.Resource:
        """The ConfigMap of some files; workloads that mount the same ones, such as both workers, share it.

        It belongs to the platform: whoever mounts it first may be another one in the next update, and the engine would
        make it anew under a name that is taken.
        """
        if files.name not in self._files:
            self._files[files.name] = self._register(
                workloads.config_map(files),
                object_name(files.name),
                "platform",
                self,
                aliases=[pulumi.Alias(parent=parent), *_below_components(parent)],
            )
        return self._files[files.name]

    def _namespace(self, privileged: bool) -> pulumi.Resource:
        level = self._options.pod_security
        if level == "auto":
            level = "privileged" if privileged else "restricted"
        marks = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
        manifest: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": marks}}
        return register(
            manifest,
            provider=self._provider,
            name=self._options.namespace,
            namespace=None,
            labels=self._labels("platform"),
            parent=self,
            holds_data=True,
        )

    def _labels(self, component: str) -> dict[str, str]:
        return labels(component, self._options.stack)

    def _register(
        self,
        manifest: Manifest,
        name: str,
        component: str,
        parent: pulumi.Resource,
        *,
        after: Sequence[pulumi.Resource] = (),
        namespace: str | None = None,
        holds_data: bool = False,
        timeout: int | None = None,
        ignore: Sequence[str] = (),
        must_exist: bool = False,
        aliases: Sequence[pulumi.Alias] = (),
    ) -> pulumi.CustomResource:
        made = (str(manifest["kind"]), namespace or self._options.namespace, name)
        if made in self._made:
            raise pulumi.RunError(
                f"the {made[0]} {made[1]}/{name} would be made twice: a name of the settings, such as "
                "immich:database.clusterName or a claimName, is one of this program's own; choose another"
            )
        self._made.add(made)
        return register(
            manifest,
            provider=self._provider,
            name=name,
            namespace=namespace or self._options.namespace,
            labels=self._labels(component),
            parent=parent,
            after=[*self._namespace_ready, *after],
            holds_data=holds_data,
            timeout=timeout,
            ignore=ignore,
            must_exist=must_exist,
            aliases=aliases,
        )


def _below_components(mounts: pulumi.Resource) -> list[pulumi.Alias]:
    """Where earlier releases had files that a backup, the server and an upgrade (`mounts`) share."""

    def alias(component: str) -> pulumi.Alias:
        return pulumi.Alias(
            parent=mounts.urn.apply(lambda urn: re.sub(r"immich:index:\w+::[^:]+$", component, urn))
        )

    return [alias("immich:index:Backup::backup"), alias("immich:index:Server::server")]
