"""A database alone: PostgreSQL with VectorChord for an Immich that another program deploys in its own namespace."""

import pulumi
import pulumi_kubernetes

import components as immich

cluster = pulumi_kubernetes.Provider("cluster", context=pulumi.Config().get("context"))
fast = pulumi_kubernetes.storage.v1.StorageClass(
    "fast",
    metadata={"name": "fast"},
    provisioner="rancher.io/local-path",
    opts=pulumi.ResourceOptions(provider=cluster),
)
with immich.KubernetesPlatform(
    "photo-data",
    immich.KubernetesPlatformArgs(namespace="photo-data"),
    pulumi.ResourceOptions(provider=cluster),
) as platform:
    database = immich.Database(
        "photos-db",
        immich.DatabaseArgs(
            platform=platform,
            settings=immich.BundledDatabase(
                size=immich.VolumeSize("50Gi"), storage_class=fast.metadata.apply(lambda made: str(made.name))
            ),
            # Nobody else gets through: every namespace is closed until something is allowed.
            allow=(immich.Ingress(reason="Immich", port=5432, namespace="photos"),),
        ),
    )
pulumi.export("host", database.host)
pulumi.export("password", database.password)
