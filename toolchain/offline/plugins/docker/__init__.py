"""The offline `docker` provider, run with `python -m toolchain.offline.plugins.docker`.

It works on a real Docker Engine (or what speaks its API) and behaves as pulumi-docker 5 does, which is
kreuzwerker/terraform-provider-docker 4 in Pulumi's bridge: the same defaults, the same comparison of inputs with
the state that the engine reported, the same properties that a change of which replaces, updates, or only records.
Network, Volume, RemoteImage (without `build`) and Container are there; anything else is refused by name.
"""
