"""Two Immichs in one program: one for the family and one for the club, on one cluster, apart from each other."""

import pulumi
import pulumi_kubernetes

import components as immich

cluster = pulumi_kubernetes.Provider("cluster", context=pulumi.Config().get("context"))
for name in ("family", "club"):
    with immich.KubernetesPlatform(
        name,
        immich.KubernetesPlatformArgs(namespace=f"{name}-photos", stack=name),
        pulumi.ResourceOptions(provider=cluster),
    ) as platform:
        storage = immich.Storage(f"{name}-storage", immich.StorageArgs(platform=platform))
        database = immich.Database(f"{name}-db", immich.DatabaseArgs(platform=platform))
        cache = immich.Cache(f"{name}-cache", immich.CacheArgs(platform=platform))
        learning = immich.MachineLearning(f"{name}-ml", immich.MachineLearningArgs(platform=platform))
        server = immich.Server(
            f"{name}-server",
            immich.ServerArgs(
                platform=platform,
                database=database.connection,
                cache=cache.connection,
                machine_learning=learning.service,
                mounts=storage.mounts,
                after=(*database.ready, *cache.ready),
            ),
        )
        proxy = immich.Proxy(
            f"{name}-proxy",
            immich.ProxyArgs(
                platform=platform,
                settings=immich.ProxySettings(expose=(immich.LoadBalancer(kind="loadBalancer"),)),
                hostnames=(f"{name}.example.com",),
                server=server.link,
                after=(server.ready,),
            ),
        )
        pulumi.export(name, server.url)
