"""A command in a pod. It goes by a WebSocket, which the plugin's own client does not speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from kubernetes import client as library
from kubernetes import stream as streams
from kubernetes.client.exceptions import ApiException
from kubernetes.config import kube_config

from toolchain.offline.plugins.kubernetes.settings import kubeconfig_document
from toolchain.verify.running import RunningError


def execute(
    namespace: str,
    pod: str,
    container: str | None,
    command: Sequence[str],
    *,
    seconds: float,
    context: str | None,
) -> tuple[int, str]:
    """Exit code and output; without `container` it is the pod's only one.

    `RunningError` where the API server does not permit it or the pod does not answer.
    """
    configuration = cast("Any", library.Configuration())
    cast("Any", kube_config).load_kube_config_from_dict(
        kubeconfig_document(""), context=context, client_configuration=configuration
    )
    core = cast("Any", library.CoreV1Api(cast("Any", library.ApiClient(configuration))))
    try:
        opened = cast(
            "Any",
            streams.stream(
                core.connect_get_namespaced_pod_exec,
                pod,
                namespace,
                command=list(command),
                **({"container": container} if container else {}),
                stderr=True,
                stdout=True,
                stdin=False,
                tty=False,
                _preload_content=False,
            ),
        )
        opened.run_forever(timeout=seconds)
        output = f"{opened.read_stdout()}{opened.read_stderr()}"
        code = opened.returncode
        opened.close()
    except (ApiException, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise RunningError(f"no command can be run in the pod {pod}: {str(reason).strip()}") from None
    if code is None:
        raise RunningError(f"the command in the pod {pod} did not end within {seconds:.0f} s")
    return int(code), output
