"""Offline provider plugins: small Pulumi providers for machines that cannot download the official ones.

Each is a program of its own (`python -m toolchain.offline.plugins.kubernetes`, `.random`, `.cloudflare`) that speaks
Pulumi's provider protocol, with the type tokens, inputs and outputs of the official plugin of that name, so
that a state made with one can be continued with the other.
"""
