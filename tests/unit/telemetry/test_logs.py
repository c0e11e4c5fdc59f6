import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from comporta.telemetry import logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access")
    kept = [
        (one, one.handlers[:], one.level, one.propagate, one.disabled)
        for one in map(logging.getLogger, names)
    ]
    yield
    for logger, handlers, level, propagate, disabled in kept:
        logger.handlers[:], logger.propagate, logger.disabled = handlers, propagate, disabled
        logger.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_off_a_terminal_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("comporta.test").info("event.accepted", chatwoot="loja-sp", count=3)
    (line,) = lines(capsys)
    assert line["event"] == "event.accepted"
    assert line["level"] == "info"
    assert line["logger"] == "comporta.test"
    assert line["chatwoot"] == "loja-sp"
    assert line["count"] == 3
    assert str(line["timestamp"]).endswith("Z")


def test_lines_of_the_standard_library_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("uvicorn.error").info(
        "Started server process [%d]", 7, extra={"color_message": "Started \x1b[36m%d"}
    )
    (line,) = lines(capsys)
    assert line["event"] == "Started server process [7]"
    assert line["logger"] == "uvicorn.error"
    assert "color_message" not in line


def test_lines_below_the_level_are_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    structlog.get_logger("quiet").info("nothing.seen")
    structlog.get_logger("quiet").warning("something.seen")
    assert [line["event"] for line in lines(capsys)] == ["something.seen"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.configure("loud")


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_in_fields_messages_and_tracebacks_never_reach_the_line(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    logs.configure("debug", json=as_json)
    log = structlog.get_logger("comporta.test")
    log.info(
        "request.refused",
        path="/webhook/tok-abc-123",
        headers=[("authorization", "Bearer tok-abc-123")],
    )
    logging.getLogger("aiohttp").warning("GET %s failed", "http://u:tok-abc-123@h/x")
    try:
        int("whsec_tok-abc-123")
    except ValueError:
        log.exception("delivery.failed")
        logging.getLogger("other").exception("it broke")
    shown = capsys.readouterr().err
    assert "tok-abc-123" not in shown
    assert shown.count("ValueError: invalid literal") == 2
    assert "request.refused" in shown


def test_uvicorns_access_log_is_silent_after_uvicorn_configured_it() -> None:
    code = """
import logging, uvicorn
uvicorn.Config("x:app").configure_logging()
assert logging.getLogger("uvicorn.access").hasHandlers()
from comporta.telemetry import logs
logs.configure()
access = logging.getLogger("uvicorn.access")
assert not access.hasHandlers()
access.error("%s", "/webhook/secret")
logging.getLogger("uvicorn.error").info("once")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("once") == 1
    assert done.stdout == ""
