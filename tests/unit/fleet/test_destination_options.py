"""What may be said of a destination: read, bounded, changed one by one, and secrets not shown."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fleet.test_fleet_service import OnlyAFleet

from comporta.domain.classes import EventClass
from comporta.domain.fleet import Destination, Fleet, Format
from comporta.domain.rate import Rate, parse_rate, show_rate
from comporta.errors import ConfigError, FleetError
from comporta.fleet.declared import DeclaredDestination
from comporta.fleet.parse import parse
from comporta.fleet.plan import plan
from comporta.fleet.service import FleetService
from comporta.ledger.port import Ledger
from comporta.vault import Vault

VAULT = Vault(bytes(32))
PLAIN = '[[destination]]\nname = "crm"\nurl = "http://crm/"\n'
ALL = (
    PLAIN
    + """
rate = "600/min"
burst = 5
concurrency = 40
instance_concurrency = 10
park_s = 60
classes = { conversation_updated = "ordered", "conversation_typing_*" = "ephemeral" }
format = "jmespath"
transform = '''
{
  id: id,
  text: content
}'''
headers = { Authorization = "env:CRM_KEY", X-Shop = "loja" }
"""
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_KEY", "Bearer s3cret-of-the-crm")


def read(text: str) -> DeclaredDestination:
    [one] = parse(text, "fleet.toml", VAULT).destinations
    return one


def refusal(text: str) -> str:
    with pytest.raises(FleetError) as caught:
        parse(PLAIN + text + "\n", "fleet.toml", VAULT)
    return str(caught.value)


@pytest.fixture
def ledger() -> OnlyAFleet:
    return OnlyAFleet()


@pytest.fixture
def service(ledger: OnlyAFleet) -> FleetService:
    service = FleetService(cast("Ledger", ledger), VAULT)
    asyncio.run(service.apply(parse(ALL, "fleet.toml", VAULT), "ana"))
    return service


def stored(ledger: OnlyAFleet) -> Destination:
    return ledger.current.destinations[0]


def change(service: FleetService, **options: Any) -> str:
    done = asyncio.run(service.change_destination("crm", "ana", **options))
    return "; ".join(change.detail for change in done.changes)


def test_all_that_can_be_said_is_stored(service: FleetService, ledger: OnlyAFleet) -> None:
    del service
    one = stored(ledger)
    assert one.rate == Rate(10.0, 5)
    assert (one.concurrency, one.instance_concurrency, one.park_s) == (40, 10, 60.0)
    assert list(one.classes.items()) == [
        ("conversation_updated", EventClass.ORDERED),
        ("conversation_typing_*", EventClass.EPHEMERAL),
    ]
    assert one.format is Format.JMESPATH
    assert one.transform == "{\n  id: id,\n  text: content\n}"
    assert VAULT.open(one.headers["authorization"].sealed) == "Bearer s3cret-of-the-crm"
    assert VAULT.open(one.headers["x-shop"].sealed) == "loja"


def test_what_is_left_out_is_as_it_always_was() -> None:
    fleet = plan(Fleet(), parse(PLAIN, "fleet.toml", VAULT), VAULT).fleet
    [one] = fleet.destinations
    assert one == Destination(one.id, "crm", "http://crm/")


def test_values_of_headers_are_in_no_plan_no_document_and_no_repr(
    service: FleetService, ledger: OnlyAFleet
) -> None:
    declared = parse(ALL, "fleet.toml", VAULT)
    said = (
        repr(declared)
        + repr(plan(Fleet(), declared, VAULT))
        + msgspec.json.encode(ledger.current).decode()
        + change(service, headers={"authorization": "Bearer s3cret-of-tomorrow", "x-new": "loja"})
        + asyncio.run(service.export())
        + repr(ledger.record)
    )
    assert "s3cret" not in said
    assert '"loja"' not in said


def test_an_export_names_references_and_reveals_only_if_asked(service: FleetService) -> None:
    text = asyncio.run(service.export())
    assert '"authorization" = "env:CRM_KEY"' in text
    assert '"x-shop" = "sealed:' in text
    assert '"x-shop" = "loja"' in asyncio.run(service.export(reveal=True))


def test_only_what_is_given_is_changed(service: FleetService, ledger: OnlyAFleet) -> None:
    before = stored(ledger)
    assert change(service, concurrency=41) == "concurrency: 40 → 41"
    assert stored(ledger) == msgspec.structs.replace(before, concurrency=41)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": "50/s"}, "rate: 10/s (5) → 50/s (50)"),
        ({"burst": 7}, "rate: 10/s (5) → 10/s (7)"),
        ({"rate": None}, "rate: 10/s (5) → –"),
        ({"rate": "10/s", "burst": 5}, ""),
        ({"instance_concurrency": 0}, "instance_concurrency: 10 → –"),
        ({"park_s": 90.0}, "park_s: 60 → 90"),
        (
            {"classes": {"conversation_updated": None, "message_*": "ordered"}},
            (
                "classes: conversation_updated=ordered, conversation_typing_*=ephemeral → "
                "conversation_typing_*=ephemeral, message_*=ordered"
            ),
        ),
        ({"headers": {"X-Shop": None}}, "headers: -x-shop"),
        ({"headers": {"X-SHOP": "loja"}}, ""),
        ({"headers": {"x-shop": "rio", "X-New": "1"}}, "headers: +x-new, ~x-shop"),
        ({"url": "http://crm/new"}, "url: http://crm/ → http://crm/new"),
    ],
)
def test_a_change_says_what_it_changes(
    service: FleetService, options: dict[str, Any], said: str
) -> None:
    assert change(service, **options) == said


def test_another_format_takes_the_transform_away(service: FleetService, ledger: OnlyAFleet) -> None:
    change(service, format="raw")
    assert (stored(ledger).format, stored(ledger).transform) == (Format.RAW, "")
    with pytest.raises(ConfigError, match="no effect without"):
        change(service, transform="content")
    change(service, format="jmespath", transform="content")
    change(service, transform="id")
    assert stored(ledger).transform == "id"


def test_a_command_takes_no_expression_that_an_export_could_not_write(
    service: FleetService,
) -> None:
    with pytest.raises(ConfigError, match="no control characters"):
        change(service, transform="id\r\n|| content")
    assert change(service, transform="id\n\t|| content")
    asyncio.run(service.apply(parse(asyncio.run(service.export()), "f", VAULT), "ana"))


def test_a_burst_without_a_rate_is_refused(service: FleetService) -> None:
    change(service, rate=None)
    with pytest.raises(ConfigError, match="needs a rate"):
        change(service, burst=5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('rate = "50"', "fleet.toml:4: A rate is so many calls"),
        ('rate = "0/s"', "A rate is so many calls"),
        ('rate = "100001/s"', "at most 100000/s"),
        ('rate = "1/s"\nburst = 0', "burst is 1 to 100000"),
        ("burst = 5", "fleet.toml:4: A burst needs a rate"),
        ("rate = 50", "text in quotes"),
        ('rate = "1/s"\nburst = 1.5', "fleet.toml:5: This must be a whole number"),
        ("concurrency = true", "whole number"),
        ("concurrency = -1", "concurrency is 1 to 1000"),
        ("concurrency = 1001", "concurrency is 1 to 1000"),
        ("instance_concurrency = 1001", "instance_concurrency is 1 to 1000"),
        ("concurrency = 9999999999999999999999", "far too large"),
        ("park_s = 0", "park_s must be more than 0"),
        ("park_s = 604800.1", "at most 604800 seconds"),
        ("park_s = nan", "far too large"),
        ('classes = "ordered"', "must be a table"),
        ("classes = { message_created = 1 }", "text in quotes"),
        ('classes = { message_created = "orderd" }', 'Did you mean "ordered"'),
        ('classes = { "a b" = "ordered" }', "neither an event type nor a pattern"),
        ('format = "cloudevent"', 'Did you mean "cloudevents"'),
        ('format = "jmespath"', "needs a transform"),
        ('format = "jmespath"\ntransform = "  "', "needs a transform"),
        ('transform = "content"', "no effect without the format"),
        ("transform = 1", "text in quotes"),
        ('format = "jmespath"\ntransform = "a.b["', "fleet.toml:5: This is not a JMESPath"),
        ('format = "jmespath"\ntransform = "a b"', "Unexpected token: b"),
        ('format = "jmespath"\ntransform = "{a: [b].lenght(@)}"', 'Did you mean "length"'),
        ('format = "jmespath"\ntransform = "a\\u0007"', "no control characters"),
        ('headers = ["a"]', "must be a table"),
        ('headers = { "a b" = "1" }', "is not the name of a header"),
        ('headers = { "" = "1" }', "is not the name of a header"),
        ('headers = { "ação" = "1" }', "is not the name of a header"),
        ('headers = { a = "" }', "fleet.toml:4: The value of a header"),
        ('headers = { a = " 1" }', "no spaces around it"),
        ('headers = { a = "env:NOT_SET" }', '"NOT_SET" is not set'),
        ('headers = { a = "sealed:v1:AAAA" }', "cannot be opened"),
        ('headers = { A = "1", a = "1" }', "twice"),
        ('headers = { Host = "1" }', '"host" cannot be chosen'),
        ('headers = { Content-Length = "1" }', "cannot be chosen"),
        ('headers = { transfer-encoding = "1" }', "cannot be chosen"),
        ('headers = { connection = "1" }', "cannot be chosen"),
        ('headers = { User-Agent = "1" }', "cannot be chosen"),
        ('headers = { webhook-id = "1" }', "cannot be chosen"),
        ('headers = { Comporta-Instance = "1" }', "cannot be chosen"),
        ('headers = { ce-id = "1" }', "cannot be chosen"),
        ('headers = { x-chatwoot-signature = "1" }', "cannot be chosen"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_line(line: str, said: str) -> None:
    assert said in refusal(line)


def test_a_login_in_the_url_and_one_in_a_header_exclude_each_other() -> None:
    text = PLAIN.replace("http://crm/", "http://ana:hush@crm/")
    with pytest.raises(FleetError, match="not both"):
        parse(text + 'headers = { authorization = "x" }\n', "fleet.toml", VAULT)


@pytest.mark.parametrize("line", ['format = "cloudevents"', 'headers = { a = "1" }'])
def test_what_only_a_request_can_have_is_refused_for_a_handler(line: str) -> None:
    text = PLAIN.replace("http://crm/", "handler:answer")
    read(text + 'rate = "5/s"\n')
    with pytest.raises(FleetError, match="no effect there"):
        read(text + line + "\n")


def _many(key: str, count: int, value: str) -> str:
    return f"{key} = {{ {', '.join(f'x{number} = {value}' for number in range(count))} }}"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("concurrency = 1000", "concurrency = 1001"),
        ("park_s = 604800", "park_s = 604801"),
        ("park_s = 0.001", "park_s = 0"),
        ('rate = "1/h"', 'rate = "0.9/h"'),
        ('rate = "100000/s"\nburst = 100000', 'rate = "100000/s"\nburst = 100001'),
        (_many("headers", 20, '"1"'), _many("headers", 21, '"1"')),
        (_many("classes", 100, '"ordered"'), _many("classes", 101, '"ordered"')),
        (f'headers = {{ a = "{"x" * 2000}" }}', f'headers = {{ a = "{"x" * 2001}" }}'),
        (f'headers = {{ {"a" * 100} = "1" }}', f'headers = {{ {"a" * 101} = "1" }}'),
        (
            f'format = "jmespath"\ntransform = "{"x" * 4000}"',
            f'format = "jmespath"\ntransform = "{"x" * 4001}"',
        ),
    ],
)
def test_every_bound_holds_at_the_bound(good: str, bad: str) -> None:
    read(PLAIN + good + "\n")
    refusal(bad)


def test_an_expression_nested_beyond_reason_is_refused_and_does_not_crash(
    service: FleetService,
) -> None:
    with pytest.raises(FleetError, match="nested too deeply"):
        change(service, transform="[" * 1999 + "a" + "]" * 1999)


def test_a_value_from_a_file_is_resolved_and_stays_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("Bearer of a file\n")
    one = read(PLAIN + f'headers = {{ authorization = "file:{path}" }}\n')
    assert one.headers["authorization"].text == "Bearer of a file"
    assert one.headers["authorization"].ref == f"file:{path}"


def test_a_document_that_was_stored_before_destinations_were_paused_is_understood() -> None:
    old = b'{"version":7,"destinations":[{"id":"dst_1","name":"crm","url":"http://crm/",'
    old += b'"disabled":"answered 410 Gone"}]}'
    [one] = msgspec.json.decode(old, type=Fleet).destinations
    assert one.paused == "answered 410 Gone"
    assert msgspec.json.decode(msgspec.json.encode(one), type=Destination) == one


@given(st.integers(1, 99_999_999), st.sampled_from(["s", "min", "h"]))
def test_a_rate_with_three_decimals_is_exported_without_a_loss(thousandths: int, unit: str) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03}/{unit}"
    try:
        rate = parse_rate(text)
    except ValueError:
        return  # out of bounds; which ones are is told elsewhere
    again = parse_rate(show_rate(rate), rate.burst)
    assert again.per_s == pytest.approx(rate.per_s, rel=1e-9)
    assert parse_rate(show_rate(again), again.burst) == again
