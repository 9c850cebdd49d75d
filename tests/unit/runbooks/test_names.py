"""The names in the pages are those that the program registers; nothing of a template is left over."""

from __future__ import annotations

import re

import pytest

from components.database.settings import CloudNativePg
from components.model.naming import object_name
from components.recovery.locations import places
from components.recovery.runbooks import PAGES, pages
from tests.harness.program import manifests
from tests.unit.capacity.stacks import AWAY, STACKS, host, of_stack
from tests.unit.program.stacks import RUNS
from tests.unit.runbooks.pages import EVERY, MADE, pages_of

ON_HOSTS = [stack for stack in STACKS if of_stack(stack).docker is not None]
ON_CLUSTERS = [stack for stack in STACKS if of_stack(stack).docker is None]


def whole(stack: str) -> str:
    return "\n".join(pages_of(stack).values())


def registered(stack: str) -> dict[str, set[str]]:
    """Kind of object -> names, as `Kind` of manifests, or `volume` and `container` of an engine."""
    found: dict[str, set[str]] = {}
    for one in RUNS[stack].resources:
        if one.type.startswith("docker:index/"):
            kind = one.type.rsplit(":", 1)[1].lower()
            found.setdefault(kind, set()).add(str(one.props.get("name", one.name)))
    for manifest in manifests(RUNS[stack]):
        found.setdefault(str(manifest["kind"]), set()).add(str(manifest["metadata"]["name"]))
    return found


def test_there_are_stacks_on_both() -> None:
    assert len(ON_HOSTS) >= 6
    assert len(ON_CLUSTERS) >= 3


@pytest.mark.parametrize("stack", ON_HOSTS)
def test_names_on_a_host_are_those_of_its_containers_and_volumes(stack: str) -> None:
    objects = registered(stack)
    known = objects["container"] | objects["volume"]
    used = set(re.findall(rf"\bimmich-{stack}-[a-z0-9-]+[a-z0-9]", whole(stack)))
    assert used
    assert {name.removesuffix("-damaged") for name in used} - known == set()
    assert f"immich-{stack}-server" in used


@pytest.mark.parametrize("stack", ON_HOSTS)
def test_every_volume_with_data_of_a_host_is_named(stack: str) -> None:
    text = whole(stack)
    data = {
        one.name
        for one in RUNS[stack].resources
        if one.type.startswith("docker:index/volume") and one.protect
    }
    for name in data:
        assert name in text


@pytest.mark.parametrize("stack", ON_CLUSTERS)
def test_names_on_a_cluster_are_those_of_its_objects(stack: str) -> None:
    objects = registered(stack)
    text = whole(stack)
    for kind, word in (("Deployment", "deployment"), ("StatefulSet", "statefulset")):
        used = set(re.findall(rf"\b{word}/([a-z0-9-]+)", text))
        assert used <= objects.get(kind, set()), word
    assert re.findall(r"deployment/immich-server", text)
    assert set(re.findall(r"\bjob/([a-z0-9-]+)", text)) <= {object_name("restore")}
    database = of_stack(stack).database
    operated = {f"{database.cluster_name}-1"} if isinstance(database, CloudNativePg) else set[str]()
    claims = set(re.findall(r"\bpvc ([a-z0-9-]+)|claimName: ([a-z0-9-]+)", text))
    named = {one or other for one, other in claims}
    assert named - objects["PersistentVolumeClaim"] - operated == set()
    assert set(re.findall(r"cluster\.postgresql\.cnpg\.io/([a-z0-9-]+)", text)) <= objects.get(
        "Cluster", set()
    )
    namespaces = {
        str(manifest["metadata"].get("namespace"))
        for manifest in manifests(RUNS[stack])
        if "namespace" in manifest["metadata"]
    }
    assert set(re.findall(r"kubectl -n ([a-z0-9-]+)", text)) <= namespaces


@pytest.mark.parametrize("stack", ON_CLUSTERS)
def test_every_claim_with_data_of_a_cluster_is_named(stack: str) -> None:
    for place in places(of_stack(stack), stack).values():
        if place.claim and not place.name.startswith("library-"):
            known = registered(stack)["PersistentVolumeClaim"]
            assert place.claim in known or isinstance(of_stack(stack).database, CloudNativePg)
            assert place.claim in whole(stack)


@pytest.mark.parametrize("stack", ON_CLUSTERS)
def test_what_is_scaled_down_comes_back_in_its_number(stack: str) -> None:
    counts = {
        str(manifest["metadata"]["name"]): manifest["spec"].get("replicas", 1)
        for manifest in manifests(RUNS[stack])
        if manifest["kind"] == "Deployment"
    }
    back = re.findall(r"scale deployment/([a-z-]+) --replicas=([1-9])", whole(stack))
    assert back
    for name, number in back:
        assert counts[name] == int(number)


@pytest.mark.parametrize("stack", EVERY)
def test_nothing_of_a_template_is_left(stack: str) -> None:
    found = pages_of(stack)
    assert found.keys() == {"README.md", *(f"{name}.md" for name in PAGES)}
    for page, text in found.items():
        for left in ("{{", "}}", "{%", "{#", "None", "Undefined", "<built-in", "\n\n\n"):
            assert left not in text.replace("}}'", "").replace("{{.", ""), f"{page}: {left}"
        assert text.startswith("# ")
        assert text.endswith("\n")
        assert [line for line in text.splitlines() if line != line.rstrip()] == [], page


@pytest.mark.parametrize("stack", EVERY)
def test_every_link_leads_somewhere(stack: str) -> None:
    found = pages_of(stack)
    for page, text in found.items():
        for name, _, anchor in re.findall(r"\]\(([a-z-]+\.md)(#([a-z-]+))?\)", text):
            assert name in found, page
            headings = [
                heading.lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", found[name], flags=re.MULTILINE)
            ]
            assert not anchor or anchor in headings, page


@pytest.mark.parametrize("stack", [*STACKS, *MADE])
def test_every_target_is_named_with_its_repository(stack: str) -> None:
    settings = MADE[stack] if stack in MADE else of_stack(stack)
    text = pages_of(stack)["host-lost.md"]
    targets = settings.backup.targets if settings.backup is not None else ()
    for target in targets:
        assert f"`{target.name}` (" in text
    assert text.count("export RESTIC_REPOSITORY=") == len(targets)
    assert (f"--host immich-{stack}" in text) == bool(targets)


def test_a_stack_without_backups_is_told_so_on_every_page_that_needs_one() -> None:
    for page in ("disk-lost", "database-lost", "host-lost", "photo-deleted", "ransom", "upgrade-went-wrong"):
        assert "**This stack makes no backups.**" in pages_of("bare")[f"{page}.md"], page
        assert "This stack makes no backups" not in pages_of("two")[f"{page}.md"], page
    assert "immich:restore.what" not in pages_of("bare")["disk-lost.md"]


def test_a_dump_on_the_lost_disk_is_not_promised() -> None:
    beside = pages(host({"volume": {"kind": "hostPath", "path": "/var/backup"}}), "some")["disk-lost.md"]
    assert "**No copy of the database is anywhere else**" in beside
    apart = pages(host({"volume": {"kind": "hostPath", "path": "/mnt/usb/dumps"}}), "some")["disk-lost.md"]
    assert "**No copy of the database is anywhere else**" not in apart
    assert "cat /mnt/usb/dumps/database/immich.sql.zst" in apart


def test_a_library_is_never_made_or_given_away() -> None:
    for page, text in pages_of("two").items():
        assert not re.findall(r"^ .*/mnt/old", text, flags=re.MULTILINE), page


def test_the_folder_of_a_copied_library_is_made_for_the_restore_to_fill() -> None:
    library = {
        "name": "scans",
        "mountPath": "/mnt/scans",
        "source": {"kind": "hostPath", "path": "/srv/scans"},
    }
    for files, made in (({}, False), ({"files": {"externalLibraries": ["scans"]}}, True)):
        found = pages(host({"targets": [AWAY], **files}, storage={"externalLibraries": [library]}), "some")
        for page in ("host-lost.md", "disk-lost.md"):
            assert bool(re.search(r"install -d .* /srv/scans$", found[page], re.MULTILINE)) is made, page
            assert "immich:restore.what both" in found["host-lost.md"]


def test_a_copied_library_on_a_disk_of_its_own_comes_back_by_hand() -> None:
    """The restore leaves everything alone where the photos are still there."""
    library = {
        "name": "scans",
        "mountPath": "/mnt/scans",
        "source": {"kind": "hostPath", "path": "/srv/scans"},
    }
    files = {"files": {"externalLibraries": ["scans"]}}
    found = pages(host({"targets": [AWAY], **files}, storage={"externalLibraries": [library]}), "some")[
        "disk-lost.md"
    ]
    (disk,) = [part for part in found.split("\n## ") if "library-scans" in part.splitlines()[0]]
    assert "--include /mnt/scans --target /mnt/restored" in disk
    assert "sudo rsync -aHAX /mnt/restored/mnt/scans/ /srv/scans/" in disk
    assert "immich:restore" not in disk


def test_a_folder_with_spaces_is_one_word_of_a_command() -> None:
    photos = {"kind": "hostPath", "path": "/srv/my photos"}
    for page, text in pages(host({"targets": [AWAY]}, storage={"media": photos}), "some").items():
        lines = [line for line in text.splitlines() if line.startswith("    ") and "my photos" in line]
        assert all("'/srv/my photos'" in line for line in lines), page
        assert page != "disk-lost.md" or lines


def test_what_comes_back_differs_by_what_makes_the_copies() -> None:
    assert "immich:restore.what both" in pages_of("two")["host-lost.md"]
    operated = pages_of("operated")["host-lost.md"]
    assert "immich:restore.what files" in operated
    assert "immich:database.lineage.generation" in operated
    assert "immich:restore" not in pages_of("archived")["database-lost.md"]
    dumped = pages_of("dumped")["database-lost.md"]
    assert "SET SESSION AUTHORIZATION immich" in dumped
    assert "CREATE EXTENSION vchord CASCADE" in dumped
    assert "immich:restore.what database" not in dumped
    assert "immich:restore.what" not in pages_of("dumps")["disk-lost.md"]
