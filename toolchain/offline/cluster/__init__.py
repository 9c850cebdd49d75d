"""A throw-away Kubernetes cluster: the real kube-apiserver and etcd on loopback, as ordinary processes.

`python -m toolchain.offline.cluster start` is the way in for people; `lifecycle` in this package for programs.
"""
