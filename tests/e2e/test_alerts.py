"""Alerts on a running gateway: what is wrong is told, listed, acknowledged; its process may die."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for
from tests.support.servers.redis import RedisProcess

from comporta.alerting import kept as keeping
from comporta.stores import Stores

FILE = """
group_s = 0
[rules]
refused_calls = 3
[[notifier]]
name = "ops"
kind = "webhook"
url = "URL/ops"
lang = "pt_BR"
"""

TAKEN = 'comporta_notifications_total{notifier="ops",outcome="taken"}'


def told(crm: Receiver, part: str) -> list[dict[str, Any]]:
    """The alerts of a part (opened, again, resolved) of all messages so far."""
    bodies = [one.body for one in crm.arrived if one.path == "/ops"]
    return [one for body in bodies for one in msgspec.json.decode(body).get(part, [])]


def test_refused_calls_are_told_listed_and_acknowledged_over_a_death_of_the_evaluator(
    tmp_path: Path,
) -> None:
    file = tmp_path / "alerts.toml"
    with Receiver() as crm:
        file.write_text(FILE.replace("URL", crm.url))
        fleet = FLEET.replace("URL", crm.url)

        def opened() -> list[str]:
            return [one["name"] for one in told(crm, "opened")]

        with Gateway(tmp_path / "gateway", fleet, workers=2, alerts=file) as gateway:
            answer = gateway.command("alert", "test", "ops")["answer"]
            assert answer.startswith("HTTP 200")
            for _call in range(3):
                assert gateway.post("/webhook/not-a-token-of-anybody", b"{}").status == 404
            wait_for("it is told", lambda: opened() == ["refused"])
            assert gateway.command("alerts")[0]["text"].startswith("3 webhook calls")
            for pid in gateway.dispatchers.values():
                os.kill(pid, signal.SIGKILL)
            assert gateway.command("alert", "ack", "refused")["name"] == "refused"
            wait_for("they are back", gateway.is_settled)
            assert gateway.command("alerts")[0]["by"].startswith("cli:")
            assert opened() == ["refused"]

            def counted() -> bool:
                now = gateway.metrics()
                return (
                    now['comporta_alerts_firing{alert="refused"}'] == 1
                    and now['comporta_alerts_firing{alert="lag"}'] == 0
                    and now.get(TAKEN, 0) >= 1
                )

            wait_for("it is counted", counted)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_answers_that_a_slow_disk_keeps_back_are_told_and_a_deaf_notifier_is_a_problem(
    tmp_path: Path,
) -> None:
    file = tmp_path / "alerts.toml"
    with Receiver() as crm:
        deaf = '[[notifier]]\nname = "deaf"\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\n'
        file.write_text(FILE.replace("URL", crm.url) + deaf)
        fleet = FLEET.replace("URL", crm.url)
        gateway = Gateway(tmp_path / "gateway", fleet, alerts=file, server="sala-1")
        with gateway, ThreadPoolExecutor(3) as callers:
            time.sleep(1)  # until its first look at what was answered: nothing
            blocker = apsw.Connection(str(gateway.data / "log.db"))
            blocker.execute("BEGIN IMMEDIATE")
            answers = [
                callers.submit(gateway.post, f"/webhook/{TOKEN}", b'{"event":"message_created"}')
                for _call in range(3)
            ]
            time.sleep(3)
            blocker.execute("ROLLBACK")
            blocker.close()
            assert [one.result().status for one in answers] == [200] * 3

            def is_told() -> bool:
                return any("3 de 3" in one["text"] for one in told(crm, "opened"))

            wait_for("it is told", is_told, 110)

            def problems() -> str:
                return " ".join(gateway.get("/health").json["problems"])

            wait_for("it is a problem", lambda: "told of alerts by deaf" in problems())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_frozen_redis_is_told_though_log_and_state_are_on_it(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    redis = RedisProcess(tmp_path / "redis")
    with Receiver() as crm, redis:
        file.write_text(FILE.replace("URL", crm.url))
        fleet = FLEET.replace("URL", crm.url)

        gateway = Gateway(
            tmp_path / "gateway",
            fleet,
            alerts=file,
            log=redis.url,
            state=redis.url,
            server="sala-1",
        )
        with gateway:
            wait_for("an evaluator looks", lambda: gateway.ask(looked))
            redis.freeze()
            try:
                assert gateway.post(f"/webhook/{TOKEN}", b'{"event":"a"}').status == 200
                wanted = {"store:log", "store:state", "spool:sala-1"}

                def is_told() -> bool:
                    return wanted <= {one["name"] for one in told(crm, "opened")}

                wait_for("it is told", is_told, 150)
            finally:
                redis.thaw()


async def looked(stores: Stores) -> bool:
    """Whether anybody has looked for what is wrong."""
    kept, _version = await keeping.read(stores.ledger.watching)
    return kept.looked_at_ms > 0
