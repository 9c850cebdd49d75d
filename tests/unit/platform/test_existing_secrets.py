"""Secrets that exist in the namespace already: what pods mount, and files that are made of several values."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.secret_text import SecretPart, SecretText
from components.model.specs import PublishedSecret
from components.model.values import ImageRef
from components.model.workload import SecretFiles, Workload
from components.platform.kubernetes import cloudnative_pg
from components.platform.kubernetes.existing_secrets import locate, script, sources
from components.platform.kubernetes.pods import PodContext, pod_template
from tests.harness.examples import examples
from tests.unit.platform.test_cloudnative_pg import ARCHIVE
from tests.unit.platform.test_pods import AMOUNTS

FAST = settings(max_examples=examples(30), deadline=None, derandomize=True)
EXISTING = {"databasePassword": ("immich-db-app", "password"), "cachePassword": ("redis", "redis-password")}
KEYS = (*EXISTING, "smtpPassword")
LINE = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
"""What a value in a string of JSON may have here: no control characters."""
values = st.fixed_dictionaries({key: st.text(LINE, min_size=1, max_size=20) for key in KEYS})
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
parts = st.lists(
    texts | st.builds(SecretPart, key=st.sampled_from(KEYS), quoted=st.booleans()), min_size=1, max_size=5
).map(tuple)
SHELLS = [["sh"], *([["busybox", "sh"]] if shutil.which("busybox") else [])]


def written(
    folder: Path, published: PublishedSecret, known: Mapping[str, str], shell: list[str] | None = None
) -> dict[str, str]:
    """The files that a container's script writes, with the Secrets of the namespace as they would be."""
    left, located = locate(published, EXISTING, "immich-own")
    assert located is not None
    entries = {entry: known[key] for key, entry in EXISTING.items()}
    entries |= {
        ("immich-own", item): text.resolve(known) for item, text in (left.items if left else {}).items()
    }
    for path, entry in sources(located, {item: item for item in published.items}).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(entries[entry].encode())
    target = folder / "written"
    target.mkdir()
    text = script(located, {item: item for item in published.items}, str(folder), str(target))
    done = subprocess.run([*(shell or ["sh"]), "-c", text], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return {one.name: one.read_bytes().decode() for one in target.iterdir()}


@pytest.mark.parametrize("shell", SHELLS, ids=[one[0] for one in SHELLS])
@given(parts, values, st.booleans())
@FAST
def test_a_pod_writes_what_the_program_would(
    tmp_path_factory: pytest.TempPathFactory,
    shell: list[str],
    pieces: tuple[str | SecretPart, ...],
    known: dict[str, str],
    encoded: bool,
) -> None:
    text = SecretText(
        parts=(*pieces, SecretPart(key="databasePassword")), base64_prefix="p://" if encoded else None
    )
    items = {"whole.conf": text, "one": SecretText.of("cachePassword"), "ours": SecretText.of("smtpPassword")}
    found = written(tmp_path_factory.mktemp("pod"), PublishedSecret(name="x", items=items), known, shell)
    assert found == {item: one.resolve(known) for item, one in items.items()}
    if encoded:
        assert base64.b64decode(found["whole.conf"].removeprefix("p://"), validate=True)


def test_a_line_break_that_a_file_had_at_its_end_is_no_part_of_a_password(tmp_path: Path) -> None:
    text = SecretText(parts=("requirepass ", SecretPart(key="cachePassword", quoted=True), "\n"))
    published = PublishedSecret(name="cache", items={"valkey.conf": text})
    found = written(tmp_path, published, {"databasePassword": "a", "cachePassword": 'b"\n'})
    assert found == {"valkey.conf": 'requirepass "b\\""\n'}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "the entry redis-password of the Secret redis is empty"),
        ("a\nb", "the entry redis-password of the Secret redis has a line break"),
    ],
)
def test_a_value_that_fits_no_file_is_refused_by_the_name_of_its_secret(
    tmp_path: Path, value: str, reason: str
) -> None:
    text = SecretText(parts=("requirepass ", SecretPart(key="cachePassword", quoted=True)))
    published = PublishedSecret(name="cache", items={"valkey.conf": text})
    with pytest.raises(ValueError, match=reason):
        written(tmp_path, published, {"databasePassword": "a", "cachePassword": value})


def test_a_secret_that_others_are_derived_of_has_to_be_known() -> None:
    text = SecretText(parts=(SecretPart(key="cachePassword", derived="key/upload/"),))
    with pytest.raises(ValueError, match="derived"):
        locate(PublishedSecret(name="api-keys", items={"upload": text}), EXISTING, "immich-api-keys")


def test_a_pod_mounts_entries_of_several_secrets_in_one_folder() -> None:
    published = PublishedSecret(
        name="backup", items={"password": SecretText.of("databasePassword"), "user": SecretText.plain("me")}
    )
    left, located = locate(published, EXISTING, "immich-backup")
    assert left is not None
    assert located is not None
    assert left.items == {"user": SecretText.plain("me")}
    mount = SecretFiles(secret="backup", path="/secrets", items={"password": "password", "user": "name"})
    pod = pod_template(
        Workload(
            name="a", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1, group=1, mounts=(mount,)
        ),
        PodContext(claims={}, secrets={"backup": "immich-backup"}, labels={}, located={"backup": located}),
        {},
    )["spec"]
    assert "initContainers" not in pod
    assert pod["volumes"] == [
        {
            "name": "secret-backup",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {"secret": {"name": "immich-db-app", "items": [{"key": "password", "path": "password"}]}},
                    {"secret": {"name": "immich-backup", "items": [{"key": "user", "path": "name"}]}},
                ],
            },
        }
    ]


def test_an_object_store_names_the_entries_of_the_secret_that_exists() -> None:
    store = cloudnative_pg.object_store(
        replace(ARCHIVE, credentials="backup"), "immich-backup", {"ACCESS_KEY_ID": ("minio", "user")}
    )
    assert store["spec"]["configuration"]["s3Credentials"] == {
        "accessKeyId": {"name": "minio", "key": "user"},
        "secretAccessKey": {"name": "immich-backup", "key": "SECRET_ACCESS_KEY"},
    }
