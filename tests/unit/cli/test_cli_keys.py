"""What `--json` prints has exactly the keys that are documented."""

from typing import Any

import pytest

from comporta.cli.keys import KEYS
from comporta.domain import ids
from comporta.state.port import Rejected

EVT = ids.show("evt", 12_345_678_901_234)
COMMANDS = {
    "init": ["init"],
    "apply": ["apply", "fleet.toml", "--yes"],
    "export": ["export"],
    "events": ["events"],
    "event show": ["event", "show", EVT],
    "deliveries": ["deliveries"],
    "dead": ["dead"],
    "redrive": ["redrive", "--all"],
    "replay": ["replay", "--all"],
    "discard": ["discard", "--all"],
    "alerts": ["alerts"],
    "alert ack": ["alert", "ack", "breaker:crm"],
    "audit": ["audit"],
    "rejected": ["rejected"],
    "why": ["why", "loja-sp"],
    "doctor": ["doctor"],
    "api-key create": ["api-key", "create", "ci"],
    "api-key list": ["api-key", "list"],
    "api-key revoke": ["api-key", "revoke", "robo", "--yes"],
    "version": ["version"],
    "instance list": ["instance", "list"],
    "instance show": ["instance", "show", "loja-sp"],
    "instance add": ["instance", "add", "loja-rj"],
    "instance remove": ["instance", "remove", "loja-sp", "--yes"],
    "source list": ["source", "list"],
    "source show": ["source", "show", "loja-sp/conta"],
    "source add": ["source", "add", "loja-sp/bot"],
    "source remove": ["source", "remove", "loja-sp/conta", "--yes"],
    "source token add": ["source", "token", "add", "loja-sp/conta"],
    "source secret add": ["source", "secret", "add", "loja-sp/conta", "hush"],
    "destination list": ["destination", "list"],
    "destination show": ["destination", "show", "crm"],
    "destination add": ["destination", "add", "n8n", "http://n8n/"],
    "destination set": ["destination", "set", "crm", "--rate", "50/s"],
    "destination test": ["destination", "test", "crm", "--event", EVT],
    "destination resume": ["destination", "resume", "crm"],
    "destination pause": ["destination", "pause", "crm"],
    "route list": ["route", "list"],
    "route show": ["route", "show", "tudo"],
    "route test": ["route", "test", "--event", EVT],
    "route add": ["route", "add", "mais", "--to", "crm"],
    "route remove": ["route", "remove", "tudo", "--yes"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_has_the_documented_keys(comporta: Any, stores: Any, tmp_path: Any, name: str) -> None:
    (tmp_path / "fleet.toml").write_text('[[instance]]\nname = "nova"\n')
    stores.state.refused = [Rejected(1, 401, "r", "POST", "/", "p", "", (), 0)]
    data = comporta(*COMMANDS[name], "--json").data
    found = data[0] if isinstance(data, list) else data
    assert set(found) == set(KEYS[name])


def test_every_documented_command_is_compared() -> None:
    unmade = {"source token remove", "source secret remove", "destination remove", "move"}
    unmade |= {"top"}  # asks a running gateway: tests/integration/test_top.py
    unmade |= {"deploy"}  # writes files: tests/unit/cli/test_cli_deploy.py
    unmade |= {"alert test"}  # needs somebody to tell: tests/e2e/test_alerts.py
    assert set(KEYS) - set(COMMANDS) == unmade
