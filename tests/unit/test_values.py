"""The small value types: what each takes, what it refuses, and how it is computed with."""

from __future__ import annotations

import ipaddress
import pickle
import re
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from components.model.values import (
    FLOATING_TAGS,
    AbsolutePath,
    Bytes,
    Cidr,
    Cpu,
    Duration,
    Hostname,
    ImageRef,
    IpAddress,
    Memory,
    ObjectName,
    ParsedStr,
    Quantity,
    ServerAddress,
    ValueRefused,
    VolumeSize,
)
from tests.harness.examples import examples

EVERY_TYPE: tuple[type[ParsedStr], ...] = (
    AbsolutePath, Bytes, Cidr, Cpu, Duration, Hostname, ImageRef, IpAddress, Memory, ObjectName, Quantity,
    ServerAddress, VolumeSize,
)  # fmt: skip
FAST = settings(max_examples=examples(150), deadline=None, derandomize=True)
UNITS = {"": 0, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50}
DIGEST = "sha256:" + "0a" * 32

whole = st.integers(min_value=1, max_value=10**15 - 1)
fractions = st.builds(
    lambda left, right: f"{left}.{right:06d}", whole, st.integers(min_value=1, max_value=999_999)
)
numbers = whole.map(str) | fractions
labels = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")


@pytest.mark.parametrize("kind", EVERY_TYPE)
@given(text=st.text(max_size=40) | st.text(alphabet="0129.:/@-_%aGimhskfd٣\n ", max_size=30))
@settings(FAST, max_examples=examples(100))
def test_any_text_is_refused_with_a_sentence_or_kept(kind: type[ParsedStr], text: str) -> None:
    kept, refusal = tried(kind, text)
    if kept is None:
        assert re.search(f"{re.escape(kind.accepted)}|names a different image|prefix of 0", refusal)
    else:
        assert kind(kept) == kept
        assert kept.isascii() or kind is AbsolutePath
        assert kept.isprintable()
        assert kept == kept.strip() != ""


def tried(kind: type[ParsedStr], text: str) -> tuple[ParsedStr | None, str]:
    try:
        return kind(text), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("kind", EVERY_TYPE)
@pytest.mark.parametrize("value", [None, True, 1.5j, b"1", [], {}, object()])
def test_what_is_no_text_is_refused(kind: type[ParsedStr], value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        kind(value)


@pytest.mark.parametrize("kind", [one for one in EVERY_TYPE if not issubclass(one, Quantity)])
def test_a_number_is_text_for_a_quantity_only(kind: type[ParsedStr]) -> None:
    with pytest.raises(ValueError, match="expected"):
        kind(5)
    assert (Quantity(5), Quantity(1.5)) == ("5", "1500m")


def test_a_value_is_a_field_of_a_model_and_goes_back_to_the_same_text() -> None:
    class Model(BaseModel):
        size: Quantity

    model = Model.model_validate({"size": " 5Gi "})
    assert type(model.size) is Quantity
    assert model.model_dump_json() == '{"size":"5Gi"}'
    assert Model.model_validate_json(model.model_dump_json()) == model
    assert TypeAdapter(Quantity).json_schema()["type"] == ["string", "number"]
    assert TypeAdapter(Bytes).json_schema()["type"] == "string"
    assert pickle.loads(pickle.dumps(model.size)) == model.size  # noqa: S301 - it was made one line above
    with pytest.raises(ValidationError, match="a quantity such as"):
        Model.model_validate({"size": "five"})


@given(numbers, st.sampled_from([*UNITS, *BINARY]))
@FAST
def test_a_quantity_is_its_number_times_its_unit(number: str, unit: str) -> None:
    factor = Decimal(2) ** BINARY[unit] if unit in BINARY else Decimal(10) ** UNITS[unit]
    assert Quantity(f"{number}{unit}").amount == Decimal(number) * factor


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2048Mi", "2Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1000M", "1G"),
        ("1500M", "1500M"),
        ("2", "2"),
        ("50Gi", "50Gi"),
        ("1.3Gi", "1.3Gi"),
    ],
)
def test_a_quantity_is_kept_as_an_api_server_writes_it(given: str, kept: str) -> None:
    assert Quantity(given) == kept


@given(whole, whole, st.sampled_from([*UNITS, *BINARY]))
@FAST
def test_quantities_of_one_unit_are_ordered_as_their_numbers(one: int, other: int, unit: str) -> None:
    first, second = Quantity(f"{one}{unit}").amount, Quantity(f"{other}{unit}").amount
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


def test_quantities_of_different_units_are_compared_by_what_they_mean() -> None:
    texts = ["1m", "999m", "1", "1k", "1Ki", "999k", "1M", "1Mi", "1G", "1Gi", "1T", "1Ti", "1P", "1Pi"]
    amounts = [Quantity(text).amount for text in texts]
    assert amounts == sorted(amounts)
    assert len(set(amounts)) == len(amounts)
    assert Quantity("1024Mi").amount == Quantity("1Gi").amount
    assert Quantity("1000m").amount == Quantity("1").amount == 1
    assert Quantity("0.5").amount == Quantity("500m").amount


@given(st.integers(min_value=1, max_value=10**9))
@FAST
def test_mebibytes_are_written_in_gibibytes_where_those_are_whole(amount: int) -> None:
    quantity = Quantity.mebibytes(amount)
    assert quantity.amount == amount * 2**20
    assert quantity.endswith("Gi") == (amount % 1024 == 0)


@pytest.mark.parametrize(
    "text",
    ["0", "0Gi", "0.0", "-1", "+1", "1gi", "1 Gi", "1KB", "1e3", ".5", "1.", "1Ei", "٣", "1m5", "Gi", "inf"],
)
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="a quantity such as 500m, 2, 512Mi or 50Gi, more than zero"):
        Quantity(text)


@given(st.integers(0, 999_999), st.integers(0, 999_999), st.integers(0, 99_999_999))
@FAST
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    assert Duration(f"{hours}h{minutes}m{seconds}s").seconds == hours * 3600 + minutes * 60 + seconds
    assert Duration(f"{hours}h{seconds}s").seconds == hours * 3600 + seconds
    assert Duration(f"{minutes}m").seconds == minutes * 60


@pytest.mark.parametrize("text", ["", "5", "5x", "1m1h", "1h 5m", "1.5h", "-5s", "5S", "٣s", "100ms", "1h1h"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as 30s, 15m or 1h30m"):
        Duration(text)


@given(st.ip_addresses(), st.integers(1, 128))
@FAST
def test_a_network_has_no_host_bits(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int
) -> None:
    prefix = min(prefix, address.max_prefixlen)
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    assert Cidr(str(network)) == str(network)
    text = f"{address}/{prefix}"
    if network.network_address == address:
        assert ipaddress.ip_network(Cidr(text)) == network
    else:
        with pytest.raises(ValueError, match="its host bits zero") as caught:
            Cidr(text)
        assert str(network) in str(caught.value)


def test_networks_are_written_one_way() -> None:
    assert Cidr("10.0.0.0/255.0.0.0") == "10.0.0.0/8"
    assert Cidr("10.0.0.1") == "10.0.0.1/32"
    assert Cidr("FD00:0:0::/8") == "fd00::/8"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0"])
def test_every_address_there_is_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="every address there is"):
        Cidr(text)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0/8", "fe80::%eth0/64", "fe80::1%eth0", "nas.lan", "10.0.0.0 /8"]
)
def test_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="a network such as"):
        Cidr(text)


@given(
    st.lists(labels, min_size=1, max_size=4),
    st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,20}\Z"),
    st.booleans(),
)
@FAST
def test_an_image_has_a_tag_and_perhaps_a_digest(path: list[str], tag: str, pinned: bool) -> None:
    assume(tag not in FLOATING_TAGS)
    text = f"registry.example.com:5000/{'/'.join(path)}:{tag}"
    image = ImageRef(f"{text}@{DIGEST}" if pinned else text)
    assert image.tag == tag
    assert image.digest == (DIGEST if pinned else None)


@pytest.mark.parametrize("tag", sorted(FLOATING_TAGS))
def test_a_floating_tag_is_refused_even_with_a_digest(tag: str) -> None:
    for text in (f"ghcr.io/a/b:{tag}", f"ghcr.io/a/b:{tag}@{DIGEST}"):
        with pytest.raises(ValueError, match="different image tomorrow"):
            ImageRef(text)


@pytest.mark.parametrize(
    "text",
    ["nginx", "nginx:1", "ghcr.io/a/b", f"ghcr.io/a/b@{DIGEST}", "ghcr.io/A/b:1", "ghcr.io/a/b:1@sha256:ABC",
     f"ghcr.io/a/b:1@{DIGEST}0", "https://ghcr.io/a/b:1", "ghcr.io/a//b:1", "ghcr.io/a/b:.1",
     "ghcr.io/a/b:" + "1" * 129],
)  # fmt: skip
def test_no_image(text: str) -> None:
    with pytest.raises(ValueError, match="registry/repository:tag"):
        ImageRef(text)


@given(st.lists(labels, min_size=1, max_size=5))
@FAST
def test_a_host_name_is_kept_as_it_is(parts: list[str]) -> None:
    name = ".".join([*parts, "lan"])
    assert Hostname(name) == name == ServerAddress(name)
    assert not Hostname(name).is_ip
    assert not ServerAddress(name).is_ip


@given(st.ip_addresses(v=4))
@FAST
def test_an_address_is_told_from_a_name(address: ipaddress.IPv4Address) -> None:
    assert Hostname(str(address)).is_ip
    assert ServerAddress(str(address)).is_ip
    if address.is_multicast or address.is_reserved:
        with pytest.raises(ValueError, match="of one machine"):
            IpAddress(str(address))
    else:
        assert IpAddress(str(address)) == str(address)


@given(st.ip_addresses(v=6))
@FAST
def test_an_address_of_six_is_written_one_way(address: ipaddress.IPv6Address) -> None:
    assert ServerAddress(address.exploded.upper()) == str(address)
    assert address.is_multicast or IpAddress(address.exploded) == str(address)
    assert ServerAddress(address.exploded).is_ip
    with pytest.raises(ValueError, match="a host name"):
        Hostname(str(address))


@pytest.mark.parametrize(
    "text",
    ["", ".", "a.", ".a", "a..b", "-a", "a-", "A.example", "a_b", "a b", "*.example.com", "bücher.example", "a:80",
     "a/b", "x" * 64, "a." * 130 + "a", "10.0.0.300", "1", "photos.7", "1.2.3"],
)  # fmt: skip
def test_no_host_name(text: str) -> None:
    with pytest.raises(ValueError, match="a host name in lower case"):
        Hostname(text)
    with pytest.raises(ValueError, match="a host name or an IP address"):
        ServerAddress(text)


@pytest.mark.parametrize("text", ["nas.lan", "10.0.0.0/8", "10.0.0.300", "fe80::1%eth0", "", "::g"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="an IP address such as"):
        IpAddress(text)


@given(
    st.lists(
        st.from_regex(r"\A[A-Za-z0-9._ -]{1,12}\Z")
        .map(str.strip)
        .filter(lambda part: part not in {"", ".", ".."}),
        min_size=1,
    )
)
@settings(FAST, max_examples=examples(50))
def test_an_absolute_path_is_kept_as_it_is(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert AbsolutePath(path) == path


@pytest.mark.parametrize(
    "text", ["", "/", "a", "a/b", "/a/", "//a", "/a//b", "/a/../b", "/./a", "/..", "/a\nb", "~/a"]
)
def test_no_absolute_path(text: str) -> None:
    with pytest.raises(ValueError, match="an absolute path"):
        AbsolutePath(text)


@given(labels)
@FAST
def test_an_object_name_is_kept_as_it_is(name: str) -> None:
    assert ObjectName(name) == name


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "ä", "a b"])
def test_no_object_name(text: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters, digits and hyphens, at most 63"):
        ObjectName(text)


@pytest.mark.parametrize("kind", [Bytes, Memory, VolumeSize])
@given(number=whole, unit=st.sampled_from(["", "m", "MB", " GB", "g", "KiB", "b"]))
@settings(FAST)
def test_bytes_have_a_unit_of_kubernetes_and_what_is_proposed_instead_is_accepted(
    kind: type[Bytes], number: int, unit: str
) -> None:
    with pytest.raises(ValueError, match="with its unit such as") as caught:
        kind(f"{number}{unit}")
    hint = getattr(caught.value, "hint", None)
    if hint is not None:
        assert kind(hint.removeprefix("write ")).amount >= Quantity(kind.least).amount


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("512m", "512Mi"),
        ("50GB", "50Gi"),
        ("50 GB", "50Gi"),
        ("2g", "2Gi"),
        ("1.5tb", "1.5Ti"),
        ("4", "4Gi"),
        ("2048", "2048Mi"),
        ("536870912", "512Mi"),
        ("500000000", "500M"),
    ],
)
def test_bytes_as_others_write_them_are_told_in_kubernetes_units(text: str, meant: str) -> None:
    with pytest.raises(ValueRefused) as caught:
        Memory(text)
    assert caught.value.hint == f"write {meant}"


def test_a_size_below_the_least_is_never_proposed() -> None:
    with pytest.raises(ValueRefused) as caught:
        VolumeSize("1m")
    assert caught.value.hint is None


@given(st.integers(min_value=1024, max_value=10**17))
@settings(FAST)
def test_a_count_of_bytes_gets_a_unit_and_loses_less_than_a_kibibyte(number: int) -> None:
    assert 0 <= number - Bytes.of(number).amount < 1024


@pytest.mark.parametrize("text", ["4Gi", "4m", "9m", "0.001", "513", "4k", "0", "1e3"])
def test_no_number_of_cores(text: str) -> None:
    with pytest.raises(ValueError, match="cores such as 500m or 2"):
        Cpu(text)


@pytest.mark.parametrize(
    ("text", "cores"), [("10m", "0.01"), ("1500m", "1.5"), ("2", "2"), ("0.5", "0.5"), ("512", "512")]
)
def test_cores_are_whole_or_thousandths(text: str, cores: str) -> None:
    assert Cpu(text).amount == Decimal(cores)


def test_no_hint_for_a_size_is_one_for_cores() -> None:
    assert "500m" not in Bytes.accepted + Memory.accepted + VolumeSize.accepted
