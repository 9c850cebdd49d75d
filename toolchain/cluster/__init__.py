"""A throw-away Kubernetes cluster: the real kube-apiserver and etcd on loopback, as ordinary processes.

`python -m toolchain.cluster start` is the way in for people; :mod:`toolchain.cluster.lifecycle` for programs.
"""
