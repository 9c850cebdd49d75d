"""Whether the API server of a stack answers, asked before anything is planned.

Without an answer the official Kubernetes plugin warns once for each object and plans all of them as new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from toolchain.deployment import mapping
from toolchain.rendered import DIRECTORY_VARIABLE, target_of

if TYPE_CHECKING:
    from toolchain.offline.plugins.kubernetes.client import Client


def client_of(values: Mapping[str, object], env: Mapping[str, str]) -> Client | None:
    """A client of the API server of a stack (settings by section); None where the stack has none."""
    if "docker" in values or target_of(values) == "render" or env.get(DIRECTORY_VARIABLE):
        return None
    from toolchain.offline.plugins.kubernetes.client import Client
    from toolchain.offline.plugins.kubernetes.settings import Settings

    context = mapping(values.get("kubernetes")).get("context")
    return Client(Settings(context=context if isinstance(context, str) else ""))


def silence(values: Mapping[str, object], env: Mapping[str, str]) -> str | None:
    """Why the API server of a stack does not answer, in a sentence; None where it does, or where there is none."""
    from toolchain.offline.plugins.kubernetes.client import ApiError
    from toolchain.offline.plugins.provider import ProviderError

    try:
        if (client := client_of(values, env)) is not None:
            client.request("GET", "/version")
    except ApiError:
        return None  # it answers, and says itself what it does not allow
    except ProviderError as error:
        return str(error)
    return None
