"""Immich's machine learning on an NVIDIA GPU, for an Immich that runs somewhere else and sends its pictures here."""

import pulumi
import pulumi_kubernetes

import components as immich

cluster = pulumi_kubernetes.Provider("cluster", context=pulumi.Config().get("context"))
with immich.KubernetesPlatform(
    "gpu", immich.KubernetesPlatformArgs(namespace="immich-gpu"), pulumi.ResourceOptions(provider=cluster)
) as platform:
    machine_learning = immich.MachineLearning(
        "faces-and-search",
        immich.MachineLearningArgs(
            platform=platform,
            # The same release as the server's.
            version="3.3.1",
            settings=immich.BundledMachineLearning(backend="cuda"),
            # It asks for no password: only what is named here gets through.
            allow=(immich.Ingress(reason="Immich's machine", port=3003, cidrs=("192.168.1.20/32",)),),
        ),
    )
pulumi.export("url", machine_learning.url)
