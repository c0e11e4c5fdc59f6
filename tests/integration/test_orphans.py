"""A server whose first process is killed: nobody looks after its workers any more."""

import os
import signal
import time
from pathlib import Path

from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for


def test_workers_whose_server_was_killed_went_on_serving_and_held_the_port(tmp_path: Path) -> None:
    with Receiver() as crm, Gateway(tmp_path, FLEET.replace("URL", crm.url), workers=2) as gateway:
        data = b'{"event":"message_created","n":1}'
        assert gateway.post(f"/webhook/{TOKEN}", data).status == 200
        orphans = [*gateway.workers, *gateway.dispatchers.values()]
        assert len(orphans) == 4
        os.kill(gateway.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        wait_for("the workers have ended", lambda: not any(map(_lives, orphans[:2])), 6)
        assert gateway.log.count("worker.orphaned") == 2
        wait_for("and their dispatchers", lambda: not any(map(_lives, orphans)))
        assert time.monotonic() - killed_at < 8
        gateway.kill()
        gateway.start()  # on the same port
        wait_for("what was accepted arrives", lambda: data in crm.bodies())
        assert "dispatch.killed" not in gateway.log


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
