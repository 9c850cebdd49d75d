"""How a platform realises workloads, volumes, secrets and links."""
