"""Python handlers as operators run them: real commands, real webhooks, the user's own module."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import ROOT, Gateway, free_port, wait_for

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import show
from comporta.enrolment import GONE
from comporta.ledger.port import AttemptRow, DeliveryFilter, DeliveryRow
from comporta.stores import Stores
from comporta.testing import sample

TOKEN = "token-of-the-shop-account"
FLEET = f"""
[[instance]]
name = "loja-sp"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
[[destination]]
name = "crm"
url = "URL/crm"
retry = []
[[destination]]
name = "by-hand"
url = "handler:nobody"
[[route]]
name = "tudo"
to = ["crm"]
[[route]]
name = "contatos"
events = ["contact_created"]
to = ["by-hand"]
"""
BOT = """
import pathlib
import time

from comporta import Context, ConversationUpdated, Drop, Gateway, MessageCreated, Retry

gateway = Gateway()
SEEN = pathlib.Path(__file__).parent / "seen.txt"
print("printed by the module")


def note(line):
    with SEEN.open("a") as file:
        file.write(line + "\\n")


@gateway.on("message_created", instance="loja-*", where={"message_type": "incoming"})
async def answer(event: MessageCreated, context: Context) -> None:
    note(f"{event.content} {event.conversation.id} {context.instance} {context.delivery_id}")
    if event.content == "later":
        raise Retry.after(0 if context.attempt > 1 else 3600, "the CRM is busy")
    if event.content == "spam":
        raise Drop("it is spam")
    if event.content == "broken":
        orders = {"secret": 1}
        orders["A-1"]
    if event.content == "blocking":
        time.sleep(4)


@gateway.on("conversation_updated", timeout_s=7, name="labels")
async def follow(event: ConversationUpdated) -> None:
    note(f"labels {event.changes['label_list'].current_value}")
"""


class Bot:
    """A gateway with handlers, and another destination beside them."""

    def __init__(self, gateway: Gateway, crm: Receiver, folder: Path) -> None:
        self.gateway, self.crm, self.folder = gateway, crm, folder

    def say(self, content: str, conversation: int = 1042) -> None:
        body = sample("message_created") | {"content": content}
        body["conversation"]["id"] = conversation
        self.post(body)

    def post(self, body: dict[str, Any]) -> None:
        answer = self.gateway.post(f"/webhook/{TOKEN}", msgspec.json.encode(body))
        assert answer.status == 200

    def seen(self, beginning: str) -> list[str]:
        file = self.folder / "seen.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    def tried(
        self, content: str, destination: str = "answer"
    ) -> tuple[DeliveryRow, list[AttemptRow]]:
        """The delivery of a body that holds this text, once it was tried."""

        async def ask(stores: Stores) -> tuple[DeliveryRow, list[AttemptRow]] | None:
            fleet = await stores.ledger.fleet()
            (mine,) = [one.id for one in fleet.destinations if one.name == destination]
            for row in await stores.ledger.deliveries(DeliveryFilter(destination_id=mine)):
                event = await stores.ledger.event(row.event_id)
                if event and event.body and f'"{content}"'.encode() in event.body:
                    attempts = await stores.ledger.attempts(row.id)
                    return (row, list(attempts)) if row.attempts else None
            return None

        found = wait_for(f"{content!r} is tried", lambda: self.gateway.ask(ask))
        assert found is not None
        return found


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    folder = tmp_path_factory.mktemp("bot")
    (folder / "mybot.py").write_text(BOT)
    with Receiver() as crm:
        gateway = Gateway(folder, FLEET.replace("URL", crm.url), handlers="mybot:gateway")
        gateway.environment["PYTHONPATH"] += f":{folder}"
        with gateway:
            yield Bot(gateway, crm, folder)


def test_a_webhook_calls_the_handler_with_a_typed_event_and_its_context(bot: Bot) -> None:
    bot.say("oi", 7)
    (line, *_more) = wait_for("the handler was called", lambda: bot.seen("oi "))
    row, attempts = bot.tried("oi")
    assert line.startswith("oi 7 loja-sp dlv_")
    assert attempts[0].error == ""
    assert attempts[0].status is None
    assert (row.event_type, row.state) == ("message_created", DeliveryState.DELIVERED)
    assert len(bot.seen("oi ")) == 1


def test_a_handler_is_called_for_its_own_events_only(bot: Bot) -> None:
    bot.post(sample("conversation_updated.account.labels"))
    wait_for("the other handler was called", lambda: bot.seen("labels ['whatsapp', 'entrega']"))
    bot.post(sample("message_created") | {"content": "from us", "message_type": "outgoing"})
    wait_for("the CRM has it", lambda: any(b'"from us"' in one for one in bot.crm.bodies()))
    assert not bot.seen("from us")


def test_retry_after_a_while_is_kept_as_it_was_asked(bot: Bot) -> None:
    bot.say("later", 8)
    row, attempts = bot.tried("later")
    assert attempts[0].error == "the CRM is busy"
    assert row.state is DeliveryState.SCHEDULED
    assert row.due_at_ms - attempts[0].started_at_ms == pytest.approx(3_600_000, rel=0.01)


def test_a_drop_discards_the_delivery_with_its_reason(bot: Bot) -> None:
    bot.say("spam", 9)
    row, attempts = bot.tried("spam")
    assert (row.state, row.reason) == (DeliveryState.DISCARDED, "it is spam")
    assert attempts[0].error == "it is spam"


def test_an_exception_leaves_its_traceback_without_any_values_in_the_events_story(
    bot: Bot,
) -> None:
    bot.say("broken", 10)
    row, attempts = bot.tried("broken")
    assert attempts[0].error == "KeyError: 'A-1'"
    shown = subprocess.run(
        [
            *(sys.executable, "-m", "comporta.cli", "event", "show"),
            show("evt", row.event_id),
        ],
        env=bot.gateway.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert 'mybot.py", line ' in shown
    assert 'orders["A-1"]' in shown
    assert "call.py" not in shown


def test_a_handler_that_blocks_is_named_and_holds_up_no_other_destination(bot: Bot) -> None:
    bot.say("blocking", 11)
    wait_for("it blocks", lambda: bot.seen("blocking "))
    bot.say("meanwhile", 12)
    wait_for("the CRM has it", lambda: any(b'"meanwhile"' in one for one in bot.crm.bodies()))
    assert not bot.seen("meanwhile "), "the handlers' loop was free again before the CRM had it"
    wait_for("the log names it", lambda: "handler.blocks_loop" in bot.gateway.log)
    (line,) = [one for one in bot.gateway.log.splitlines() if "handler.blocks_loop" in one]
    said = msgspec.json.decode(line)
    assert said["handler"] == "answer"
    assert said["file"].endswith("mybot.py")
    assert BOT.splitlines()[said["line"] - 1].strip() == "time.sleep(4)"
    row, attempts = bot.tried("blocking")
    assert row.state is DeliveryState.DELIVERED
    assert "answer blocked the event loop of all handlers for" in attempts[0].response.decode()
    blocks = 'comporta_handler_blocks_total{destination="answer"}'
    wait_for("the metric counts it", lambda: bot.gateway.metrics().get(blocks) == 1)
    wait_for("the others go on", lambda: bot.seen("meanwhile "))


def test_what_a_handlers_module_prints_is_seen(bot: Bot) -> None:
    assert "printed by the module" in bot.gateway.log


def test_handlers_are_destinations_that_files_and_exports_leave_alone(bot: Bot) -> None:
    shown = bot.gateway.command("destination", "show", "labels")
    assert (shown["url"], shown["timeout_s"], shown["managed"]) == ("handler:labels", 7, "handlers")
    assert "answer" not in bot.gateway.command("export")["fleet_toml"]
    bot.gateway.apply(bot.gateway.fleet_file.read_text())
    names = [one["name"] for one in bot.gateway.command("destination", "list")]
    assert names == ["crm", "by-hand", "answer", "labels"]


def test_workers_that_start_together_enrol_a_handler_once_and_lose_it_without_its_module(
    tmp_path: Path,
) -> None:
    (tmp_path / "mybot.py").write_text(BOT)
    with Receiver() as crm:
        fleet = FLEET.replace("URL", crm.url)
        gateway = Gateway(tmp_path, fleet, workers=2, handlers="mybot:gateway")
        gateway.environment["PYTHONPATH"] += f":{tmp_path}"
        with gateway:
            bot = Bot(gateway, crm, tmp_path)
            wait_for("the handlers are there", lambda: len(destinations(gateway)) == 4)
            bot.say("oi", 1)
            wait_for("it was called", lambda: bot.seen("oi "))
            assert set(destinations(gateway).values()) == {""}
            gateway.stop()
            del gateway.environment["COMPORTA_HANDLERS"]
            gateway.start()
            wait_for("they are paused", lambda: destinations(gateway)["answer"] == GONE)
            assert [one["name"] for one in gateway.command("route", "list")] == [
                "tudo",
                "contatos",
            ]


def destinations(gateway: Gateway) -> dict[str, str]:
    return {one["name"]: one["paused"] for one in gateway.command("destination", "list")}


def test_a_fleet_file_may_lead_to_a_handler_which_need_not_be_there_yet(bot: Bot) -> None:
    bot.post(sample("contact_created"))
    row, attempts = bot.tried("contact_created", "by-hand")
    assert attempts[0].error == "no handler nobody runs here"
    assert row.state is DeliveryState.SCHEDULED


# The command


def serve(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
    port = str(free_port())
    return subprocess.Popen(
        [sys.executable, "-m", "comporta.cli", "serve", "--port", port, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refusal(folder: Path, module: str | None) -> str:
    if module is not None:
        (folder / "mybot.py").write_text(module)
    process = serve(folder, "--handlers", "mybot:gateway")
    said, _nothing = process.communicate(timeout=60)
    assert process.returncode == 6, said  # a setting is wrong
    assert "Traceback" not in said
    return said


HEAD = "from comporta import Gateway\ngateway = Gateway()\n"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (None, 'There is no module "mybot"'),
        ("import nothing_like_it\n", "mybot.py:1: mybot cannot be imported: ModuleNotFoundError"),
        ("x = 1\n1 / 0\n", "mybot.py:2: mybot cannot be imported: ZeroDivisionError"),
        ("def f(:\n", "mybot.py:1: mybot cannot be imported: SyntaxError"),
        ("from comporta import Gateway\ngatewai = Gateway()\n", 'Did you mean "gatewai"?'),
        (HEAD, "mybot:gateway has no handlers"),
        (HEAD + "@gateway.on('message_created')\ndef a(event): ...\n", "mybot.py:3: A handler is"),
    ],
    ids=["no module", "import", "exception", "syntax", "name", "empty", "sync"],
)
def test_what_is_wrong_with_the_module_refuses_the_start_in_a_sentence(
    tmp_path: Path, module: str | None, says: str
) -> None:
    assert says in refusal(tmp_path, module)


def test_a_name_that_the_fleet_has_already_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET.replace("URL", "http://127.0.0.1:9"))
    (tmp_path / "mybot.py").write_text(
        HEAD + "@gateway.on('message_created')\nasync def crm(event): ...\n"
    )
    process = serve(tmp_path, "--handlers", "mybot:gateway", "--fleet", "fleet.toml")
    said, _nothing = process.communicate(timeout=60)
    assert process.returncode == 6
    assert 'a destination or route "crm" already' in said


# What fails on one event, and what fails on all

FRAGILE = """
import asyncio
import os
import pathlib
import time

from comporta import ConversationCreated, Drop, Gateway, MessageCreated, MessageUpdated

gateway = Gateway()
SPANS = pathlib.Path(__file__).parent / "spans.txt"


@gateway.on("message_created")
async def picky(event: MessageCreated) -> None:
    if event.content == "poison":
        raise LookupError("no order in this message")
    if event.content == "spam":
        raise Drop("it is spam")


@gateway.on("message_updated")
async def hopeless(event: MessageUpdated) -> None:
    raise RuntimeError("never going to work")


@gateway.on("conversation_created", concurrency=2)
async def narrow(event: ConversationCreated) -> None:
    began = time.monotonic()
    await asyncio.sleep(0.15)
    with SPANS.open("a") as file:
        file.write(f"{began} {time.monotonic()} {os.getpid()}\\n")
"""
OWN_ROUTES_ONLY = FLEET.partition("[[destination]]")[0]


def fragile(folder: Path, workers: int = 1) -> Gateway:
    (folder / "mybot.py").write_text(FRAGILE)
    gateway = Gateway(folder, OWN_ROUTES_ONLY, workers=workers, handlers="mybot:gateway")
    gateway.environment["PYTHONPATH"] += f":{folder}"
    return gateway


def owed(gateway: Gateway, name: str, state: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.command(
        "deliveries", "--destination", name, "--state", state, "--limit", "1000"
    )
    return found


def test_a_handler_that_fails_on_one_event_gives_up_that_one_with_its_traceback(
    tmp_path: Path,
) -> None:
    with Receiver() as crm, fragile(tmp_path) as gateway:
        bot = Bot(gateway, crm, tmp_path)
        bot.say("poison", 1)
        bot.tried("poison", "picky")
        bot.say("spam", 2)
        for conversation in range(3, 13):
            bot.say(f"fine {conversation}", conversation)
        wait_for("the others pass", lambda: len(owed(gateway, "picky", "delivered")) == 10)
        (dead,) = wait_for("it is given up", lambda: owed(gateway, "picky", "dead"))
        row, attempts = bot.tried("poison", "picky")
        assert (show("dlv", row.id), row.attempts) == (dead["id"], 2)
        assert row.reason == "LookupError: no order in this message"
        trace = attempts[-1].response.decode()
        assert 'raise LookupError("no order in this message")' in trace
        assert 'mybot.py", line ' in trace
        (discarded,) = owed(gateway, "picky", "discarded")
        assert discarded["reason"] == "it is spam"
        assert gateway.command("destination", "show", "picky")["breaker"] == "closed"


def test_a_handler_that_fails_on_everything_opens_the_breaker_and_gives_nothing_up(
    tmp_path: Path,
) -> None:
    with Receiver() as crm, fragile(tmp_path) as gateway:
        bot = Bot(gateway, crm, tmp_path)
        for conversation in range(1, 13):
            body = sample("message_updated") | {"id": conversation}
            body["conversation"]["id"] = conversation
            bot.post(body)

        async def opened(stores: Stores) -> bool:
            fleet = await stores.ledger.fleet()
            (mine,) = [one.id for one in fleet.destinations if one.name == "hopeless"]
            breaker = (await stores.state.breakers()).get(mine)
            # Twice: a probe has failed as well since.
            return breaker is not None and breaker.trips > 1

        wait_for("it stays open", lambda: gateway.ask(opened), 40)
        shown = gateway.command("destination", "show", "hopeless")
        assert shown["breaker"] in {"open", "half_open"}
        assert "never going to work" in shown["breaker_reason"]
        assert not owed(gateway, "hopeless", "dead")
        waiting = owed(gateway, "hopeless", "pending") + owed(gateway, "hopeless", "scheduled")
        assert len(waiting) == 12


def test_the_concurrency_of_a_handler_holds_over_all_workers(tmp_path: Path) -> None:
    with Receiver() as crm, fragile(tmp_path, workers=2) as gateway:
        bot = Bot(gateway, crm, tmp_path)
        for conversation in range(1, 31):
            bot.post(sample("conversation_created") | {"id": conversation})
        spans = tmp_path / "spans.txt"
        wait_for(
            "all are done",
            lambda: spans.exists() and len(spans.read_text().splitlines()) == 30,
            40,
        )
        lines = [line.split() for line in spans.read_text().splitlines()]
        edges = [(float(begin), 1) for begin, _end, _pid in lines]
        edges += [(float(end), -1) for _begin, end, _pid in lines]
        running, most = 0, 0
        for _at_s, step in sorted(edges):
            running += step
            most = max(most, running)
        assert most == 2
        assert len({pid for _begin, _end, pid in lines}) == 2
