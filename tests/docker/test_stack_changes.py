"""Changes of a stack that is up, on a real engine: what is replaced, in which order, and that no upload is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from docker.client import DockerClient

from components import versions
from tests.docker.engine_process import Engine
from tests.docker.host import execute, until, wait_longer_than_without_an_upload
from tests.docker.images.library import Images
from tests.docker.one_host import ALL, OneHost, full
from tests.docker.setting_changes import ELSEWHERE, REFUSED, batches
from tests.harness.setting_leaves import written_out
from tests.harness.stacks import Step
from toolchain.destroy import report, staying

pytestmark = [pytest.mark.docker, pytest.mark.engine]

OLDER = "3.2.2"
LOGIN = {
    "database": (
        "import os, psycopg2, sys; e = os.environ; "
        "psycopg2.connect(host=e['DB_HOSTNAME'], user=e['DB_USERNAME'], dbname=e['DB_DATABASE_NAME'], "
        "password=sys.argv[1])"
    ),
    "cache": "import os, redis, sys; redis.Redis(host=os.environ['REDIS_HOSTNAME'], password=sys.argv[1]).ping()",
}
"""What logs in from the server's container, by workload."""
NOTHING_TO_DRILL = frozenset({"Backup.drill"})
"""A stack without targets has no copy that could be restored."""
BEFORE_UPGRADE = f"backup-{OLDER}-to-{versions.NEWEST}".replace(".", "-") + "-dump"


def released(images: Images, version: str) -> dict[str, dict[str, object]]:
    """Sections of a stack with a version of Immich."""
    server, learning = (
        full(images.tagged(name, f"immich-standin/{name}:v{version}"))
        for name in ("server", "machine-learning")
    )
    return {"server": {"version": version, "image": server}, "machineLearning": {"image": learning}}


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, client: DockerClient, images: Images
) -> Iterator[OneHost]:
    sections = released(images, OLDER)
    sections["server"] |= {"workers": {"kind": "split"}, "health": {"period": 2}, "terminationGrace": "30s"}
    sections["machineLearning"]["health"] = {"period": 2}
    sections["backup"] = {}
    made = OneHost.create(tmp_path_factory.mktemp("changes"), "changes", engine, client, images, **sections)
    try:
        made.up()
        yield made
    finally:
        made.remove()


@pytest.fixture
def host(deployed: OneHost) -> Iterator[OneHost]:
    """The stack, well and with an upload before the change; with the same volumes, and complete, after it."""
    deployed.wait_healthy()
    deployed.wait_answers()
    deployed.must_upload()
    volumes, kept = deployed.volumes(), deployed.kept()
    yield deployed
    assert deployed.volumes() == volumes
    assert deployed.kept() == kept
    deployed.wait_healthy()
    deployed.wait_answers()
    deployed.must_upload()
    deployed.check_uploads()


def containers(found: list[Step]) -> set[str]:
    """Workloads whose containers an up touched; loaders under the name of what they fill."""
    names = [one.name for one in found if one.kind == "Container"]
    return {name.removeprefix("immich-changes-").removesuffix("-files") for name in names}


def replaced(host: OneHost, before: dict[str, str]) -> set[str]:
    """Workloads whose container is another one than before."""
    return {name for name, one in host.ids().items() if one != before.get(name)}


@pytest.mark.deep
def test_an_upgrade_makes_a_backup_first_and_replaces_immichs_own_containers_and_nothing_else(
    host: OneHost, images: Images
) -> None:
    assert host.door().get("/api/server/version").json() == {"major": 3, "minor": 2, "patch": 2}
    before = host.ids()
    for section, values in released(images, versions.NEWEST).items():
        host.stack.change(section, **values)
    done = host.steps()
    # The nightly dump has the release in its name.
    anew = {"server", "microservices", "machine-learning", "backup-dump"}
    assert replaced(host, before) == anew
    assert containers(done) == {*anew, BEFORE_UPGRADE}
    backup = host.container(BEFORE_UPGRADE)
    assert (backup.status, backup.attrs["State"]["ExitCode"]) == ("exited", 0)
    assert backup.attrs["State"]["FinishedAt"] < host.container("server").attrs["State"]["StartedAt"]
    made = {(one.op, one.kind) for one in done if one.name.startswith(f"immich-changes-{BEFORE_UPGRADE}")}
    assert made == {("create", "Container"), ("create", "Volume")}
    assert {one.kind for one in done if BEFORE_UPGRADE not in one.name} == {
        "Container",
        "RemoteImage",
        "Stash",
    }
    version = host.door().get("/api/server/version").json()
    assert ".".join(str(version[part]) for part in ("major", "minor", "patch")) == versions.NEWEST
    assert host.steps() == []


@pytest.mark.deep
@pytest.mark.parametrize("workload", ["database", "cache"])
def test_a_changed_password_is_applied_where_it_is_checked_before_the_server_starts_with_it(
    host: OneHost, workload: str
) -> None:
    old = execute(host.container("server"), "cat", f"/run/secrets/{workload}/password")
    new = "another good 'password\" for " + workload
    execute(host.container("server"), "python3", "-c", LOGIN[workload], old)
    others = {
        name: one for name, one in host.ids().items() if name in {"database", "cache", "proxy"} - {workload}
    }
    before = host.ids()

    host.stack.set_secret(f"{workload}Password", new)
    done = host.steps()

    dumps = {"backup-dump"} if workload == "database" else set[str]()
    # Where there was an upgrade, its backup is not made again; the files that it had are those of now.
    over = [one for one in done if BEFORE_UPGRADE in one.name]
    assert {one.name for one in over} <= {f"immich-changes-{BEFORE_UPGRADE}-files"}
    again = containers([one for one in done if one not in over])
    assert again == replaced(host, before) == {workload, "server", "microservices"} | dumps
    assert host.ids().items() >= others.items()
    started = {name: one.attrs["State"]["StartedAt"] for name, one in host.containers().items()}
    assert started[workload] < min(started["server"], started["microservices"])
    server = host.container("server")
    assert execute(server, "cat", f"/run/secrets/{workload}/password") == new
    execute(server, "python3", "-c", LOGIN[workload], new)
    with pytest.raises(AssertionError, match=r"(?i)password"):
        execute(server, "python3", "-c", LOGIN[workload], old)
    assert host.steps() == []


@pytest.mark.deep
def test_an_upload_amid_an_update_that_replaces_the_server_is_accepted(host: OneHost) -> None:
    server, before = host.container("server"), host.ids()
    host.stack.change("server", logLevel="verbose")
    updating = threading.Thread(target=host.up)

    def update() -> None:
        updating.start()
        until(lambda: b"Told to end" in server.logs(tail=5), "the update ends the server")
        wait_longer_than_without_an_upload(server)

    assert host.upload_amid(update).status == 201
    updating.join(120)
    assert {"server"} <= replaced(host, before) <= {"server", "microservices"}


@pytest.mark.deep
def test_workers_go_into_one_process_and_apart_again(host: OneHost) -> None:
    before = host.ids()
    host.stack.change("server", workers={"kind": "combined"})
    assert containers(host.steps()) == {"server", "microservices"}
    assert set(host.ids()) == {"backup-dump", "cache", "database", "machine-learning", "proxy", "server"}
    host.wait_answers()
    host.check_uploads()
    host.stack.change("server", workers={"kind": "split"})
    assert containers(host.steps()) == {"server", "microservices"}
    assert replaced(host, before) == {"server", "microservices"}


@pytest.mark.deep
def test_a_new_name_and_tls_change_the_proxy_alone(host: OneHost, images: Images) -> None:
    before, sections = host.ids(), host.stack.settings()
    door = host.door(2443, tls=True)
    host.stack.write_settings(
        {
            **sections,
            "host": {"name": "pictures.example.net", "port": 2443},
            "proxy": {
                **sections["proxy"],
                "tls": {"kind": "selfSigned", "image": full(images["certbot"])},
                # Port 80 of the engine may be that of another stack of the run.
                "expose": [{"kind": "publishedPort", "address": ALL, "port": 2443, "redirectFrom": None}],
            },
        }
    )
    done = host.steps()
    assert replaced(host, before) == {"proxy", "certificates"}
    assert [one for one in done if one.destroys and one.kind in {"Volume", "Network"}] == []
    host.wait_answers(door)
    host.must_upload(door=door)
    host.check_uploads(door)
    host.stack.write_settings(sections)
    host.steps()
    assert replaced(host, before) == {"proxy"}


@pytest.mark.deep
def test_every_setting_that_may_change_is_planned_without_touching_what_holds_data(host: OneHost) -> None:
    """A set of changes after the other; the first has most of them."""
    sections, protected = host.stack.settings(), host.kept().keys()
    found = batches(written_out(sections), REFUSED | ELSEWHERE | NOTHING_TO_DRILL)
    number = 0
    try:
        for number, changed in enumerate(found, start=1):
            host.stack.write_settings(changed)
            planned = host.planned()
            assert planned, f"set {number} of changes does nothing"
            assert [one for one in planned if one.destroys and one.urn in protected] == []
            gone = {one.name for one in planned if one.destroys and one.kind == "Volume"}
            assert gone & host.volumes().keys() == set()
    finally:
        host.stack.write_settings(sections)
    assert number >= 2


@pytest.mark.deep
def test_destroy_keeps_what_holds_data_and_names_it_and_a_new_up_finds_it(host: OneHost) -> None:
    data = {f"immich-changes-{name}" for name in ("backup", "cache", "database", "media")}
    host.stack.do("destroy", "--exclude-protected")
    left = staying(host.stack.state())
    assert {one.name for one in left} >= data
    said = report(host.name, left)
    for one in left:
        assert sum(line.endswith(f"  {one.name}") for line in said) == 1
    assert host.containers() == {}
    assert host.volumes().keys() == data
    host.steps()
    assert host.steps() == []
