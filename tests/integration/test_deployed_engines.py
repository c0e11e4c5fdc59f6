"""What `comporta deploy compose` says of Redis and of the settings, with both as they run.

Only the place differs: a process of this machine instead of a container, so another host and port.
"""

import re
import subprocess
from pathlib import Path

import yaml
from tests.support.gateway import Gateway
from tests.support.servers.redis import RedisProcess

from comporta.deploy.checked import site
from comporta.deploy.kinds import Kind
from comporta.deploy.plan import Plan
from comporta.deploy.render import files

PLAN = Plan(1, 5, 1, 1, "redis", "sqlite", "redis", 16, 7, 4.0)
FLEET = """
[[instance]]
name = "loja-sp"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-shop"
"""


def test_the_gateway_finds_nothing_to_object_to_and_takes_an_event(tmp_path: Path) -> None:
    for path, text in files(
        Kind.COMPOSE, site(PLAN, "hooks.example.com", addressed=False), "en"
    ).items():
        (tmp_path / path).write_text(text)
    subprocess.run(["/bin/sh", tmp_path / "make-secrets.sh"], check=True, timeout=20)
    secrets = tmp_path / "secrets"
    words = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["redis"]["command"]
    given = dict(zip(words[1::2], words[2::2], strict=True))
    redis = {name.removeprefix("--"): value for name, value in given.items()}
    redis["aclfile"] = str(secrets / "redis_acl")
    settings = secrets / "comporta_settings"
    password = re.findall(r"redis://comporta:(\w+)@", settings.read_text())[0]
    login = ("--user", "comporta", "--pass", password, "--no-auth-warning")
    with RedisProcess(tmp_path / "redis", redis, login) as server:
        settings.write_text(settings.read_text().replace("redis:6379", f"127.0.0.1:{server.port}"))
        gateway = Gateway(
            tmp_path / "gateway", FLEET, config=settings, key=f"file:{secrets}/comporta_key"
        )
        with gateway:
            assert gateway.post("/webhook/token-of-the-shop", b'{"event":"x"}').status == 200
            found = {one["check"]: one for one in gateway.command("doctor")}
    assert found["log"]["level"] == "ok", found["log"]
    assert found.get("state", {"level": "ok"})["level"] == "ok", "it is named if it is weak"
