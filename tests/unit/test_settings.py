"""Settings: where they come from, which win, and how a wrong one is refused."""

import os
import socket
import tomllib
from pathlib import Path

import pytest

from comporta.errors import ConfigError
from comporta.roles import Role
from comporta.settings import (
    Settings,
    environment,
    environment_language,
)

EXAMPLE = Path(__file__).parents[2] / "comporta.example.toml"


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and no COMPORTA_ variables."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("COMPORTA_") or name in {"LC_ALL", "LC_MESSAGES", "LANG"}:
            monkeypatch.delenv(name)


def refusal(**arguments: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings(**arguments)
    return str(caught.value)


def test_the_example_file_holds_every_setting_at_its_default_in_the_models_order() -> None:
    told = tomllib.loads(EXAMPLE.read_text())
    assert list(told) == list(Settings.model_fields)
    Path("comporta.toml").write_text(EXAMPLE.read_text())
    from_example = Settings()
    Path("comporta.toml").unlink()
    assert from_example == Settings()


def test_the_example_file_describes_every_setting_with_the_models_own_sentence() -> None:
    text = EXAMPLE.read_text()
    for name, field in Settings.model_fields.items():
        assert field.description
        above = text[: text.index(f"\n{name} = ")].rpartition("\n\n")[2]
        assert f"# {field.description}" in above, name


def test_the_example_file_tells_the_bounds_of_every_number() -> None:
    text = EXAMPLE.read_text()
    for name, field in Settings.model_fields.items():
        for rule in field.metadata:
            for word in ("ge", "le"):
                bound = getattr(rule, word, None)
                if bound is not None and name != "port":
                    above = text[: text.index(f"\n{name} = ")].rpartition("\n\n")[2]
                    assert str(bound) in above, (name, bound)


def test_an_argument_wins_over_the_environment_which_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().port == 8001
    Path("comporta.toml").write_text("port = 9001\nlease_s = 5\n")
    assert Settings().port == 9001
    monkeypatch.setenv("COMPORTA_PORT", "9002")
    assert Settings().port == 9002
    assert Settings(port=9003).port == 9003
    assert Settings(port=None).port == 9002
    assert Settings().lease_s == 5


def test_an_empty_variable_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPORTA_PORT", "")
    monkeypatch.setenv("COMPORTA_FLEET", "")
    assert Settings().port == 8001
    assert Settings().fleet is None


def test_another_settings_file_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("comporta.toml").write_text("port = 1\n")
    Path("other.toml").write_text("port = 2\n")
    monkeypatch.setenv("COMPORTA_CONFIG", "other.toml")
    assert Settings().port == 2


def test_a_named_settings_file_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMPORTA_CONFIG", "gone.toml")
    assert "gone.toml" in refusal()
    assert "COMPORTA_CONFIG" in refusal()


def test_a_folder_in_the_place_of_the_settings_file_is_refused() -> None:
    Path("comporta.toml").mkdir()
    assert "comporta.toml cannot be read" in refusal()


def test_a_settings_file_that_is_not_toml_is_refused_with_its_line() -> None:
    Path("comporta.toml").write_text('port = 1\nhost = "x\n')
    assert "comporta.toml is not valid TOML" in refusal()
    assert "line 2" in refusal()
    Path("comporta.toml").write_bytes(b"host = '\xff'")
    assert "comporta.toml is not valid TOML" in refusal()


def test_an_unknown_key_in_the_file_is_refused_with_line_and_proposal() -> None:
    Path("comporta.toml").write_text("port = 1\n\nkeep_body_days = 3\n")
    assert refusal() == (
        'comporta.toml:3: keep_body_days: This is not a setting. Did you mean "keep_bodies_days"?'
    )


def test_the_old_name_of_the_retention_is_refused_with_the_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("comporta.toml").write_text("retention_days = 3\n")
    assert "replaced by: keep_bodies_days, keep_events_days" in refusal()
    Path("comporta.toml").unlink()
    monkeypatch.setenv("COMPORTA_RETENTION_DAYS", "3")
    assert "COMPORTA_RETENTION_DAYS is not a setting. It was replaced by: keep_bod" in refusal()


@pytest.mark.parametrize("part", ["keep_bodies_days", "keep_attempts_days"])
def test_events_are_kept_at_least_as_long_as_their_parts(part: str) -> None:
    Path("comporta.toml").write_text(f"{part} = 31\n")
    assert "keep_events_days must be at least" in refusal()
    Path("comporta.toml").write_text(f"{part} = 31\nkeep_events_days = 31\n")
    assert Settings().keep_events_days == 31


def test_an_unknown_variable_is_refused_with_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPORTA_PRT", "1")
    assert 'COMPORTA_PRT is not a setting. Did you mean "COMPORTA_PORT"?' in refusal()


def test_a_variable_that_resembles_nothing_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMPORTA_ZZZZZZZZZZZZZZZZZZZZ", "1")
    assert "give it a name that does not start with COMPORTA_" in refusal()


def test_variables_that_kubernetes_makes_for_a_service_are_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMPORTA_PORT", "tcp://10.0.0.1:8001")
    monkeypatch.setenv("COMPORTA_SERVICE_HOST", "10.0.0.1")
    assert "enableServiceLinks: false" in refusal()
    monkeypatch.setenv("COMPORTA_PORT_8001_TCP", "tcp://10.0.0.1:8001")
    assert "COMPORTA_PORT_8001_TCP" in refusal()
    assert "enableServiceLinks: false" in refusal()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "x", "whole number"),
        ("port", 1.5, "whole number"),
        ("port", 0, "at least 1"),
        ("port", 65536, "at most 65535"),
        ("port", True, "neither a text nor a number"),
        ("partitions", 63, "at most 62"),
        ("lease_s", float("nan"), "must be a number"),
        ("lease_s", 0.4, "at least 0.5"),
        ("head_timeout_s", 0, "more than 0"),
        ("host", "", "too short"),
        ("host", 7, "text in quotes"),
        ("data", "", "Name a folder"),
        ("log_level", "inof", "'info'"),
        ("lang", "fr", "en, pt_BR"),
        ("public_url", "gateway.example", "http://"),
        ("handlers", "mybot", "mybot:gateway"),
        ("handlers", "mybot.py:gateway()", "mybot:gateway"),
        ("log", "sqlit:x", 'Did you mean "sqlite"?'),
        ("ledger", "data/ledger.db", "sqlite, postgresql"),
        ("state", "sqlite://x", "sqlite:data/log.db"),
        ("ledger", "redis://localhost", "redis cannot be the ledger"),
        ("state", "kafka://localhost/x", "can be: sqlite, redis"),
        ("log", "redis:", "redis://localhost:6379"),
        ("server", "a b", "Letters, digits"),
        ("server", "x" * 65, "too long"),
        ("roles", "ingest,dispath", 'Did you mean "dispatch"?'),
        ("roles", ",", "ingest, dispatch, console, maintain"),
        ("trusted_proxies", "10.0.0.0/8, proxy.internal", "proxy.internal is neither"),
        ("leave_s", 301, "at most 300"),
        ("prot", 1, 'Did you mean "port"?'),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    name: str, value: object, said: str
) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: ")
    assert said in message


def test_the_place_of_a_wrong_value_is_the_one_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("comporta.toml").write_text("\nport = 'x'\n")
    assert refusal().startswith("comporta.toml:2: port: ")
    monkeypatch.setenv("COMPORTA_PORT", "y")
    assert refusal().startswith("COMPORTA_PORT: ")


def test_every_problem_is_told_at_once() -> None:
    assert len(refusal(port=0, lease_s="x", hots="y").splitlines()) == 3


def test_a_body_must_fit_into_what_may_be_pending() -> None:
    assert "pending_bytes_max" in refusal(body_bytes_max=2048, pending_bytes_max=1024)
    assert Settings(body_bytes_max=2048, pending_bytes_max=2048).body_bytes_max == 2048


def test_a_password_in_an_engine_url_is_not_shown() -> None:
    settings = Settings(log="amqp://me:s3cret@a", ledger="postgresql://me:s3cret@a/b")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in refusal(state="amqp://me:s3cret@a", ledger="postgresql:me:s3cret@a/b")


def test_neither_a_repr_nor_a_refusal_shows_the_key() -> None:
    assert "s3cret" not in repr(Settings(key="s3cret"))
    assert "53278" not in refusal(key=53278)


def test_the_engines_live_in_the_data_folder_unless_told_otherwise() -> None:
    settings = Settings(data="store", ledger="sqlite:/else/where.db")
    assert settings.log_url == "sqlite:store/log.db"
    assert settings.ledger_url == "sqlite:/else/where.db"
    assert settings.state_url == "sqlite:store/state.db"


def test_the_shown_url_follows_the_port_or_is_what_was_given() -> None:
    assert Settings(port=9).shown_url == "http://localhost:9"
    assert Settings(public_url="https://in.example/x/").shown_url == "https://in.example/x"


def test_the_log_level_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPORTA_LOG_LEVEL", "DEBUG")
    assert Settings().log_level == "debug"


def test_the_language_is_the_settings_or_else_the_terminals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert environment_language() == ""
    monkeypatch.setenv("LANG", "pt_BR.UTF-8")
    assert Settings().language == "pt_BR.UTF-8"
    assert Settings(lang="en").language == "en"
    monkeypatch.setenv("COMPORTA_LANG", "en")
    assert environment_language() == "en"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_the_door_to_the_environment_tells_missing_from_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOME_NAME", raising=False)
    assert environment("SOME_NAME") is None
    monkeypatch.setenv("SOME_NAME", "x")
    assert environment("SOME_NAME") == "x"


def test_a_server_does_everything_and_has_its_hosts_name_unless_it_is_told_otherwise() -> None:
    assert Settings().role_set == frozenset(Role)
    assert Settings(roles=" Ingest, console ").role_set == {Role.INGEST, Role.CONSOLE}
    assert Settings().server_name == socket.gethostname()
    assert Settings(server="comporta-1").server_name == "comporta-1"
