"""The components for programs in other languages: `pulumi package add <this folder>`."""

from pulumi.provider.experimental import component_provider_host

from components.hosted import Cache, Cloudflare, Database, MachineLearning, Proxy

if __name__ == "__main__":
    component_provider_host(
        name="immich", components=[Cache, Cloudflare, Database, MachineLearning, Proxy], version="0.1.0"
    )
