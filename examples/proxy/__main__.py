"""nginx in front of an Immich that exists already: large uploads, long timeouts, and no forged client addresses.

Without `tls` in its settings it speaks plain http.
"""

import pulumi
import pulumi_kubernetes

import components as immich

config = pulumi.Config()
cluster = pulumi_kubernetes.Provider("cluster", context=config.get("context"))
# Where that Immich is may be an output of another resource or stack as well.
host = pulumi.Output.concat(
    config.get("service") or "immich-server", ".", config.get("namespace") or "photos", ".svc.cluster.local"
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
            https=False,
            server=immich.ExternalService(host=host),
        ),
    )
pulumi.export("urls", list(proxy.urls))
