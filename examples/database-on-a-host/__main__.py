"""A database alone on one machine: containers of the network `photos` reach it, and nobody else."""

import pulumi
import pulumi_docker

import components as immich

engine = pulumi_docker.Provider("engine", host=pulumi.Config().get("engine") or "unix:///var/run/docker.sock")
with immich.DockerPlatform(
    "photo-data", immich.DockerPlatformArgs(stack="photo-data"), pulumi.ResourceOptions(provider=engine)
) as platform:
    database = immich.Database(
        "photos-db",
        immich.DatabaseArgs(
            platform=platform, allow=(immich.Ingress(reason="Immich", port=5432, network="photos"),)
        ),
    )
    cache = immich.Cache(
        "photos-cache",
        immich.CacheArgs(
            platform=platform, allow=(immich.Ingress(reason="Immich", port=6379, network="photos"),)
        ),
    )
pulumi.export("database", database.host)
pulumi.export("cache", cache.url)
