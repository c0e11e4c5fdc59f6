"""The scaling guide does what it says: its commands are run and its files used, from top to bottom,
on machines with the addresses that it names, with real nginx, Redis, PostgreSQL and RabbitMQ.

What stands in for something: `systemctl`, `ssh`, `scp` and `apt-get` of the lab (see
`tests.support.lab`); `certbot`, whose certificate comes from an authority of the test; and the
times of `comporta bench`, which are short.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.docs.guide import ENGLISH, PORTUGUESE, Block, Call, bare, blocks, calls, figures_apart
from tests.docs.test_messages import messages
from tests.support.certificates import make_certificate
from tests.support.lab.lan import Host, Lab

from comporta.telemetry.metric_defs import METRICS

HOSTS: Final = {
    "balancer": "10.0.0.10",
    "server-1": "10.0.0.11",
    "server-2": "10.0.0.12",
    "data": "10.0.0.21",
}
DOMAIN: Final = "hooks.example.com"
WITHIN_S: Final = 60.0
CERTBOT: Final = """#!/bin/bash
set -euo pipefail
[ "$*" = "certonly --webroot -w /var/www/html -d hooks.example.com" ]
mkdir -p /var/www/html/.well-known/acme-challenge
echo proof > /var/www/html/.well-known/acme-challenge/lab
[ "$(curl --fail --silent http://hooks.example.com/.well-known/acme-challenge/lab)" = proof ]
mkdir -p /etc/letsencrypt/live/hooks.example.com
cp /etc/lab/fullchain.pem /etc/lab/privkey.pem /etc/letsencrypt/live/hooks.example.com/
"""

IN_A_HURRY: Final = """#!/opt/comporta/.venv/bin/python
import sys
from comporta.cli import main
if __name__ == "__main__":
    if "bench" in sys.argv:
        from comporta import i18n
        i18n.use("pt_BR")
        from comporta.cli import bench, bench_run
        bench.TIMES = bench_run.Times(
            warm_s=0.2, intake_s=0.4, backlog_s=0.3, sustained_s=0.6, settle_s=2.0, most_s=80.0
        )
        bench_run.workers_of = lambda _cpus: 1
    sys.exit(main())
"""
CAPACITY: Final = {
    "Por que um handler escrito à mão perde eventos",
    "Peça um plano",
    "Meça a sua máquina",
}
"""What is measured on one machine, before there is anything on it."""

PAIRS: Final = list(zip(blocks(PORTUGUESE), blocks(ENGLISH), strict=True))


@pytest.mark.parametrize(("portuguese", "english"), PAIRS)
def test_both_guides_have_the_same_commands_and_files(portuguese: Block, english: Block) -> None:
    if portuguese.language == "console":
        assert [one.command for one in calls(portuguese)] == [one.command for one in calls(english)]
    else:
        assert bare(portuguese.code) == bare(english.code)
    assert (portuguese.file, portuguese.host) == (english.file, english.host)


def test_every_block_is_a_command_on_a_machine_or_a_file_with_a_name() -> None:
    for block, _english in PAIRS:
        assert block.language in {"sh", "console", "yaml", "python"}
        assert block.language != "sh" or block.host in HOSTS, block.code
        assert block.language != "yaml" or block.file.startswith("/etc/"), block.code


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    certificate, key = make_certificate(tmp_path, DOMAIN)
    with Lab(HOSTS, {DOMAIN: HOSTS["balancer"]}) as made:
        for host in made.hosts.values():
            host.write("/etc/lab/ca.pem", certificate.read_text())
            host.environment["COMPORTA_LANG"] = "pt_BR"
            must(host, "useradd --system --home-dir /opt/comporta comporta")
        balancer = made.hosts["balancer"]
        balancer.write("/etc/lab/fullchain.pem", certificate.read_text())
        balancer.write("/etc/lab/privkey.pem", key.read_text())
        balancer.write("/etc/lab/packages/certbot", CERTBOT)
        must(balancer, "chmod 755 /etc/lab/packages/certbot")
        must(balancer, "ln -s /etc/lab/packages/certbot /usr/bin/certbot")
        yield made


def must(host: Host, code: str) -> str:
    """Run it, and fail with what it said if it fails."""
    done = host.run(code, WITHIN_S)
    assert done.code == 0, f"on {host.name}:\n{code}\n{done.output}"
    return done.output


def test_a_handler_by_hand_loses_what_the_guide_says_and_a_machine_can_be_measured(
    lab: Lab,
) -> None:
    server = lab.hosts["server-1"]
    server.write("/opt/comporta/.venv/bin/comporta", IN_A_HURRY)
    said = follow(lab, [PAIRS[0], *(pair for pair in PAIRS if pair[0].heading in CAPACITY)])
    assert "medido" in said["Meça a sua máquina"][0]


@pytest.mark.timeout(480)  # two servers that leave take their time, four times
def test_the_guide_works_from_top_to_bottom(lab: Lab) -> None:
    check_drills(follow(lab, [pair for pair in PAIRS if pair[0].heading not in CAPACITY]))


def follow(lab: Lab, pairs: list[tuple[Block, Block]]) -> dict[str, list[str]]:
    """Do what these blocks say, in Portuguese; heading → what its commands said."""
    said: dict[str, list[str]] = {}
    for block, english in pairs:
        match block.language:
            case "sh":
                said.setdefault(block.heading, []).append(must(lab.hosts[block.host], block.code))
            case "console":
                converse(lab.hosts["server-1"], block, english)
            case "python":
                lab.hosts["server-1"].write(block.file, block.code)
            case "yaml":
                check_prometheus(block, lab.hosts["server-1"])
    return said


def converse(host: Host, portuguese: Block, english: Block) -> None:
    """What is typed into a terminal, and what it says: in both languages, but for what is slow."""
    for call, other in zip(calls(portuguese), calls(english), strict=True):
        done = host.run(call.command, WITHIN_S)
        assert figures_apart(done.output) == figures_apart(call.shown), done.output
        assert not call.shown.strip().isdigit() or done.output == call.shown
        if "simulate" in call.command:
            check_simulation(call, done.output)
            english_of = {str(one.string): str(one.id) for one in messages()}
            assert labels(other.shown) == [english_of[label] for label in labels(call.shown)]
        elif call.shown:
            said = host.run(f"export COMPORTA_LANG=en\n{other.command}", WITHIN_S).output
            assert figures_apart(said) == figures_apart(other.shown), said


def check_simulation(call: Call, output: str) -> None:
    """By hand, everything is taken in at 100 events a second, and much is lost at 300."""
    counts = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
    lost = int(counts["Enviados"]) - int(counts["Aceitos"])
    assert lost == 0 if "--rate 100" in call.command else lost > 100


def check_prometheus(block: Block, host: Host) -> None:
    """Its targets answer with metrics, and its rules ask for metrics that there are."""
    found: dict[str, Any] = yaml.safe_load(block.code)
    for job in found.get("scrape_configs", []):
        for target in job["static_configs"][0]["targets"]:
            assert "# TYPE comporta_" in must(host, f"curl --fail --silent {target}/metrics")
    known = {definition.name for definition in METRICS}
    for group in found.get("groups", []):
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert {"alert", "expr"} <= set(rule) <= {"alert", "expr", "for"}
            assert set(re.findall(r"comporta_\w+", rule["expr"])) <= known


def check_drills(said: dict[str, list[str]]) -> None:
    """What the guide tells people to expect of its drills."""
    (rolling,) = said["Reinício gradual"]
    assert accepted(rolling) == sent(rolling) > 900
    (killed,) = said["Mate um servidor"]
    assert int(killed.splitlines()[-1]) >= accepted(killed) > 150
    (redis,) = said["Derrube o Redis"]
    assert accepted(redis) == sent(redis) > 50
    assert "spool" in redis


def sent(output: str) -> int:
    """Of a simulation."""
    return number("Enviados", output)


def accepted(output: str) -> int:
    """Of a simulation."""
    return number("Aceitos", output)


def number(label: str, output: str) -> int:
    found = re.search(rf"^{label} +(\d+)$", output, re.MULTILINE)
    assert found, output
    return int(found[1])


def labels(shown: str) -> list[str]:
    """The first column of what a simulation tells."""
    return [re.split(r"  +", line)[0] for line in shown.strip().splitlines()]
