"""The port of proxy-addr gives what the original gives (its README and tests, 2.0.7, and forwarded 0.2.0)."""

from __future__ import annotations

import pytest

from tests.edge.proxy_addr import client_address, compile_trust, forwarded, immich_logs

pytestmark = [pytest.mark.deep(unless_changed=("tests/edge",)), pytest.mark.edge]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ["10.0.0.1"]),
        ("", ["10.0.0.1"]),
        ("1.2.3.4", ["10.0.0.1", "1.2.3.4"]),
        ("1.2.3.4, 5.6.7.8", ["10.0.0.1", "5.6.7.8", "1.2.3.4"]),
        (" 1.2.3.4 ,  5.6.7.8 ", ["10.0.0.1", "5.6.7.8", "1.2.3.4"]),
        ("1.2.3.4,", ["10.0.0.1", "", "1.2.3.4"]),
    ],
)
def test_a_header_is_read_from_its_end(header: str | None, expected: list[str]) -> None:
    assert forwarded("10.0.0.1", header) == expected


@pytest.mark.parametrize(
    ("trusted", "address", "expected"),
    [
        ("loopback", "127.9.9.9", True),
        ("loopback", "::1", True),
        ("loopback", "::ffff:127.0.0.1", True),
        ("loopback", "128.0.0.1", False),
        ("uniquelocal", "172.31.255.255", True),
        ("uniquelocal", "172.32.0.0", False),
        ("linklocal", "fe80::1", True),
        ("10.0.0.0/16", "10.0.255.1", True),
        ("10.0.0.0/16", "::ffff:10.0.0.1", True),
        ("::ffff:a00:0/112", "10.0.0.7", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.0/8", "myrouter", False),
        ("10.0.0.0/8", "", False),
        ("10.0.0.0/8", "fd00::1", False),
    ],
)
def test_an_address_is_trusted_by_its_range(trusted: str, address: str, expected: bool) -> None:
    assert compile_trust([trusted])(address) is expected


@pytest.mark.parametrize("everyone", ["0.0.0.0/0", "::/0"])
def test_a_range_of_everyone_is_refused_as_the_original_refuses_it(everyone: str) -> None:
    with pytest.raises(ValueError, match="invalid range on address"):
        compile_trust([everyone])


@pytest.mark.parametrize(
    ("peer", "header", "trusted", "expected"),
    [
        # Nobody is trusted: the peer.
        ("10.0.0.1", "1.2.3.4", [], "10.0.0.1"),
        # All are trusted: the farthest.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.3"),
        # The nearest that is not trusted, whatever is said before it.
        ("10.0.0.1", "1.1.1.1, 192.168.0.1, 10.0.0.2", ["10.0.0.0/8"], "192.168.0.1"),
        # What is no address is trusted by nobody.
        ("10.0.0.1", "1.1.1.1, myrouter, 10.0.0.2", ["10.0.0.0/8"], "myrouter"),
        ("::1", "1.1.1.1, 127.0.0.1", ["loopback"], "1.1.1.1"),
    ],
)
def test_the_client_is_the_nearest_that_is_not_trusted(
    peer: str, header: str, trusted: list[str], expected: str
) -> None:
    assert client_address(peer, header, compile_trust(trusted)) == expected


def test_an_appending_proxy_lets_a_client_of_a_trusted_network_choose_its_address() -> None:
    # Measured with proxy-addr 2.0.8: why nginx overwrites the header.
    assert immich_logs("10.42.0.9", "1.2.3.4, 10.42.0.7", "10.42.0.0/16") == "1.2.3.4"
    assert immich_logs("10.42.0.9", "10.42.0.7", "10.42.0.0/16") == "10.42.0.7"
