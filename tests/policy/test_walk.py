"""What the views of a stack show: files of containers, nginx as nginx reads it, doors, networks."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from immich_policy.model import UNKNOWN, Registered, Stack, dig, join, mapping, number, registered
from immich_policy.reading.addresses import CLOUDFLARE
from immich_policy.reading.files import files
from immich_policy.reading.nginx_files import configurations, effective, effective_all, location
from immich_policy.reading.parts import containers, having
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import backends
from immich_policy.reading.walk import attached, docker_networks, doors, flags

DOCKER = "docker:index/container:Container"
WORKLOADS = {
    "kubernetes:apps/v1:Deployment": ("spec", "template", "spec"),
    "kubernetes:apps/v1:StatefulSet": ("spec", "template", "spec"),
    "kubernetes:apps/v1:DaemonSet": ("spec", "template", "spec"),
    "kubernetes:apps/v1:ReplicaSet": ("spec", "template", "spec"),
    "kubernetes:batch/v1:Job": ("spec", "template", "spec"),
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "kubernetes:core/v1:Pod": ("spec",),
}


def docker(name: str, **props: Any) -> Registered:
    return registered(DOCKER, name, {"name": name, **props})


def nginx(text: str, *others: Registered, **props: Any) -> Stack:
    uploads = [{"file": "/etc/nginx/nginx.conf", "content": text}]
    return Stack([docker("n", image="nginx:1.31", uploads=uploads, **props), *others])


@pytest.mark.parametrize("token", WORKLOADS)
def test_containers_of_every_kind_of_workload_are_seen(token: str) -> None:
    props: Any = {
        "containers": [{"name": "a", "image": "x"}],
        "initContainers": [{"name": "b", "image": "y"}],
    }
    for key in reversed(WORKLOADS[token]):
        props = {key: props}
    found = containers(Stack([registered(token, "w", props)]))
    assert [(one.image, one.init) for one in found] == [("x", False), ("y", True)]
    assert found[0].path == ".".join(WORKLOADS[token]) + ".containers[0]"


@pytest.mark.parametrize(
    ("image", "role"),
    [
        ("ghcr.io/immich-app/immich-machine-learning:v3.3.1-cuda", Role.MACHINE_LEARNING),
        ("docker.io/nginxinc/nginx-unprivileged:1.31", Role.NGINX),
        ("nginx", Role.NGINX),
        ("cloudflare/cloudflared:2026.10.0@sha256:" + "0" * 64, Role.CLOUDFLARED),
        ("registry.local:5000/traefik:v3", Role.TRAEFIK),
    ],
)
def test_roles_come_from_images(image: str, role: Role) -> None:
    assert having(Stack([docker("x", image=image)]), role)


@pytest.mark.parametrize("image", ["nginx/nginx-prometheus-exporter:1", "ghcr.io/wiki/wiki:1", "busybox"])
def test_other_images_have_no_role_of_an_nginx(image: str) -> None:
    assert not having(Stack([docker("x", image=image)]), *Role)


def test_files_of_a_pod_come_from_what_it_mounts() -> None:
    pod = {
        "volumes": [
            {"name": "c", "configMap": {"name": "conf", "items": [{"key": "a", "path": "sub/a.conf"}]}},
            {"name": "s", "secret": {"secretName": "keys"}},
            {
                "name": "p",
                "projected": {"sources": [{"configMap": {"name": "more"}}, {"secret": {"name": "keys"}}]},
            },
        ],
        "containers": [
            {
                "image": "x",
                "volumeMounts": [
                    {"name": "c", "mountPath": "/c"},
                    {"name": "s", "mountPath": "/one", "subPath": "plain"},
                    {"name": "p", "mountPath": "/p"},
                ],
            }
        ],
    }
    metadata = {"namespace": "photos"}
    stack = Stack(
        [
            registered("kubernetes:core/v1:Pod", "w", {"metadata": metadata, "spec": pod}),
            registered(
                "kubernetes:core/v1:ConfigMap",
                "c",
                {"metadata": {**metadata, "name": "conf"}, "data": {"a": "A", "b": "B"}},
            ),
            registered(
                "kubernetes:core/v1:ConfigMap",
                "m",
                {
                    "metadata": {**metadata, "name": "more"},
                    "data": {"m": UNKNOWN},
                    "binaryData": {"d": base64.b64encode(b"D").decode()},
                },
            ),
            registered(
                "kubernetes:core/v1:ConfigMap",
                "other",
                {"metadata": {"name": "more"}, "data": {"foreign": "x"}},
            ),
            registered(
                "kubernetes:core/v1:Secret",
                "s",
                {
                    "metadata": {**metadata, "name": "keys"},
                    "data": {"k": base64.b64encode(b"K").decode()},
                    "stringData": {"plain": "P"},
                },
            ),
        ]
    )
    found = files(stack, containers(stack)[0])
    assert {path: file.content for path, file in found.items()} == {
        "/c/sub/a.conf": "A",
        "/one": "P",
        "/p/m": UNKNOWN,
        "/p/d": "D",
        "/p/k": "K",
        "/p/plain": "P",
    }
    assert found["/c/sub/a.conf"].resource.name == "c"
    assert found["/c/sub/a.conf"].path == "data.a"


def test_files_of_a_docker_container_come_from_its_uploads_and_from_who_fills_its_volumes() -> None:
    volume = {"type": "volume", "source": "v", "target": "/etc/x"}
    stack = Stack(
        [
            docker(
                "x",
                image="x",
                mounts=[volume],
                uploads=[{"file": "/own", "contentBase64": base64.b64encode(b"O").decode()}],
            ),
            docker(
                "staged",
                uploads=[
                    {"file": "/staging/a.conf", "content": "A"},
                    {"file": "/staging/d/b", "content": "B"},
                ],
                mounts=[{**volume, "target": "/target"}],
            ),
            docker(
                "direct",
                uploads=[{"file": "/v/c.conf", "content": "C"}],
                volumes=[{"volumeName": "v", "containerPath": "/v"}],
            ),
            docker(
                "foreign",
                uploads=[{"file": "/v/z", "content": "Z"}],
                volumes=[{"volumeName": "w", "containerPath": "/v"}],
            ),
        ]
    )
    found = files(stack, containers(stack)[0])
    assert {path: file.content for path, file in found.items()} == {
        "/own": "O",
        "/etc/x/a.conf": "A",
        "/etc/x/d/b": "B",
        "/etc/x/c.conf": "C",
    }


LOCATIONS = """events {}
http {
    server {
        location = /api/assets { return 201; }
        location /api/ { return 202; }
        location ^~ /api/socket { return 203; }
        location ~ ^/api/S { return 204; }
        location ~* ^/API/(?<part>.*)s$ { return 205; }
        location / { return 206;
            location /nested { return 207; } }
        location @named { return 208; }
    }
}
"""


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("/api/assets", "201"),
        ("/api/x", "202"),
        ("/api/sockets", "203"),
        ("/api/Ss", "204"),
        ("/api/albums", "205"),
        ("/photos", "206"),
        ("/nested/x", "207"),
    ],
)
def test_a_location_is_found_as_nginx_finds_it(uri: str, answer: str) -> None:
    [found] = nginx(LOCATIONS).once(configurations)
    chain = location(found.servers[0], uri)
    assert [one.value for one in chain[-1].inner("return")] == [answer]


def test_directives_come_from_the_innermost_block_that_has_one() -> None:
    stack = nginx("""events {}
http {
    send_timeout 1s;
    proxy_set_header A a;
    proxy_set_header B b;
    server {
        send_timeout 2s;
        location / {
            proxy_set_header C c;
        }
    }
}
""")
    [found] = stack.once(configurations)
    chain = location(found.servers[0], "/x")
    timeout = effective(chain, "send_timeout")
    assert timeout is not None
    assert (timeout.value, timeout.path, timeout.resource.name) == ("2s", "uploads[0].content line 7", "n")
    assert effective(chain, "keepalive_timeout") is None
    assert [one.value for one in effective_all(chain, "proxy_set_header")] == ["C c"]


def test_included_files_are_read_in_place_also_by_a_pattern_and_a_circle_ends() -> None:
    uploads = [
        {"file": "/etc/nginx/nginx.conf", "content": "http { include /etc/nginx/conf.d/*.conf; }"},
        {"file": "/etc/nginx/conf.d/a.conf", "content": "server { include parts.conf; include nginx.conf; }"},
        {"file": "/etc/nginx/parts.conf", "content": "send_timeout 5s;"},
    ]
    stack = Stack([docker("n", image="nginx:1", uploads=uploads)])
    [found] = stack.once(configurations)
    assert [one.value for one in found.servers[0].directive.inner("send_timeout")] == ["5s"]


def test_files_of_conf_d_alone_are_read_as_the_images_own_configuration_includes_them() -> None:
    uploads = [{"file": "/etc/nginx/conf.d/default.conf", "content": "server { listen 8080; }"}]
    stack = Stack([docker("n", image="nginx:1", uploads=uploads)])
    [found] = stack.once(configurations)
    assert [one.listens for one in found.servers] == ["8080"]


def test_an_nginx_whose_files_are_not_registered_is_no_configuration() -> None:
    assert Stack([docker("n", image="nginx:1")]).once(configurations) == []


def test_flags_are_read_with_and_without_an_equals_sign() -> None:
    [one] = containers(
        Stack(
            [
                docker(
                    "c",
                    image="cloudflared",
                    command=["tunnel", "--Grace-Period", "60s", "--a=b", "--on", "--off"],
                )
            ]
        )
    )
    assert {name: value for name, (value, _) in flags(one).items()} == {
        "grace-period": "60s",
        "a": "b",
        "on": "",
        "off": "",
    }


def test_doors_are_what_leads_in_from_outside() -> None:
    server = {"image": "ghcr.io/immich-app/immich-server:v3"}
    stack = Stack(
        [
            docker("host", **server, ports=[{"internal": 2283, "ip": "127.0.0.1"}]),
            docker("lan", **server, ports=[{"internal": 2283, "ip": "192.168.1.2"}]),
            docker("label", **server, labels=[{"label": "traefik.http.routers.x.rule", "value": "y"}]),
            docker("tunnel", image="cloudflare/cloudflared:1"),
            docker("wiki", image="wiki", ports=[{"internal": 80}]),
        ]
    )
    assert [(one.resource.name, one.cloudflare) for one in doors(stack)] == [
        ("tunnel", True),
        ("lan", False),
        ("label", False),
    ]


def test_networks_and_who_is_in_them() -> None:
    stack = Stack(
        [
            registered(
                "docker:index/network:Network",
                "n",
                {"name": "back", "ipamConfigs": [{"subnet": "10.1.0.0/24"}, {"subnet": "x"}]},
            ),
            docker("a", networksAdvanced=[{"name": "back"}, {"name": UNKNOWN}], networkMode="extra"),
            docker("b", networkMode="host"),
        ]
    )
    assert [str(one) for one in docker_networks(stack)["back"].subnets] == ["10.1.0.0/24"]
    assert [attached(one) for one in containers(stack)] == [["back", "extra"], []]


def test_backends_of_every_kind_of_route() -> None:
    ref = {"name": "s", "port": 1}
    for kind, spec in (
        ("gateway.networking.k8s.io/v1:HTTPRoute", {"rules": [{"backendRefs": [ref]}]}),
        ("traefik.io/v1alpha1:IngressRoute", {"routes": [{"services": [ref]}]}),
        ("projectcontour.io/v1:HTTPProxy", {"routes": [{"services": [ref]}]}),
        ("projectcontour.io/v1:HTTPProxy", {"tcpproxy": {"services": [ref]}}),
        (
            "networking.istio.io/v1:VirtualService",
            {"http": [{"route": [{"destination": {"host": "s.default.svc", "port": {"number": 1}}}]}]},
        ),
        (
            "networking.k8s.io/v1:Ingress",
            {"defaultBackend": {"service": {"name": "s", "port": {"number": 1}}}},
        ),
    ):
        found = list(backends(registered(f"kubernetes:{kind}", "r", {"spec": spec})))
        assert [(one.service, one.port, one.space) for one in found] == [("s", 1, "default")], kind


def test_paths_and_values_of_plain_data() -> None:
    data = {"a": [{"b": 1}, UNKNOWN], "n": "2.5"}
    assert dig(data, "a", 0, "b") == 1
    assert dig(data, "a", 1, "anything", 3) is UNKNOWN
    assert dig(data, "a", "b") is None
    assert dig(data, "a", 7) is None
    assert mapping(data, "a") == {}
    assert number(data, "n") == 2.5
    assert join("spec", "a", 0, "x.y/z") == 'spec.a[0]["x.y/z"]'


def test_types_are_read() -> None:
    one = registered("kubernetes:apps/v1:Deployment", "d", {})
    assert (one.kind, one.group, one.module) == ("Deployment", "apps", "apps/v1")
    other = registered(DOCKER, "d", {})
    assert (other.kind, other.group) == ("Container", "")
    assert Stack([one, other]).of_kind("Deployment") == [one]
    assert Stack([one, other]).of_type(DOCKER) == [other]


def test_cloudflare_publishes_twenty_two_ranges() -> None:
    assert len(CLOUDFLARE) == 22
    assert sum(one.version == 4 for one in CLOUDFLARE) == 15
