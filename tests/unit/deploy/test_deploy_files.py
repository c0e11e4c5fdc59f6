"""The files of `comporta deploy`: every kind for every plan, read by what reads their format."""

import configparser
import itertools
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.unit.deploy.sites import FRONT, PLANS, combinations, plan, site_of

from comporta.deploy.kinds import Kind
from comporta.deploy.render import files
from comporta.deploy.steps import steps
from comporta.errors import ConfigError
from comporta.i18n import LANGUAGES

EVERY = [
    pytest.param(name, kind, language, behind, id=f"{kind}-{name}-{language}-{len(behind)}")
    for (name, kind), language, behind in itertools.product(combinations(), LANGUAGES, ((), FRONT))
]


def parsed(path: str, text: str) -> Iterator[Any]:
    if path.endswith(".yaml"):
        yield from yaml.safe_load_all(text)
    elif path.endswith(".toml"):
        yield tomllib.loads(text)
    elif path.endswith((".service", ".socket")):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        yield {name: dict(unit[name]) for name in unit.sections()}


def without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


@pytest.mark.parametrize(("name", "kind", "language", "behind"), EVERY)
def test_every_file_is_whole_and_can_be_read(
    name: str, kind: Kind, language: str, behind: tuple[str, ...]
) -> None:
    for path, text in files(kind, site_of(kind, PLANS[name], behind), language).items():
        assert text.endswith("\n")
        assert "\n\n\n" not in text, path
        assert not any(line != line.rstrip() for line in text.splitlines()), path
        assert all(one is not None for one in parsed(path, text)), path
        assert any(line.lstrip().startswith("# ") for line in text.splitlines()), path


@pytest.mark.parametrize(("name", "kind"), combinations())
def test_a_language_changes_what_people_read_and_nothing_else(name: str, kind: Kind) -> None:
    one, other = (files(kind, site_of(kind, PLANS[name], FRONT), lang) for lang in LANGUAGES)
    assert one.keys() == other.keys()
    for path, text in one.items():
        assert without_comments(text).split() == without_comments(other[path]).split(), path
        assert text != other[path], path


@pytest.mark.parametrize(("name", "kind"), combinations())
def test_what_is_to_be_run_next_names_files_that_were_written(name: str, kind: Kind) -> None:
    site = site_of(kind, PLANS[name])
    written = set(files(kind, site, "en"))
    for line in steps(kind, site, "FOLDER"):
        for word in line.split():
            path = word.removeprefix("FOLDER/").removeprefix("--from-file=")
            if word.startswith("FOLDER/") and path and "*" not in path and "NAME" not in path:
                assert path in written or path.startswith("secrets/"), line


def test_no_password_is_made_up_in_a_file() -> None:
    for name, kind in combinations():
        for path, text in files(kind, site_of(kind, PLANS[name]), "en").items():
            for line in text.splitlines():
                if "://comporta:" in line:
                    assert ":PASSWORD@" in line or "$" in line, (kind, path, line)


def test_a_plan_of_one_server_needs_no_domain_for_an_image_only() -> None:
    from comporta.deploy.checked import site  # noqa: PLC0415

    bare = site(plan(), "")
    assert files(Kind.DOCKERFILE, bare, "en")
    for kind in set(Kind) - {Kind.DOCKERFILE}:
        with pytest.raises(ConfigError, match="--domain"):
            files(kind, bare, "en")


def test_caddy_is_for_one_server() -> None:
    with pytest.raises(ConfigError, match="nginx or haproxy"):
        files(Kind.CADDY, site_of(Kind.CADDY, PLANS["two-redis"]), "en")


def test_servers_of_one_site_differ_in_name_and_place_and_in_nothing_else() -> None:
    units = files(Kind.SYSTEMD, site_of(Kind.SYSTEMD, PLANS["two-redis"]), "en")
    one, other = (dict(_variables(units[f"server-{n}.env"])) for n in (1, 2))
    assert one == {
        "COMPORTA_SERVER": "server-1",
        "COMPORTA_HOST": "10.0.0.11",
        "COMPORTA_PORT": "8001",
    }
    assert other == one | {"COMPORTA_SERVER": "server-2", "COMPORTA_HOST": "10.0.0.12"}
    (compose,) = yaml.safe_load_all(
        files(Kind.COMPOSE, site_of(Kind.COMPOSE, PLANS["two-redis"]), "en")["compose.yaml"]
    )
    first, second = (compose["services"][f"server-{n}"] for n in (1, 2))
    assert first["environment"].pop("COMPORTA_SERVER") == "server-1"
    assert second["environment"].pop("COMPORTA_SERVER") == "server-2"
    for one_only in ("volumes", "ports"):
        assert first.pop(one_only) != second.pop(one_only)
    assert first == second


def test_one_server_keeps_its_port_open_and_several_go_over_to_each_other() -> None:
    alone = files(Kind.SYSTEMD, site_of(Kind.SYSTEMD, PLANS["one"]), "en")
    several = files(Kind.SYSTEMD, site_of(Kind.SYSTEMD, PLANS["two-redis"]), "en")
    assert "Requires=comporta.socket" in alone["comporta.service"]
    assert "leave_s" not in alone["comporta.toml"]
    assert "comporta.socket" not in several
    assert "Requires" not in several["comporta.service"]
    assert tomllib.loads(several["comporta.toml"])["leave_s"] == 6
    haproxy = files(Kind.HAPROXY, site_of(Kind.HAPROXY, PLANS["one"]), "en")["haproxy.cfg"]
    assert "httpchk" not in haproxy


def test_events_are_kept_as_long_as_their_bodies() -> None:
    toml = files(Kind.SYSTEMD, site_of(Kind.SYSTEMD, PLANS["two-redis"]), "en")["comporta.toml"]
    assert tomllib.loads(toml)["keep_events_days"] == 90


def _variables(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _equals, value = line.partition("=")
            yield name, value
