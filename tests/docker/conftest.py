"""A real Docker Engine for tests. Where none can be started they are skipped with the reason, and fail in CI."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import DockerException

from tests.docker import image_store
from tests.docker.engine_process import Engine, missing_parts
from tests.docker.everything import Everything
from tests.docker.host_network import HostNetwork
from tests.docker.images.library import Images
from tests.docker.stacks import EVERYTHING, HostStack, Place
from tests.docker.standing import STANDING, Standing
from tests.docker.yard import Yard

_ENGINE = pytest.StashKey[Engine]()
_FOLDERS = Path("/var/lib/immich-tests")
"""Where folders of tests are: settings refuse folders below /tmp, which a host empties at its start."""


def pytest_configure() -> None:
    """Before workers are told where their folders are."""
    if os.geteuid() == 0:
        _FOLDERS.mkdir(exist_ok=True)
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_FOLDERS))


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> Iterator[Engine]:
    """The engine of this worker, started with the first test that asks for it."""
    missing = missing_parts()
    if missing:
        reason = f"no Docker Engine on this machine: {'; '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="imd-", dir=_FOLDERS))
    try:
        network = HostNetwork.create()
    except BaseException:
        shutil.rmtree(directory)
        raise
    started = Engine(directory, network)
    pytestconfig.stash[_ENGINE] = started
    try:
        image_store.provide(directory / "data")
        started.start()
        yield started
    finally:
        del pytestconfig.stash[_ENGINE]
        started.remove()


@pytest.fixture(scope="session")
def docker_host(engine: Engine) -> str:
    """`unix:///...`, for DOCKER_HOST. Stays the same when the engine is restarted."""
    return engine.url


@pytest.fixture(scope="session")
def host_network(engine: Engine) -> HostNetwork:
    """The network that the engine publishes ports in, and its clients' addresses."""
    return engine.network


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[DockerClient]:
    """A client of the engine."""
    opened = engine.client()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def images(client: DockerClient) -> Images:
    """Name of an image -> its reference, there on the engine: `images["server"]`. Built when first asked for."""
    return Images(client)


@pytest.fixture
def yard(client: DockerClient, images: Images) -> Iterator[Yard]:
    """Containers of one test, removed after it."""
    opened = Yard(client, images)
    yield opened
    opened.remove()


@pytest.fixture(scope="session")
def place(engine: Engine, client: DockerClient, images: Images) -> Place:
    """The host that stacks are brought up on."""
    return Place(engine, client, images)


MakeStack = Callable[..., HostStack]


@pytest.fixture
def make_stack(place: Place, tmp_path: Path) -> Iterator[MakeStack]:
    """`make_stack("home", name="mine", changes=...)`: `HostStack.create`; removed after the test."""
    made: list[HostStack] = []

    def create(system: str = "home", **arguments: Any) -> HostStack:
        made.append(HostStack.create(place, tmp_path / f"stack-{len(made)}", system, **arguments))
        return made[-1]

    yield create
    for one in made:
        one.remove()


@pytest.fixture(scope="session")
def everything(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    """The stack with everything. The files whose tests ask for it are named `test_everything_*.py`."""
    with Everything.stand(place, tmp_path_factory.mktemp(EVERYTHING)) as made:
        yield made


@pytest.fixture(scope="session", params=STANDING)
def standing(
    request: pytest.FixtureRequest, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    """Stacks of one host, up. Tests that share it only look; they take `systems` to choose some."""
    if request.param == EVERYTHING:
        yield request.getfixturevalue("everything").standing
        return
    stack = HostStack.create(place, tmp_path_factory.mktemp(request.param), request.param)
    try:
        yield Standing.bring_up(stack)
    finally:
        stack.remove()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one standing stack go to one worker: else each worker would bring it up."""
    if config.getoption("dist") != "load":
        return None
    from tests.docker.scheduling import ByStack

    return ByStack(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the engine and the containers said, with the report of a test that failed."""
    report = yield
    engine = item.config.stash.get(_ENGINE, None)
    if report.failed and engine is not None:
        report.sections.append(("dockerd", engine.log_tail()))
        report.sections.append(("containers", _container_logs(engine)))
    return report


def _container_logs(engine: Engine) -> str:
    told: list[str] = []
    try:
        opened = engine.client(10)
    except DockerException as error:
        return f"the engine does not answer: {error}"
    try:
        for container in opened.containers.list(all=True, ignore_removed=True):
            log = container.logs(tail=30).decode(errors="replace")
            told.append(
                f"--- {container.name} ({container.status}), {container.attrs['Config']['Image']}\n{log}"
            )
    except DockerException as error:
        told.append(f"(the rest cannot be read: {error})")
    finally:
        opened.close()
    return "\n".join(told) or "(none)"
