"""The table of images and releases: every digest, every pair, every range."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import versions
from components.database.settings import BundledDatabase, CloudNativePg
from components.machine_learning.settings import ARCHITECTURES
from components.server.settings import Server
from components.settings.reader import read_settings
from components.versions import IMAGES
from tests.harness.examples import examples

FAST = settings(max_examples=examples(150), deadline=None, derandomize=True)
ENTRIES = [(name, tag, digest) for name, image in IMAGES.items() for tag, digest in image.digests.items()]
SERVER = "server"
MACHINE_LEARNING = "machine-learning"
FLAVOURS = ("bundled", "cloudnative-pg")
RELEASES = sorted(versions.parse(tag.removeprefix("v")) for tag in IMAGES[SERVER].digests)


def text(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))


@pytest.mark.parametrize(("name", "tag", "digest"), ENTRIES)
def test_a_digest_is_one_and_its_image_is_accepted(name: str, tag: str, digest: str) -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    image = versions.pinned(name, tag)
    assert image == f"{IMAGES[name].repository}:{tag}@{digest}"
    assert (image.tag, image.digest) == (tag, digest)


def test_no_digest_stands_for_two_images() -> None:
    digests = [digest for _, _, digest in ENTRIES]
    assert sorted(digest for digest in set(digests) if digests.count(digest) > 1) == []


def test_an_image_without_a_known_digest_has_its_tag_alone() -> None:
    image = versions.server_image("3.99.0")
    assert (image, image.digest) == ("ghcr.io/immich-app/immich-server:v3.99.0", None)
    assert versions.pinned("valkey", "1").digest is None


def test_the_default_images_are_pinned() -> None:
    defaults = [
        versions.server_image(versions.NEWEST),
        versions.machine_learning_image(versions.NEWEST, "cpu"),
        versions.current("valkey"),
        versions.current("nginx"),
    ]
    assert [image for image in defaults if image.digest is None] == []


def test_the_newest_release_is_the_default_and_the_newest_of_the_table() -> None:
    assert Server().version == versions.NEWEST == text(RELEASES[-1])


def test_every_release_of_the_table_is_supported() -> None:
    assert [release for release in RELEASES if not versions.is_supported(text(release))] == []
    tags = {
        re.sub(r"-(cuda|rocm|openvino|armnn|rknn)\Z", "", tag) for tag in IMAGES[MACHINE_LEARNING].digests
    }
    assert [tag for tag in tags if not versions.is_supported(tag.removeprefix("v"))] == []


@pytest.mark.parametrize("backend", sorted(ARCHITECTURES))
def test_the_tag_of_machine_learning_says_its_backend(backend: str) -> None:
    suffix = "" if backend == "cpu" else f"-{backend}"
    assert versions.machine_learning_image("3.3.1", backend).tag == f"v3.3.1{suffix}"


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("2.4.99", False),
        ("2.5.0", True),
        ("2.99.99", True),
        ("3.0.0", True),
        ("3.99.0", True),
        ("4.0.0", False),
        ("1.142.0", False),
    ],
)
def test_releases_from_2_5_to_3_are_supported(version: str, supported: bool) -> None:
    assert versions.is_supported(version) == supported


@pytest.mark.parametrize("version", ["", "3", "3.3", "v3.3.1", "3.3.1.0", "3.3.x", "newest"])
def test_what_is_no_release_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        versions.parse(version)


@given(st.tuples(*[st.integers(0, 999)] * 3))
@FAST
def test_a_release_is_three_numbers(release: tuple[int, int, int]) -> None:
    assert versions.parse(text(release)) == release


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_database_image_is_pinned_and_its_tag_says_both_versions(flavour: str) -> None:
    images = versions.database_images(flavour)
    assert images
    for (postgres, vectorchord), image in images.items():
        assert image.digest is not None
        assert image.tag.startswith(f"{postgres}-")
        assert vectorchord in image.tag


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_pair_of_the_table_is_accepted_by_the_newest_immich(flavour: str) -> None:
    for postgres, vectorchord in versions.database_images(flavour):
        assert versions.postgres_accepted(versions.NEWEST, int(postgres.split(".")[0]))
        assert versions.vectorchord_accepted(vectorchord)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("release", [text(RELEASES[0]), "2.7.5", versions.NEWEST])
def test_every_release_has_a_pair_that_settings_accept(flavour: str, release: str) -> None:
    fitting = [pair for pair in versions.database_images(flavour) if versions.vectorchord_accepted(pair[1])]
    assert fitting
    for postgres, vectorchord in fitting:
        database = f'{{"kind": "{flavour}", "postgres": "{postgres}", "vectorchord": "{vectorchord}"}}'
        read = read_settings("test", {"server": f'{{"version": "{release}"}}', "database": database})
        assert read.server.version == release


def test_the_default_databases_are_in_the_table() -> None:
    bundled, operated = BundledDatabase(), CloudNativePg(kind="cloudnative-pg")
    assert (str(bundled.postgres), bundled.vectorchord) in versions.database_images("bundled")
    assert (operated.postgres, operated.vectorchord) in versions.database_images("cloudnative-pg")


@pytest.mark.parametrize(("major", "accepted"), [(13, False), (14, True), (18, True), (19, False)])
def test_postgresql_14_to_18_are_accepted(major: int, accepted: bool) -> None:
    assert versions.postgres_accepted(versions.NEWEST, major) == accepted
    assert versions.postgres_range("3.3.1") == "Immich 3.3.1 accepts PostgreSQL 14 to 18"


@pytest.mark.parametrize(
    ("vectorchord", "accepted"),
    [
        ("0.2.9", False), ("0.3", True), ("0.3.0", True), ("1.1.1", True), ("1.99.99", True), ("2", False),
        ("2.0.0", False), ("", False), ("newest", False), ("1.1.x", False),
    ],
)  # fmt: skip
def test_vectorchord_is_accepted_in_immichs_range(vectorchord: str, accepted: bool) -> None:
    assert versions.vectorchord_accepted(vectorchord) == accepted


@pytest.mark.parametrize(
    ("version", "writes"), [("2.5.0", True), ("3.1.0", True), ("3.1.1", False), ("3.3.1", False)]
)
def test_machine_learning_writes_to_its_home_up_to_3_1_0(version: str, writes: bool) -> None:
    assert versions.machine_learning_writes_home(version) == writes
