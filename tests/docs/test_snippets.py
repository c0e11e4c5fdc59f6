"""The code in the documentation does what the page says: it is run, not read."""

import asyncio
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from tests.docs.pages import DOCS, ROOT, both, fences, name_of

from comporta.deploy.plan import Plan
from comporta.deploy.site import Site
from comporta.destinations.signing import key_of, signature
from comporta.fleet.parse import parse
from comporta.settings import Settings
from comporta.stores import Use, open_stores
from comporta.vault import KEY_BYTES, Vault, new_token

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"event":"message_created","content":"olá \\u003cb\\u003e"}'.encode()
DEADLINE_S = 60
Headers = dict[str, str]
Check = Callable[[str, Mapping[str, str], bytes], bool]


def signed(body: bytes = BODY, age_s: int = 0) -> Headers:
    """The headers of a delivery, made as the gateway makes them."""
    at = int(time.time()) - age_s
    return {
        "webhook-id": "dlv_0ammc8hsg6001",
        "webhook-timestamp": str(at),
        "webhook-signature": signature(key_of(SECRET), "dlv_0ammc8hsg6001", at, body),
    }


def python_check(page: Path) -> Check:
    room: dict[str, Check] = {}
    exec(compile(fences(page, "python")[0], name_of(page), "exec"), room)  # noqa: S102  (our own page)
    return room["is_genuine"]


def node_check(page: Path) -> Check:
    call = (
        "const [secret, headers, body] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(isGenuine(secret, headers, Buffer.from(body, 'base64')));"
    )
    code = fences(page, "javascript")[0] + call

    def check(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        given = json.dumps([secret, dict(headers), base64.b64encode(body).decode()])
        done = subprocess.run(
            ["node", "-e", code],
            input=given,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
        return done.stdout.strip() == "true"

    return check


@pytest.fixture(params=["python", "javascript"])
def is_genuine(request: pytest.FixtureRequest) -> Check:
    page = DOCS / "receiving.md"
    if request.param == "python":
        return python_check(page)
    if not shutil.which("node"):
        # Not installed for CI either: the Python twin says the same of the page's words.
        pytest.skip("Node is not installed: the JavaScript of receiving.md is not run")
    return node_check(page)


def test_a_delivery_of_the_gateway_is_genuine(is_genuine: Check) -> None:
    assert is_genuine(SECRET, signed(), BODY)


def test_a_delivery_of_another_library_is_genuine(is_genuine: Check) -> None:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, BODY.decode()),
    }
    assert is_genuine(SECRET, headers, BODY)


def test_one_of_several_signatures_is_enough(is_genuine: Check) -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA v1a,xyz {headers['webhook-signature']}"
    assert is_genuine(SECRET, headers, BODY)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, BODY + b" "),
        ({"webhook-id": "dlv_0ammc8hsg6002"}, BODY),
        ({"webhook-timestamp": "soon"}, BODY),
        ({"webhook-timestamp": ""}, BODY),
        ({"webhook-signature": ""}, BODY),
        ({"webhook-signature": "v1,"}, BODY),
    ],
    ids=["body", "id", "words", "no time", "nothing", "empty"],
)
def test_what_was_changed_on_the_way_is_not_genuine(
    is_genuine: Check, change: Headers, body: bytes
) -> None:
    assert not is_genuine(SECRET, signed() | change, body)


def test_what_is_older_than_five_minutes_is_not_genuine(is_genuine: Check) -> None:
    assert is_genuine(SECRET, signed(age_s=290), BODY)
    assert not is_genuine(SECRET, signed(age_s=310), BODY)


def test_another_secret_is_not_genuine(is_genuine: Check) -> None:
    other = "whsec_" + "A" * 32
    assert not is_genuine(other, signed(), BODY)


# Handlers


def test_the_handlers_of_the_page_pass_the_tests_of_the_page(tmp_path: Path) -> None:
    module, tests = fences(DOCS / "handlers.md", "python")
    (tmp_path / "mybot.py").write_text(module)
    (tmp_path / "test_mybot.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"},
    )
    assert "3 passed" in done.stdout, done.stdout


# The fleet and the settings


def test_the_fleet_of_the_readme_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOJA_SP_SECRET", "k3VqWb9ZtR2mXy7LcN5dPs8A")
    monkeypatch.setenv("CRM_SECRET", SECRET)
    text = fences(ROOT / "README.md", "toml")[0]
    fleet = parse(text, "README.md", Vault(bytes(KEY_BYTES)))
    assert fleet.warnings == ()
    assert [one.name for one in fleet.routes] == ["mensagens"]


def test_the_settings_of_the_operating_page_are_accepted() -> None:
    values = tomllib.loads(fences(DOCS / "operating.md", "toml")[0])
    assert Settings(**values).shown_url == "https://hooks.example.com"


# systemd and the proxy


def run_on_page(page: Path, number: int, folder: Path) -> None:
    """A command of a page, as it stands there."""
    words = shlex.split(fences(page, "sh")[number])
    assert words[:2] == ["comporta", "deploy"]
    comporta(folder / "data", *words[1:])


def test_what_the_operating_page_shows_of_the_service_is_what_its_command_writes(
    tmp_path: Path,
) -> None:
    for page in both("operating"):
        number = next(n for n, t in enumerate(fences(page, "sh")) if "deploy systemd" in t)
        run_on_page(page, number, tmp_path)
        written = (tmp_path / "units" / "comporta.service").read_text().splitlines()
        for line in fences(page, "ini")[0].splitlines():
            wanted = line.partition("--workers")[0]
            assert any(one.startswith(wanted) for one in written), line
        shutil.rmtree(tmp_path / "units")


def test_the_service_is_given_more_time_to_stop_than_it_needs() -> None:
    stop_s = Site(Plan(1, 1, 1, 1, "sqlite", "sqlite", "sqlite", 16, 7, 1.0), "", ()).stop_s
    assert stop_s > 2 * Settings.model_fields["drain_s"].default


def test_the_proxy_takes_bodies_as_large_as_the_gateway_does(tmp_path: Path) -> None:
    for page in both("operating"):
        number = next(n for n, t in enumerate(fences(page, "sh")) if "deploy nginx" in t)
        run_on_page(page, number, tmp_path)
        assert "client_max_body_size 21m;" in (tmp_path / "nginx" / "comporta.conf").read_text()
        shutil.rmtree(tmp_path / "nginx")
    assert Settings.model_fields["body_bytes_max"].default == 20 * 1024 * 1024


def test_the_commands_of_the_deploying_page_write_what_it_says(tmp_path: Path) -> None:
    for page in both("deploying"):
        for line in fences(page, "sh")[0].replace("\\\n", " ").splitlines():
            comporta(tmp_path / "data", *shlex.split(line)[1:])
        there = {path.name for path in (tmp_path / "out").rglob("*")}
        assert {"comporta.conf", "comporta.service", "server-1.env", "server-2.env"} <= there


# Backup


def comporta(folder: Path, *words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    environment |= {"COMPORTA_DATA": str(folder), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "comporta.cli", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        cwd=folder.parent,
        env=environment,
    )
    return done.stdout


def backed_up(data: Path, target: Path) -> None:
    """Run the page's script while a process has the stores open."""
    script = target.with_suffix(".py")
    script.write_text(fences(DOCS / "operating.md", "python")[0])

    def copy() -> None:
        subprocess.run([sys.executable, script, data, target], timeout=DEADLINE_S, check=True)

    async def beside_open_stores() -> None:
        async with open_stores(Settings(data=data), use=Use.DISPATCH):
            await asyncio.to_thread(copy)

    asyncio.run(beside_open_stores())


def test_a_backup_made_while_the_stores_are_open_has_the_fleet_and_opens_its_secrets(
    tmp_path: Path,
) -> None:
    data, target = tmp_path / "data", tmp_path / "backup"
    comporta(data, "init", "loja-sp")
    token = new_token()
    comporta(data, "source", "add", "loja-sp/api", "--token", token, "--secret", "a-secret-of-api")
    backed_up(data, target)
    assert {one.name for one in target.iterdir()} == {"ledger.db", "log.db", "state.db", "key"}
    exported = comporta(target, "export", "--reveal")
    assert exported == comporta(data, "export", "--reveal")
    assert "a-secret-of-api" in exported
