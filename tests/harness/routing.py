"""Does every route lead to a Service and a port that exist?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.harness.objects import Manifest, at, is_cnpg, items, kind_of, name_of, namespace_of, of_kind, title


def problems(documents: Sequence[Manifest]) -> list[str]:
    """Backends of HTTPRoutes, Ingresses and Traefik's IngressRoutes, and the middlewares of the latter."""
    services = service_ports(documents)
    middlewares = {(namespace_of(one), name_of(one)) for one in of_kind(documents, "Middleware")}
    found: list[str] = []
    for document in documents:
        for namespace, name, port in _backends(document):
            ports = services.get((namespace, name))
            if ports is None:
                found.append(f"{title(document)} leads to Service {namespace}/{name}, which does not exist.")
            elif port not in ports:
                found.append(
                    f"{title(document)} leads to the port {port} of Service {namespace}/{name}, which has none."
                )
        if kind_of(document) == "IngressRoute":
            for route in items(document, "spec", "routes"):
                for middleware in items(route, "middlewares"):
                    namespace = str(middleware.get("namespace") or namespace_of(document))
                    if (namespace, str(middleware.get("name"))) not in middlewares:
                        found.append(
                            f"{title(document)} uses Middleware {namespace}/{middleware.get('name')}, "
                            "which does not exist."
                        )
    return found


def service_ports(documents: Sequence[Manifest]) -> dict[tuple[str, str], set[int | str]]:
    """(namespace, name) of every Service, those of CloudNativePG included -> its port numbers and names."""
    known: dict[tuple[str, str], set[int | str]] = {}
    for one in of_kind(documents, "Service"):
        ports = known.setdefault((namespace_of(one), name_of(one)), set())
        for port in items(one, "spec", "ports"):
            ports.update(value for value in (port.get("port"), port.get("name")) if value is not None)
    for one in of_kind(documents, "Cluster"):
        if is_cnpg(one):
            for suffix in ("rw", "ro", "r"):
                known[(namespace_of(one), f"{name_of(one)}-{suffix}")] = {5432, "postgres"}
    return known


def _backends(document: Manifest) -> Iterator[tuple[str, str, int | str | None]]:
    """(namespace, Service, port) of every backend."""
    own, spec = namespace_of(document), at(document, "spec")
    match kind_of(document):
        case "HTTPRoute":
            for rule in items(spec, "rules"):
                mirrors = [at(one, "requestMirror", "backendRef") or {} for one in items(rule, "filters")]
                for backend in [*items(rule, "backendRefs"), *(one for one in mirrors if one)]:
                    if backend.get("kind", "Service") == "Service":
                        yield (
                            str(backend.get("namespace") or own),
                            str(backend.get("name")),
                            backend.get("port"),
                        )
        case "Ingress":
            paths = [path for rule in items(spec, "rules") for path in items(rule, "http", "paths")]
            for service in [
                at(spec, "defaultBackend", "service"),
                *(at(one, "backend", "service") for one in paths),
            ]:
                if service is not None:
                    port = at(service, "port", "number") or at(service, "port", "name")
                    yield own, str(at(service, "name")), port
        case "IngressRoute" | "IngressRouteTCP":
            for route in items(spec, "routes"):
                for service in items(route, "services"):
                    if service.get("kind", "Service") == "Service":
                        yield (
                            str(service.get("namespace") or own),
                            str(service.get("name")),
                            service.get("port"),
                        )
        case _:
            pass
