"""Reading a compose file and its `.env` as Docker Compose does."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.adopt.compose import filled, read, variables
from toolchain.failure import ToolchainError


def test_an_env_file_is_read_with_quotes_comments_and_export() -> None:
    text = (
        "# no=1\nA=plain # why\nexport B='single # kept'\nC=\"double\"\nD=\nE = spaced \nnonsense\nF=a=b#c\n"
    )
    assert variables(text) == {
        "A": "plain",
        "B": "single # kept",
        "C": "double",
        "D": "",
        "E": "spaced",
        "F": "a=b#c",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "a"),
        ("${A}/x", "a/x"),
        ("${NONE}", ""),
        ("${NONE:-b}", "b"),
        ("${EMPTY:-b}", "b"),
        ("${EMPTY-b}", ""),
        ("${A:-b}", "a"),
        ("${A:+set}", "set"),
        ("${NONE:+set}", ""),
        ("${NONE:-${A}}", "a"),
        ("${A:?needed}", "a"),
        ("$$A", "$A"),
        ("5$", "5$"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, value: str) -> None:
    assert filled(text, {"A": "a", "EMPTY": ""}) == value


def write(folder: Path, text: str, env: str = "") -> Path:
    path = folder / "docker-compose.yml"
    path.write_text(text, encoding="utf-8")
    if env:
        (folder / ".env").write_text(env, encoding="utf-8")
    return path


def test_volumes_and_ports_are_read_in_both_forms(tmp_path: Path) -> None:
    text = """
name: home
services:
  a:
    image: x/immich-server:v1
    volumes:
      - ./library:/data
      - model-cache:/cache:ro
      - /srv/old:/mnt/old:ro,z
      - {type: bind, source: ../beside, target: /mnt/beside, read_only: true}
      - /anonymous
    ports:
      - "2283:2283"
      - 127.0.0.1:8080:3001/tcp
      - "[::1]:1:2"
      - {published: 90, target: 91, host_ip: 10.0.0.1}
      - "53:53/udp"
"""
    service = read(write(tmp_path, text)).services["a"]
    assert [(mount.source, mount.target, mount.read_only) for mount in service.mounts] == [
        (str(tmp_path / "library"), "/data", False),
        ("home_model-cache", "/cache", True),
        ("/srv/old", "/mnt/old", True),
        (str(tmp_path.parent / "beside"), "/mnt/beside", True),
    ]
    assert service.ports == (("", 2283, 2283), ("127.0.0.1", 8080, 3001), ("::1", 1, 2), ("10.0.0.1", 90, 91))


def test_the_environment_of_a_service_comes_from_its_files_and_then_from_itself(tmp_path: Path) -> None:
    (tmp_path / "more.env").write_text("A=file\nB=file\n")
    text = "services: {s: {image: i, env_file: [more.env, {path: absent.env}], environment: [B=own, C=$D]}}"
    service = read(write(tmp_path, text, "D=d")).services["s"]
    assert service.environment == {"A": "file", "B": "own", "C": "d"}


def test_tags_of_compose_are_no_reason_to_stop(tmp_path: Path) -> None:
    text = "services: {s: {image: i, ports: !override ['1:2'], labels: !reset null}}"
    assert read(write(tmp_path, text)).services["s"].ports == (("", 1, 2),)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is not YAML"), ("a: 1", "has no services"), ("", "no services")]
)
def test_what_is_no_compose_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ToolchainError, match=said):
        read(write(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"nowhere\.yml cannot be read: No such file"):
        read(tmp_path / "nowhere.yml")


VOLUMES = """
services: {s: {image: i, volumes: [one:/one, two:/two, three:/three]}}
volumes: {one: {name: of-$N}, two: {external: true}, three: }
"""


@pytest.mark.parametrize(
    ("head", "env", "project"),
    [
        ("", "", "my_home"),
        ("name: given\n", "", "given"),
        ("name: given\n", "COMPOSE_PROJECT_NAME=first\n", "first"),
    ],
)
def test_a_volume_has_the_name_that_the_engine_knows(
    tmp_path: Path, head: str, env: str, project: str
) -> None:
    folder = tmp_path / "My_Ho.me"
    folder.mkdir()
    found = read(write(folder, head + VOLUMES, f"N=name\n{env}")).services["s"].mounts
    assert [one.source for one in found] == ["of-name", "two", f"{project}_three"]


def test_variables_of_an_env_file_use_each_other_and_the_environment_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "/outside")
    text = "services: {s: {image: i, volumes: ['$UPLOAD:/data', '$FROM_OUTSIDE:/b']}}"
    path = write(tmp_path, text, "BASE=/srv\nUPLOAD=${BASE}/photos\nKEPT='$BASE'\nFROM_OUTSIDE=/inside\n")
    assert [one.source for one in read(path).services["s"].mounts] == ["/srv/photos", "/outside"]
    assert read(path).environment["KEPT"] == "$BASE"


@pytest.mark.parametrize(
    "service", ["volumes: ['${UPLOAD}/library:/data']", "image: 'x:${TAG:?which}'", "volumes: ['$A:/data']"]
)
def test_a_variable_without_a_value_stops_where_a_wrong_one_would_do_harm(
    tmp_path: Path, service: str
) -> None:
    with pytest.raises(
        ToolchainError, match=r"the variable (UPLOAD|TAG|A) of .* has no value: set it in the \.env"
    ):
        read(write(tmp_path, f"services: {{s: {{{service}}}}}"))


@pytest.mark.parametrize(
    ("text", "beside", "said"),
    [
        ("include: [x.yml]\nservices: {s: {image: i}}", "", "include"),
        ("services: {s: {extends: {file: base.yml, service: s}}}", "", r"extends of s from base\.yml"),
        (
            "services: {s: {image: i}}",
            "docker-compose.override.yml",
            r"docker-compose\.override\.yml beside it",
        ),
    ],
)
def test_a_deployment_of_several_files_is_put_together_first(
    tmp_path: Path, text: str, beside: str, said: str
) -> None:
    if beside:
        (tmp_path / beside).write_text("services: {}")
    with pytest.raises(ToolchainError, match=rf"{said}.*\n  docker compose config > full\.yml"):
        read(write(tmp_path, text))


def test_services_of_a_profile_do_not_run(tmp_path: Path) -> None:
    text = "services: {s: {image: i}, other: {image: i, profiles: [x], volumes: ['$NONE:/x']}}"
    assert set(read(write(tmp_path, text)).services) == {"s"}
