"""Whether the API server of a stack answers, asked before anything is planned.

Without an answer the official Kubernetes plugin warns once for each object and plans all of them as new.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolchain.deployment import mapping
from toolchain.rendered import DIRECTORY_VARIABLE, target_of


def silence(values: Mapping[str, object], env: Mapping[str, str]) -> str | None:
    """Why it does not answer, in a sentence; None where it does, or where the stack (settings by section) has none."""
    if "docker" in values or target_of(values) == "render" or env.get(DIRECTORY_VARIABLE):
        return None
    from toolchain.plugins.kubernetes.client import ApiError, Client
    from toolchain.plugins.kubernetes.settings import Settings
    from toolchain.plugins.provider import ProviderError

    context = mapping(values.get("kubernetes")).get("context")
    try:
        Client(Settings(context=context if isinstance(context, str) else "")).request("GET", "/version")
    except ApiError:
        return None  # it answers, and says itself what it does not allow
    except ProviderError as error:
        return str(error)
    return None
