"""nginx in front of an Immich that exists already: large uploads, long timeouts, and no forged client addresses."""

import pulumi
import pulumi_kubernetes

import components as immich

config = pulumi.Config()
cluster = pulumi_kubernetes.Provider("cluster", context=config.get("context"))
service = pulumi_kubernetes.core.v1.Service.get(
    "immich", config.get("service") or "photos/immich-server", opts=pulumi.ResourceOptions(provider=cluster)
)
host = pulumi.Output.concat(
    service.metadata.apply(lambda found: str(found.name)),
    ".",
    service.metadata.apply(lambda found: str(found.namespace)),
)
with immich.KubernetesPlatform(
    "edge", immich.KubernetesPlatformArgs(namespace="photos-edge"), pulumi.ResourceOptions(provider=cluster)
) as platform:
    proxy = immich.Proxy(
        "photos-proxy",
        immich.ProxyArgs(
            platform=platform,
            settings=immich.ProxySettings(expose=(immich.LoadBalancer(kind="loadBalancer"),)),
            hostnames=("photos.example.com",),
            server=immich.ExternalService(host=host),
        ),
    )
pulumi.export("urls", list(proxy.urls))
