"""A Kubernetes cluster as a platform."""
