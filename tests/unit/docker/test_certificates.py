"""What keeps nginx's certificate on a host: its script, run by a real shell with the real openssl, and its workload."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from components import versions
from components.model.workload import ConfigFiles, SecretFiles, Storage
from components.proxy.certificate_keeper import Kept, script, workload
from components.proxy.tls_settings import Tls

NAMES = ("photos.example.com", "192.168.1.5")
SELF_SIGNED: dict[str, Any] = {"kind": "selfSigned"}
FILES: dict[str, Any] = {
    "kind": "files", "folder": "/etc/letsencrypt", "certificate": "live/photos/fullchain.pem",
    "key": "live/photos/privkey.pem", "group": 111,
}  # fmt: skip
ACME: dict[str, Any] = {"kind": "acme", "email": "me@example.com"}
SECONDS = 15.0
CERTBOT = """#!/bin/sh
# A stand-in for certbot: it writes down what it was asked, and gives what lies ready.
printf '%s\\n' "$@" > {root}/asked
[ -e {root}/ready.crt ] || exit 1
mkdir -p {root}/certificates/acme/live/immich
cp {root}/ready.crt {root}/certificates/acme/live/immich/fullchain.pem
cp {root}/ready.key {root}/certificates/acme/live/immich/privkey.pem
"""


def tls(section: dict[str, Any]) -> Kept:
    """A way to a certificate, read as a stack's file is."""
    found: Any = TypeAdapter[Any](Tls).validate_python(section, by_alias=True, by_name=False)
    assert isinstance(found, Kept)
    return found


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def certificate(path: Path, key: Path, *, name: str = "real.example.com", days: int = 397) -> None:
    """Make a certificate with its key."""
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days),
        "-keyout", key, "-out", path, "-subj", f"/CN={name}",
    )  # fmt: skip


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


class Keeper:
    """The script with its folders below `root`; a wait of hours takes a tenth of a second."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("certificates", "source", "bin", "tmp"):
            (root / name).mkdir()
        self._stub("sleep", "#!/bin/sh\nexec /bin/sleep 0.1\n")
        self._stub("certbot", CERTBOT.format(root=root))

    def _stub(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(text)
        (self.root / "bin" / name).chmod(0o755)

    @property
    def crt(self) -> Path:
        return self.root / "certificates" / "tls.crt"

    @property
    def key(self) -> Path:
        return self.root / "certificates" / "tls.key"

    @contextlib.contextmanager
    def running(
        self, section: dict[str, Any], names: Sequence[str] = NAMES
    ) -> Generator[subprocess.Popen[bytes]]:
        """The script at work; ended by its own number."""
        text = script(tls(section), names)
        for inside in ("/certificates", "/source"):
            text = text.replace(inside, str(self.root / inside.strip("/")))
        (self.root / "keep.sh").write_text(text)
        env = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "TMPDIR": str(self.root / "tmp")}
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                ["sh", str(self.root / "keep.sh")], env=env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)

    def settled(self, section: dict[str, Any], names: Sequence[str] = NAMES) -> bytes:
        """Run until there is a certificate of these names; gives it."""
        with self.running(section, names):
            until((self.root / "certificates" / "names").exists, "names")
            until(
                lambda: (self.root / "certificates" / "names").read_text().split() == list(names), "new names"
            )
        return self.crt.read_bytes()

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def belongs_together(self) -> bool:
        """Whether the key is that of the certificate."""
        return openssl("x509", "-in", self.crt, "-noout", "-pubkey") == openssl(
            "pkey", "-in", self.key, "-pubout"
        )


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


# Self-signed


def test_a_certificate_is_made_for_every_name_and_for_localhost(keeper: Keeper) -> None:
    keeper.settled(SELF_SIGNED)
    text = openssl("x509", "-in", keeper.crt, "-noout", "-text")
    assert "DNS:photos.example.com, IP Address:192.168.1.5, DNS:localhost" in text
    assert "CN = photos.example.com" in text or "CN=photos.example.com" in text
    assert keeper.belongs_together()
    assert not stat.S_IMODE(keeper.key.stat().st_mode) & 0o007
    assert list((keeper.root / "tmp").iterdir()) == [], "the key lies nowhere else"


def test_the_same_names_keep_the_certificate_and_others_get_a_new_one(keeper: Keeper) -> None:
    first = keeper.settled(SELF_SIGNED)
    with keeper.running(SELF_SIGNED):
        time.sleep(0.5)
    assert keeper.crt.read_bytes() == first
    second = keeper.settled(SELF_SIGNED, ("pictures.example.com",))
    assert second != first
    assert "DNS:pictures.example.com, DNS:localhost" in openssl("x509", "-in", keeper.crt, "-noout", "-text")
    assert keeper.belongs_together()


def test_a_certificate_that_ends_within_a_month_is_made_anew(keeper: Keeper) -> None:
    certificate(keeper.crt, keeper.key, days=20)
    (keeper.crt.parent / "names").write_text(" ".join(NAMES) + "\n")
    first = keeper.crt.read_bytes()
    with keeper.running(SELF_SIGNED):
        until(lambda: keeper.crt.read_bytes() not in {first, b""}, "a new certificate")
    assert keeper.belongs_together()


def test_it_ends_at_once_when_the_engine_asks_it_to(keeper: Keeper) -> None:
    with keeper.running(SELF_SIGNED) as process:
        until(keeper.crt.exists, "a certificate")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0, "the first process of a container ends only when it says so itself"


# Files of the host


def given_files(keeper: Keeper) -> tuple[Path, Path]:
    folder = keeper.root / "source" / "live" / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "fullchain.pem", folder / "privkey.pem"


def test_files_of_the_host_are_taken_up_and_again_when_they_are_renewed(keeper: Keeper) -> None:
    crt, key = given_files(keeper)
    certificate(crt, key)
    with keeper.running(FILES):
        until(lambda: keeper.crt.exists() and keeper.crt.read_bytes() == crt.read_bytes(), "the first")
        assert keeper.key.read_bytes() == key.read_bytes()
        # As certbot renews: beside, then renamed.
        certificate(keeper.root / "new.crt", keeper.root / "new.key", name="renewed.example.com")
        (keeper.root / "new.key").replace(key)
        (keeper.root / "new.crt").replace(crt)
        until(lambda: keeper.crt.read_bytes() == crt.read_bytes(), "the renewed one")
        assert keeper.key.read_bytes() == key.read_bytes()
        until(lambda: keeper.log.count("certificate taken up, valid until") == 2, "two lines about it")


def test_files_that_cannot_be_read_are_named_with_what_to_do_and_waited_for(keeper: Keeper) -> None:
    with keeper.running(FILES) as process:
        until(lambda: "cannot read" in keeper.log, "the complaint")
        assert process.poll() is None
        assert not keeper.crt.exists()
        certificate(*given_files(keeper))
        until(keeper.crt.exists, "the certificate")
    line = next(line for line in keeper.log.splitlines() if "cannot read" in line)
    assert "live/photos/fullchain.pem and live/photos/privkey.pem in /etc/letsencrypt of the host" in line
    assert "immich:proxy.tls.group" in line


def test_an_unchanged_file_is_not_taken_up_again(keeper: Keeper) -> None:
    certificate(*given_files(keeper))
    with keeper.running(FILES):
        until(keeper.crt.exists, "the certificate")
        before = keeper.crt.stat().st_ino
        time.sleep(0.5)
        assert keeper.crt.stat().st_ino == before
    assert keeper.log.count("taken up") == 1


# ACME


def test_until_the_first_real_certificate_another_stands_in_and_then_it_is_replaced(keeper: Keeper) -> None:
    with keeper.running(ACME):
        until(lambda: "no certificate yet; the next attempt is in an hour" in keeper.log, "the first attempt")
        assert "DNS:photos.example.com" in openssl("x509", "-in", keeper.crt, "-noout", "-text")
        assert (keeper.root / "certificates" / "webroot").is_dir()
        certificate(keeper.root / "spare.crt", keeper.root / "ready.key")
        (keeper.root / "spare.crt").replace(keeper.root / "ready.crt")
        until(lambda: keeper.crt.read_bytes() == (keeper.root / "ready.crt").read_bytes(), "the real one")
        assert keeper.key.read_bytes() == (keeper.root / "ready.key").read_bytes()


def test_a_restart_keeps_the_real_certificate_while_the_server_says_no(keeper: Keeper) -> None:
    certificate(keeper.crt, keeper.key)
    before = keeper.crt.read_bytes()
    with keeper.running(ACME):
        until(lambda: "no certificate yet" in keeper.log, "an attempt")
    assert keeper.crt.read_bytes() == before


def asked(keeper: Keeper, section: dict[str, Any]) -> list[str]:
    """What certbot is asked."""
    with keeper.running(section, ("photos.example.com", "pictures.example.com")):
        until((keeper.root / "asked").exists, "a call of certbot")
        until(lambda: "no certificate yet" in keeper.log, "the end of the call")
    return (keeper.root / "asked").read_text().splitlines()


def test_certbot_is_asked_for_every_name_by_the_webroot_that_nginx_serves(keeper: Keeper) -> None:
    folder = str(keeper.root / "certificates")
    assert asked(keeper, ACME) == [
        "certonly", "--non-interactive", "--agree-tos", "--email", "me@example.com",
        "--server", "https://acme-v02.api.letsencrypt.org/directory",
        "--config-dir", f"{folder}/acme", "--work-dir", "/tmp/work", "--logs-dir", "/tmp/logs",
        "--max-log-backups", "0", "--cert-name", "immich", "--expand", "--keep-until-expiring",
        "--webroot", "--webroot-path", f"{folder}/webroot", "-d", "photos.example.com", "-d", "pictures.example.com",
    ]  # fmt: skip


def test_by_dns_certbot_reads_the_token_from_its_file(keeper: Keeper) -> None:
    found = asked(keeper, {**ACME, "challenge": "dns-cloudflare", "server": "https://acme.example.com/dir"})
    at = found.index("--dns-cloudflare")
    assert found[at + 1 : at + 3] == ["--dns-cloudflare-credentials", "/run/secrets/acme/cloudflare.ini"]
    assert "--webroot" not in found
    assert found[found.index("--server") + 1] == "https://acme.example.com/dir"


# Whatever the settings accept


@pytest.mark.parametrize("sign", ['"', "'", "`id`", "$(id)", "$HOME", "\\", ";", "&"])
def test_no_sign_of_the_shell_is_one_in_an_address(keeper: Keeper, sign: str) -> None:
    email, server = f"me{sign}@example.com", f"https://acme.example.com/{sign}"
    found = asked(keeper, {**ACME, "email": email, "server": server})
    assert found[found.index("--email") + 1] == email
    assert found[found.index("--server") + 1] == server


def test_no_sign_of_the_shell_is_one_in_a_folder(keeper: Keeper) -> None:
    with keeper.running({**FILES, "folder": '/etc/my "certs" $(id)'}):
        until(lambda: 'in /etc/my "certs" $(id) of the host' in keeper.log, "the complaint")


def test_the_script_is_one_that_a_plain_shell_reads() -> None:
    for section in (SELF_SIGNED, FILES, ACME, {**ACME, "challenge": "dns-cloudflare"}):
        done = subprocess.run(
            ["sh", "-n"], input=script(tls(section), NAMES), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


# The workload


def test_the_container_runs_as_nginxs_user_and_keeps_the_files_in_a_volume() -> None:
    one = workload(tls(SELF_SIGNED), NAMES, 101)
    assert (one.user, one.group) == (101, 101)
    assert one.image == versions.current("certbot")
    assert [mount.path for mount in one.mounts if isinstance(mount, Storage)] == ["/certificates"]
    (config,) = [mount for mount in one.mounts if isinstance(mount, ConfigFiles)]
    assert one.command == ("/bin/sh", f"{config.path}/keep.sh")
    assert one.readiness is not None
    assert one.egress == ()
    assert not any(isinstance(mount, SecretFiles) for mount in one.mounts)


def test_files_of_the_host_are_read_only_and_read_by_the_group_that_may() -> None:
    one = workload(tls(FILES), NAMES, 101)
    (source,) = [mount for mount in one.mounts if isinstance(mount, Storage) and mount.path == "/source"]
    assert source.read_only
    assert one.supplemental_groups == (111,)
    assert workload(tls({**FILES, "group": None}), NAMES, 101).supplemental_groups == ()


def test_an_acme_server_is_reached_at_its_port_and_cloudflare_for_the_challenge_by_dns() -> None:
    plain = workload(tls(ACME), NAMES, 101)
    assert [(one.names, one.ports) for one in plain.egress] == [(("acme-v02.api.letsencrypt.org",), (443,))]
    other = workload(
        tls({**ACME, "server": "https://ca.lan:9443/acme", "challenge": "dns-cloudflare"}), NAMES, 101
    )
    assert [(one.names, one.ports) for one in other.egress] == [
        (("ca.lan",), (9443,)),
        (("api.cloudflare.com",), (443,)),
    ]
    (token,) = [mount for mount in other.mounts if isinstance(mount, SecretFiles)]
    assert (token.secret, token.path) == ("acme", "/run/secrets/acme")


def test_another_image_can_be_given() -> None:
    image = "registry.example.com/certs:1"
    assert workload(tls({**SELF_SIGNED, "image": image}), NAMES, 101).image == image
