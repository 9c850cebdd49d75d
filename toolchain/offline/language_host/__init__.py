"""The Python language host of a self-built CLI: the part of Pulumi that runs `__main__.py` and policy packs."""
