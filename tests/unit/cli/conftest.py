"""Small hand-made stores behind the real command line, and a way to run it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from comporta import i18n
from comporta.alerting.kept import Kept
from comporta.alerting.model import Alert, Finding, Kind, Severity
from comporta.cli.run import run
from comporta.domain.breaker import Breaker
from comporta.domain.delivery import DeliveryState
from comporta.domain.fleet import Destination, Fleet, Instance, Route, Source, SourceKind, Token
from comporta.domain.growth import Sample
from comporta.domain.pace import Pace
from comporta.fleet.service import FleetService
from comporta.ledger.admin import ApiKey, Scope
from comporta.ledger.port import (
    AttemptRow,
    Bulk,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    FleetChange,
    LedgerTotals,
    Matches,
    Operation,
    Step,
)
from comporta.ledger.watching import Document
from comporta.log.port import LogHealth
from comporta.operating.alerts import AlertService
from comporta.operating.keys import KeyService
from comporta.operating.trials import TrialService
from comporta.state.port import Rejected, WorkerRow
from comporta.vault import Vault

EVENT = 12_345_678_901_234
DELIVERY = 12_345_678_909_999
AT_MS = 1_795_500_000_000


class FakeKeeping:
    def __init__(self) -> None:
        self.found: list[Sample] = []
        self.shrinks = True

    async def samples(self) -> list[Sample]:
        return self.found

    async def gives_back(self) -> bool:
        return self.shrinks


class FakeWatching:
    """Documents in memory, with one open alert."""

    def __init__(self) -> None:
        finding = Finding(
            Kind.BREAKER, "crm", Severity.CRITICAL, {"since_ms": AT_MS, "why": "HTTP 503"}
        )
        old = Finding(Kind.DEAD, "", Severity.WARNING, {"n": 3})
        alerts = (
            Alert(old, AT_MS, AT_MS, opened_at_ms=AT_MS - 1, resolved_at_ms=AT_MS),
            Alert(finding, AT_MS, AT_MS, opened_at_ms=AT_MS),
        )
        self.kept = Document(msgspec.json.encode(Kept(alerts)).decode(), 1)

    async def document(self, name: str) -> Document:
        assert name == "alerts"
        return self.kept

    async def keep_document(self, name: str, text: str, version: int) -> bool:
        assert (name, version) == ("alerts", self.kept.version)
        self.kept = Document(text, version + 1)
        return True


class FakeLedger:
    """Answers from lists, and remembers what it was asked for."""

    engine = "sqlite"

    def __init__(self) -> None:
        self.now_fleet = fleet()
        self.keeping = FakeKeeping()
        self.watching = FakeWatching()
        self.rows: list[EventRow] = [self.event_row()]
        self.owed: list[DeliveryRow] = [self.delivery_row()]
        self.tries: list[AttemptRow] = [
            AttemptRow(DELIVERY, 1, AT_MS, 12.5, 503, "", b"busy"),
            AttemptRow(DELIVERY, 2, AT_MS + 5000, 3.0, None, "connection refused", b""),
        ]
        self.body: bytes | None = b'{"event":"message_created","id":7}'
        self.asked: list[Any] = []
        self.failure: BaseException | None = None
        self.dead = 0
        self.steps: list[DeliveryFilter] = []
        self.bodiless = 0
        self.span_ms = 60_000
        self.paces: list[Pace | None] = []
        self.noted: list[Operation] = []
        self.changes = [FleetChange(3, AT_MS, "cli:ana", "added crm")]

    async def fleet(self) -> Fleet:
        return self.now_fleet

    async def replace_fleet(self, fleet: Fleet, who: str, summary: str) -> None:
        assert fleet.version == self.now_fleet.version + 1
        assert who.startswith("cli:")
        assert summary
        self.now_fleet = fleet

    async def fleet_version(self) -> int:
        return self.now_fleet.version

    async def events(self, which: EventFilter) -> list[EventRow]:
        self._note(which)
        rows = [
            row
            for row in sorted(self.rows, key=lambda one: -one.id)
            if row.accepted_at_ms >= (which.since_ms or 0)
            and (which.before_id is None or row.id < which.before_id)
        ]
        return rows[: which.limit]

    async def event(self, event_id: int) -> EventDetail | None:
        self._note(event_id)
        row = next((one for one in self.rows if one.id == event_id), None)
        headers = (("x-chatwoot-delivery", "d-1"),)
        return None if row is None else EventDetail(row, headers, self.body)

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        self._note(which)
        return self.owed[: which.limit]

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        return [one for one in self.tries if one.delivery_id == delivery_id]

    async def count(self, which: DeliveryFilter) -> int:
        self._note(which)
        return self.dead

    async def matches(self, what: Bulk, which: DeliveryFilter) -> Matches:
        self._note((what, which))
        return Matches(self.dead, self.bodiless, AT_MS, AT_MS + self.span_ms)

    async def redrive(self, which: DeliveryFilter, now_ms: int, operation_id: int = 0) -> Step:
        assert now_ms > 0
        assert operation_id == len(self.noted), "a step without a record"
        self.steps.append(which)
        taken = min(which.limit, self.dead)
        self.dead -= taken
        return Step(taken, (which.after_id or 0) + taken)

    async def replay(
        self,
        which: DeliveryFilter,
        now_ms: int,
        destination_id: str | None = None,
        pace: Pace | None = None,
        operation_id: int = 0,
    ) -> Step:
        self.asked.append(destination_id)
        self.paces.append(pace)
        return await self.redrive(which, now_ms, operation_id)

    async def discard(
        self, which: DeliveryFilter, now_ms: int, reason: str, operation_id: int = 0
    ) -> Step:
        self.asked.append(reason)
        return await self.redrive(which, now_ms, operation_id)

    async def note(self, operation: Operation) -> int:
        self.noted.append(operation)
        return len(self.noted)

    async def operations(self, before_id: int | None, limit: int) -> list[Operation]:
        assert before_id is None
        return self.noted[::-1][:limit]

    async def fleet_changes(self, before_version: int | None, limit: int) -> list[FleetChange]:
        assert before_version is None
        return self.changes[:limit]

    async def totals(self) -> LedgerTotals:
        return LedgerTotals(pending=1, scheduled=2, dead=self.dead, oldest_open_at_ms=None)

    @staticmethod
    def event_row(number: int = EVENT, **changes: Any) -> EventRow:
        row = EventRow(
            id=number,
            accepted_at_ms=AT_MS,
            instance_id="ins_1",
            source_id="src_1",
            event_type="message_created",
            account_id=1,
            subject="conversation:12",
            verified=True,
            body_bytes=34,
            duplicate_of=None,
            deliveries=1,
        )
        return msgspec.structs.replace(row, **changes)

    @staticmethod
    def delivery_row(**changes: Any) -> DeliveryRow:
        row = DeliveryRow(
            id=DELIVERY,
            event_id=EVENT,
            event_type="message_created",
            instance_id="ins_1",
            subject="conversation:12",
            destination_id="dst_1",
            state=DeliveryState.SCHEDULED,
            attempts=2,
            due_at_ms=AT_MS + 30_000,
            settled_at_ms=0,
            reason="connection refused",
            replay=False,
        )
        return msgspec.structs.replace(row, **changes)

    def _note(self, asked: object) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure


class FakeState:
    engine = "sqlite"
    warnings: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.refused: list[Rejected] = []
        self.alive: list[WorkerRow] = []
        self.open: dict[str, Breaker] = {}

    async def breakers(self) -> dict[str, Breaker]:
        return self.open

    async def rejected(self, limit: int, before_id: int | None = None) -> list[Rejected]:
        assert before_id is None
        return self.refused[:limit]

    async def workers(self, now_ms: int, lease_s: float) -> list[WorkerRow]:
        assert now_ms > 0
        assert lease_s > 0
        return self.alive


class FakeLog:
    partitions = 16

    def __init__(self) -> None:
        self.error = ""
        self.behind = 0
        self.engine = "sqlite"

    async def lag(self) -> int:
        return self.behind

    def health(self) -> LogHealth:
        return LogHealth(self.engine, self.error)


class FakeAdmin:
    """API keys in a list."""

    def __init__(self) -> None:
        self.kept = [ApiKey("key_0000000001", "robo", Scope.READ, "0" * 64, "cmp_x", 1, "cli:me")]

    async def api_keys(self) -> list[ApiKey]:
        return self.kept

    async def add_api_key(self, key: ApiKey, live_max: int, revoked_max: int) -> None:
        assert live_max > 0
        assert revoked_max > 0
        self.kept.append(key)

    async def revoke_api_key(self, key_id: str, now_ms: int) -> bool:
        assert now_ms > 0
        return key_id in {one.id for one in self.kept}


class FakeStores:
    def __init__(self) -> None:
        self.keys = KeyService(FakeAdmin())  # type: ignore[arg-type]
        self.ledger = FakeLedger()
        self.alerts = AlertService(self.ledger.watching)  # type: ignore[arg-type]
        self.state = FakeState()
        self.log = FakeLog()
        self.vault = Vault(bytes(32))
        self.fleet = FleetService(self.ledger, self.vault)  # type: ignore[arg-type]
        self.trials = TrialService(self.ledger, self.vault)  # type: ignore[arg-type]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.out)


def fleet() -> Fleet:
    source = Source("src_1", "conta", SourceKind.ACCOUNT, (Token("0" * 64, "cmp_ab"),))
    return Fleet(
        3,
        (Instance("ins_1", "loja-sp", "https://chat.example", (source,)),),
        (Destination("dst_1", "crm", "http://127.0.0.1:9/hook"),),
        (Route("rte_1", "tudo", ("crm",)),),
    )


@pytest.fixture
def stores() -> FakeStores:
    return FakeStores()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPORTA_DATA", str(tmp_path))
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    i18n.use("en")


@pytest.fixture
def opener(stores: FakeStores) -> Any:
    @asynccontextmanager
    async def open_fakes(_settings: object) -> AsyncIterator[Any]:
        yield stores

    return open_fakes


@pytest.fixture
def comporta(opener: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def call(*arguments: str) -> Ran:
        code = run(arguments, opener)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
