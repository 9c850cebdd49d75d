"""Immich beside a managed database: its host, port and password are outputs, unknown while the update is planned."""

import pulumi
import pulumi_kubernetes
import pulumi_random

import components as immich

cluster = pulumi_kubernetes.Provider("cluster", context=pulumi.Config().get("context"))
# In the place of aws.rds.Instance, azure.dbforpostgresql.FlexibleServer, ...: what they give are outputs as well.
instance = pulumi_random.RandomPet("instance")
password = pulumi_random.RandomPassword("password", length=32, special=False)
host = pulumi.Output.concat(instance.id, ".eu-central-1.rds.amazonaws.com")

with immich.KubernetesPlatform(
    "photos", immich.KubernetesPlatformArgs(namespace="photos"), pulumi.ResourceOptions(provider=cluster)
) as platform:
    database = immich.Database(
        "managed-db",
        immich.DatabaseArgs(
            platform=platform,
            settings=immich.ExternalDatabase(kind="external", host=host, ssl_mode="verify-full"),
            password=password.result,
        ),
    )
    cache = immich.Cache("cache", immich.CacheArgs(platform=platform))
    storage = immich.Storage("storage", immich.StorageArgs(platform=platform))
    server = immich.Server(
        "server",
        immich.ServerArgs(
            platform=platform,
            database=database.connection,
            cache=cache.connection,
            mounts=storage.mounts,
            after=cache.ready,
        ),
    )
pulumi.export("url", server.url)
