"""Whatever a person types for a deployment: it is refused, or nothing breaks out of its place."""

import ipaddress
import re
from contextlib import suppress
from string import ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.deploy.checked import check_plan, site
from comporta.deploy.kinds import Kind
from comporta.deploy.names import a_domain, a_network, a_server
from comporta.deploy.plan import Plan
from comporta.deploy.render import files
from comporta.errors import ConfigError

PLAN = Plan(3, 30, 2, 4, "redis", "postgresql", "redis", 16, 7, 8.0)
SAFE = re.compile(r"[A-Za-z0-9.:/\[\]-]+")
HOSTILE = st.text(
    st.sampled_from("ab1.-_=:/[]{}()'\"\\;#$%&|<>* \t\r\n\0~!?@,é`"), max_size=40
) | st.text(max_size=40)
LABEL = st.text(ascii_lowercase + digits, min_size=1, max_size=20)
BREAKS = (
    *("; return 200", "\nserver {", "} #", "$host", "%{+Q}o", '" if', "' ||", "\\", "\r\n", "\0"),
    *("{{ 1 }}", "{% if %}", "`id`", "$(id)", "é", " ", "\t", "*", "_", ","),
)


def fits(text: str) -> bool:
    return SAFE.fullmatch(text) is not None


@given(HOSTILE)
def test_a_domain_is_refused_or_harmless(text: str) -> None:
    with suppress(ConfigError):
        assert fits(a_domain(text))


@given(HOSTILE)
def test_a_server_is_refused_or_harmless(text: str) -> None:
    with suppress(ConfigError):
        name, host, port = a_server(f"a={text}", 8001)
        assert fits(name)
        assert fits(host)
        assert 0 < port < 65_536


@given(HOSTILE)
def test_a_refusal_says_what_was_typed_without_disturbing_a_terminal(text: str) -> None:
    for read in (a_domain, a_network, lambda one: a_server(one, 8001)):
        try:
            read(text)
        except ConfigError as error:
            said = str(error)
            assert said.isprintable()


@given(HOSTILE)
def test_a_network_is_refused_or_harmless(text: str) -> None:
    with suppress(ConfigError):
        assert fits(a_network(text))


@pytest.mark.parametrize("tail", BREAKS)
def test_nothing_can_be_added_to_a_good_value(tail: str) -> None:
    for attempt in (
        lambda: a_domain(f"hooks.example.com{tail}"),
        lambda: a_domain(f"{tail}hooks.example.com"),
        lambda: a_server(f"server-1{tail}=10.0.0.1", 8001),
        lambda: a_server(f"server-1=host{tail}", 8001),
        lambda: a_server(f"server-1=10.0.0.1:80{tail}", 8001),
        lambda: a_network(f"10.0.0.0/8{tail}"),
    ):
        with pytest.raises(ConfigError):
            attempt()


@given(LABEL, st.lists(LABEL.filter(str.isalpha), min_size=1, max_size=4))
def test_ordinary_names_are_taken(first: str, others: list[str]) -> None:
    name = ".".join((first, *others))
    assert a_domain(name.upper()) == name
    assert a_server(f"{first}={name}:81", 8001) == (first, name, 81)


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_address_is_taken_with_a_port_and_without(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    text = str(address)
    if "%" in text:
        return
    written = f"[{text}]" if ":" in text else text
    assert a_server(f"a={written}:{port}", 8001) == ("a", text, port)
    assert a_server(f"a={text}", 8001) == ("a", text, 8001)
    assert a_network(text) == text


def test_believing_everybody_is_refused() -> None:
    for everybody in ("0.0.0.0/0", "::/0"):
        with pytest.raises(ConfigError, match="everybody"):
            a_network(everybody)


@given(LABEL, LABEL, LABEL.filter(str.isalpha))
def test_what_is_taken_adds_no_line_to_a_file(name: str, host: str, tld: str) -> None:
    plain = site(PLAN, "a.example", ("a=h", "b=i"))
    typed = site(PLAN, f"{host}.{tld}", (f"{name}=0{host}x", f"{name}x=1{host}x"))
    for kind in (Kind.NGINX, Kind.HAPROXY):
        (one,), (other,) = (files(kind, each, "en").values() for each in (plain, typed))
        ours, theirs = ([x for x in t.splitlines() if "#" not in x] for t in (one, other))
        assert [x.split()[:1] for x in ours] == [x.split()[:1] for x in theirs]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 0) for name in ("instances", "servers", "workers", "partitions", "memory_gib")),
        *(("servers", 100), ("workers", 257), ("partitions", 63), ("keep_bodies_days", 3651)),
        *(("memory_gib", float("nan")), ("memory_gib", float("inf")), ("servers", -1)),
    ],
)
def test_a_plan_beyond_its_bounds_is_refused_by_name(field: str, value: float) -> None:
    from msgspec.structs import replace  # noqa: PLC0415

    with pytest.raises(ConfigError, match=field):
        check_plan(replace(PLAN, **{field: value}))


def test_several_servers_with_a_file_of_one_of_them_are_refused() -> None:
    from msgspec.structs import replace  # noqa: PLC0415

    with pytest.raises(ConfigError, match="ledger is a file"):
        check_plan(replace(PLAN, ledger="sqlite"))


@pytest.mark.parametrize(
    "named", [(), ("a=h",), ("a=h", "a=i"), ("a=h", "b=h"), ("a=h", "b=i", "c=j")]
)
def test_servers_are_as_many_as_planned_and_all_different(named: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        site(PLAN, "a.example", named)
