"""One host: realises what components ask for as networks, volumes and containers of its engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pulumi
from pulumi_docker import Container, Network, RemoteImage, Volume

from components.model.exposure import PublishedPortSpec, TraefikSpec, Way
from components.model.secret_text import SecretText
from components.model.specs import CertificateSpec, DatabaseCluster, PublishedSecret
from components.model.task import Task
from components.model.values import ImageRef
from components.model.watch import Watch
from components.model.workload import ConfigFiles, Port, SecretFiles, Storage, VolumeRequest, Workload
from components.platform.base import Values
from components.platform.docker import containers, files, networks, tasks, volumes
from components.platform.docker.containers import ContainerContext, Folder
from components.platform.docker.files import FileSet
from components.platform.docker.objects import Inputs, Made, register
from components.platform.docker.options import DockerPlatformArgs
from components.platform.inputs import digest

_DOCKER_DNS = "127.0.0.11"
"""The engine's name server as containers reach it; Podman's is at the gateway of each network."""


class DockerPlatform(pulumi.ComponentResource):
    """A container engine on one machine. Components call it; `finish` is the last call.

    On a host: a network for each workload that others connect to; images, volumes and containers are the components'.
    """

    def __init__(
        self, name: str, args: DockerPlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("immich:docker:Platform", name, {}, opts)
        self._options = args
        self._folders: dict[str, Folder] = {}
        self._volumes: dict[str, pulumi.Resource] = {}
        self._secrets: dict[str, tuple[Mapping[str, SecretText], Values]] = {}
        self._provider = self.get_provider("docker:index/container:Container")
        self._networks: dict[str, Network] = {}
        self._images: dict[str, RemoteImage] = {}

    # What components call

    @property
    def makes_certificates(self) -> bool:
        """Nothing on the host does."""
        return False

    @property
    def hides_clients(self) -> bool:
        """An engine without root does: connections go through a program of its own."""
        return self._options.hides_clients

    @property
    def unpinned_images(self) -> tuple[str, ...]:
        """Images without a digest, of everything that runs there so far."""
        return tuple(image for image in self._images if "@" not in image)

    @property
    def resolver(self) -> str | None:
        """A container that was made anew has another address."""
        if not self._options.podman:
            return _DOCKER_DNS
        return networks.gateway(networks.subnet_of("server", self._options))

    def sources(self, workload: str) -> tuple[str, ...]:
        """The network of the workload and those that are linked to it; nobody else is in there."""
        if not self._options.subnets or not self._options.has_network(workload, ports=True):
            return ()
        return (networks.subnet_of(workload, self._options),)

    def host_addresses(self, workload: str) -> tuple[str, ...]:
        """The engine's address on the workload's way out: what comes from the host itself comes from there."""
        if not self._options.subnets:
            return ()
        return (networks.gateway(networks.subnet_of(f"{workload}{networks.OUTSIDE}", self._options)),)

    def address(self, workload: str, at: str | None = None) -> str:
        """Host name of a workload in its own network, or in one where several meet."""
        return networks.alias(workload, at)

    def full_address(self, workload: str) -> str:
        """Name of its container, which the engine knows in every network that it is in."""
        return containers.container_name(workload, self._options)

    def volume(self, request: VolumeRequest, *, parent: pulumi.Resource) -> None:
        """Make a volume for data, or adopt a folder or a volume that exists."""
        if request.host_path is not None:
            self._folders[request.name] = Folder(path=request.host_path)
            return
        name = volumes.volume_name(request, self._options)
        self._folders[request.name] = Folder(volume=name)
        if not volumes.is_made(request):
            return
        self._volumes[request.name] = self._register(
            Volume,
            name,
            volumes.volume(request, self._options),
            parent=parent,
            holds_data=request.holds_data,
            kept=request.kept,
            # Engines cannot change them, and another label is no reason to lose a volume.
            ignore=("labels",),
        )

    def publish(self, secret: PublishedSecret, values: Values, *, parent: pulumi.Resource) -> None:
        """Keep a secret for the containers that mount it; each gets a copy in a volume of its own."""
        del parent
        self._secrets[secret.name] = (secret.items, values)

    def workload(
        self,
        workload: Workload,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """Run a workload once `after` is there; gives what is ready when its health check says so."""
        options = self._options
        context, needed = self._surroundings(workload, parent, after, fingerprints)
        made = [
            self._register(
                Container,
                containers.container_name(workload.name, options, copy),
                containers.container(workload, context, copy),
                parent=parent,
                after=needed,
                timeout=workload.start_timeout + workload.termination_grace + 60,
                ignore=containers.ignored(options),
            )
            for copy in range(workload.replicas)
        ]
        for one in workload.sidecars:
            beside = pulumi.Output.concat("container:", made[0].id)
            inputs = containers.sidecar(
                one,
                workload,
                replace(context, image=self._image(one.image, one.name), networks=(), labels={}),
                beside,
            )
            self._register(
                Container, str(inputs["name"]), inputs, parent=parent, ignore=containers.ignored(options)
            )
        return made[0]

    def task(
        self,
        task: Task,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """A container for each step: those of a schedule wait for their turn, others run now, one after the other.

        Gives the first step's container of a schedule. Without one, something that is only there when the last step has
        ended well: a step that fails raises `pulumi.RunError` for whatever waits for it.
        """
        options = self._options
        made: list[Container] = []
        succeeded: list[pulumi.Output[str]] = []
        for number in range(1, len(task.steps) + 1):
            workload = tasks.step(task, number)
            context, needed = self._surroundings(
                workload,
                parent,
                [*after, *(made if task.schedule is None else ())],
                fingerprints,
                way_out=tasks.way_out(),
            )
            labels = {**context.labels, **tasks.labels(task, number)}
            if succeeded:
                labels[tasks.PREVIOUS_LABEL] = succeeded[-1]
            name = containers.container_name(workload.name, options)
            inputs = tasks.inputs(task, containers.container(workload, replace(context, labels=labels)))
            one = self._register(
                Container,
                name,
                inputs,
                parent=parent,
                after=needed,
                timeout=task.deadline + workload.start_timeout,
                ignore=containers.ignored(options) if task.repeats else ("*",),
            )
            made.append(one)
            if task.schedule is None:
                succeeded.append(
                    pulumi.Output.all(one.id, one.exit_code, one.container_logs).apply(
                        tasks.judge(task, name)
                    )
                )
        if task.schedule is not None:
            return made[0]
        return pulumi.Stash(
            f"{options.prefix}-{task.name}-done",
            pulumi.ResourceOptions(parent=parent, depends_on=made),
            input=succeeded[-1],
        )

    def cluster_address(self, name: str, namespace: str | None) -> str:
        """Not on one host: no operator is there."""
        del namespace
        raise ValueError(f"{name}: a host has no operator that keeps database clusters")

    def copies(self, workload: str, port: Port, *, parent: pulumi.Resource, at: str | None = None) -> str:
        """The name that all copies have: the engine gives the address of each."""
        del port, parent
        return self.address(workload, at)

    def watch(self, watch: Watch, *, parent: pulumi.Resource) -> None:
        """Not on one host: no operator is there."""
        del parent
        raise ValueError(f"{watch.stack}: a host has no Prometheus operator")

    def database_cluster(
        self, spec: DatabaseCluster, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> tuple[str, pulumi.Resource]:
        """Not on one host: no operator is there."""
        del parent, after
        raise ValueError(f"{spec.name}: a host has no operator that keeps database clusters")

    def certificate(self, spec: CertificateSpec, *, parent: pulumi.Resource) -> None:
        """Not on one host: `makes_certificates` says so."""
        del parent
        raise ValueError(f"{spec.name}: nothing on a host makes certificates")

    def open(self, way: Way, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]) -> None:
        """Nothing is left to do: ports and labels are part of the container."""
        del parent, after
        if not isinstance(way, PublishedPortSpec | TraefikSpec):
            raise ValueError(f"{way.name}: a host has no {type(way).__name__}")

    def finish(self) -> None:
        """Nothing needs to know all workloads."""
        self.register_outputs({})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.finish()

    # Private

    def _register(self, made_by: Callable[..., Made], name: str, inputs: Inputs, **more: Any) -> Made:
        """Register an object with the platform's provider, whoever its parent is."""
        return register(made_by, name, inputs, provider=self._provider, **more)

    def _surroundings(
        self,
        workload: Workload,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource],
        fingerprints: Mapping[str, pulumi.Output[str]] | None,
        way_out: str | None = None,
    ) -> tuple[ContainerContext, list[pulumi.Resource]]:
        """What a workload's containers need to know, and what must be there before them."""
        options = self._options
        file_sets = self._file_sets(workload)
        needed = [*after, *self._filled(workload, file_sets, parent)]
        revision = {
            **workload.revision,
            **{
                mount.name: digest(mount.files) for mount in workload.mounts if isinstance(mount, ConfigFiles)
            },
        }
        labels: dict[str, Any] = {f"immich.revision-{name}": value for name, value in revision.items()}
        labels |= {f"immich.secret-{name}": value for name, value in (fingerprints or {}).items()}
        joined = networks.joined_by(workload, options, way_out)
        context = ContainerContext(
            options=options,
            image=self._image(workload.image, workload.name),
            networks=(
                *((self._network(name), networks.alias_in(name, workload)) for name in joined),
                *((name, None) for name in networks.foreign(workload)),
            ),
            folders=self._folders,
            files={one.path: one.volume for one in file_sets},
            labels=labels,
        )
        return context, needed

    def _file_sets(self, workload: Workload) -> list[FileSet]:
        found: list[FileSet] = []
        for mount in workload.mounts:
            if isinstance(mount, ConfigFiles):
                contents: Mapping[str, Any] = mount.files
            elif isinstance(mount, SecretFiles):
                contents = self._secret_contents(mount)
            else:
                continue
            found.append(
                FileSet(
                    volume=files.file_volume(workload, mount, self._options),
                    path=mount.path,
                    contents=contents,
                )
            )
        return found

    def _secret_contents(self, mount: SecretFiles) -> dict[str, pulumi.Output[str]]:
        texts, values = self._secrets[mount.secret]
        found: dict[str, pulumi.Output[str]] = {}
        for item, name in mount.items.items():
            text = texts[item]
            resolved = values(tuple(dict.fromkeys(text.keys)))
            found[name] = pulumi.Output.secret(resolved.apply(text.resolve))
        return found

    def _filled(
        self, workload: Workload, file_sets: Sequence[FileSet], parent: pulumi.Resource
    ) -> list[pulumi.Resource]:
        """Volumes of the workload, and the loader that fills its files and gives it its empty folders."""
        options = self._options
        needed: list[pulumi.Resource] = [
            self._volumes[name]
            for name in dict.fromkeys(mount.volume for mount in workload.mounts if isinstance(mount, Storage))
            if name in self._volumes
        ]
        writable = files.owned(workload, self._folders)
        if not file_sets and not writable:
            return needed
        for one in file_sets:
            needed.append(self._register(Volume, one.volume, files.volume(one, options), parent=parent))
        inputs = files.loader(
            workload, file_sets, writable, self._image(ImageRef(options.files_image), "files"), options
        )
        needed.append(
            self._register(
                Container,
                str(inputs["name"]),
                inputs,
                parent=parent,
                after=needed,
                ignore=containers.ignored(options),
            )
        )
        return needed

    def _image(self, image: ImageRef | pulumi.Output[str], of: str) -> pulumi.Output[str]:
        """Id of an image on the engine; `of` is who needs it."""
        if isinstance(image, ImageRef):
            key = str(image)
            name = image.partition("@")[0].replace("/", "-").replace(":", "-")
        else:
            key = name = of
        if key not in self._images:
            self._images[key] = self._register(
                RemoteImage,
                f"image-{name}",
                # An image that nothing uses any more is the owner's to remove: a way back costs no download.
                {"name": str(image) if isinstance(image, ImageRef) else image, "keepLocally": True},
                parent=self,
            )
        return self._images[key].image_id

    def _network(self, name: str) -> pulumi.Output[str]:
        if name not in self._networks:
            self._networks[name] = self._register(
                Network,
                f"{self._options.prefix}-{name}",
                networks.network(name, self._options),
                parent=self,
                ignore=("ipamOptions",) if self._options.podman else (),
            )
        return self._networks[name].name
