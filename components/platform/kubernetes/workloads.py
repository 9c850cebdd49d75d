"""Deployment, StatefulSet, Service, ConfigMap and PodDisruptionBudget of a Workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.model.naming import object_name, selector
from components.model.workload import ConfigFiles, Workload
from components.platform.kubernetes.pods import Manifest, PodContext, pod_template


def controller(workload: Workload, context: PodContext, annotations: Mapping[str, Any]) -> Manifest:
    """The Deployment, or StatefulSet where copies have data of their own."""
    template = pod_template(workload, context, annotations)
    spec: Manifest = {
        "replicas": workload.replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": selector(workload.name)},
        "template": template,
    }
    if workload.stateful:
        spec |= {
            "serviceName": object_name(workload.name),
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate"},
        }
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {}, "spec": spec}
    spec["progressDeadlineSeconds"] = workload.start_timeout + workload.termination_grace
    spec["strategy"] = (
        {"type": "Recreate"}
        if workload.exclusive
        else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    )
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": spec}


def service(workload: Workload) -> Manifest:
    """The address of a workload inside the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {},
        "spec": {
            "type": "ClusterIP",
            "selector": selector(workload.name),
            "ports": [
                {
                    "name": port.name,
                    "port": port.number,
                    "targetPort": port.name,
                    "protocol": "TCP",
                    **({"appProtocol": port.app_protocol} if port.app_protocol else {}),
                }
                for port in workload.all_ports
            ],
        },
    }


def config_map(files: ConfigFiles) -> Manifest:
    """The files of a ConfigFiles mount."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": dict(files.files)}


def disruption_budget(workload: Workload) -> Manifest:
    """At most one copy at a time is taken away on purpose."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(workload.name)}},
    }
