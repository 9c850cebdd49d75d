"""The offline `kubernetes` provider, run with `python -m toolchain.offline.plugins.kubernetes`.

It behaves as pulumi-kubernetes 4.34 does in server-side apply mode and in `renderYamlToDirectory` mode, with
one stated difference: on a cluster that has no node at all it does not wait for what only a node can bring
about.
"""
