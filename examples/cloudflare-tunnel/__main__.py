"""Cloudflare Tunnel, its DNS name and Access in front of any service of a cluster: no port is open to the internet."""

import pulumi
import pulumi_cloudflare
import pulumi_kubernetes

import components as immich

config = pulumi.Config()
cluster = pulumi_kubernetes.Provider("cluster", context=config.get("context"))
account = pulumi_cloudflare.Provider("cloudflare", api_token=config.require_secret("apiToken"))
with immich.KubernetesPlatform(
    "edge", immich.KubernetesPlatformArgs(namespace="edge"), pulumi.ResourceOptions(provider=cluster)
) as platform:
    tunnel = immich.Cloudflare(
        "photos",
        immich.CloudflareArgs(
            platform=platform,
            settings=immich.CloudflareSettings(
                account_id=immich.HexId(config.require("accountId")),
                zone=immich.Hostname("example.com"),
                zone_id=immich.HexId(config.require("zoneId")),
                tunnel=immich.Tunnel(),
                access=immich.Access(email_domains=(immich.Hostname("example.com"),)),
            ),
            hostnames=(immich.Hostname("photos.example.com"),),
            service=immich.ExternalService(host="immich-server.photos.svc.cluster.local"),
        ),
        pulumi.ResourceOptions(providers=[account]),
    )
pulumi.export("tunnelId", tunnel.tunnel_id)
pulumi.export("hostnames", list(tunnel.hostnames))
