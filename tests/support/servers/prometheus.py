"""Prometheus and Alertmanager for tests, with the files of `deploy/prometheus` in a quicker time.

Both run in folders of their own on free ports. `QUICKER` says what is changed of the rules, and
`Prometheus` and `Alertmanager` what is of the examples; nothing else is.
"""

import http.client
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import yaml
from tests.support.servers.program import Program, free_port, required

FILES = Path(__file__).resolve().parents[3] / "deploy/prometheus"
QUICKER = {
    "30s": "1s",
    "2m": "2s",
    "5m": "4s",
    "10m": "10s",
    "15m": "5s",
    "30m": "10s",
    "1h": "12s",
    "6h": "20s",
    "1w": "15s",
    "3600": "6",
}
"""What takes so long takes so long instead: windows, offsets, `for`, and the hour of silence, which
is a number of seconds. Longer thresholds stay."""
SCRAPE_S = 2
"""Two reads lie in the shortest window, and a frozen broker has time to be given up."""
_LENGTH = re.compile(r"(?<=[\[ ])(\d+[smhdw])(?=[\]\s)]|$)|(?<=> )(3600)$", re.MULTILINE)


def quickened(text: str) -> str:
    """Rules in a quicker time; a length that `QUICKER` does not name is a KeyError."""
    return _LENGTH.sub(lambda found: QUICKER[found[0]], text)


class _Answering:
    """A program that says on `/-/ready` when it is."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder, self.port = folder, free_port()
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        self._program = Program([*command, address], folder, self._ready)

    def _ready(self) -> bool:
        try:
            return self._get("/-/ready")[0] == http.client.OK
        except OSError:
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._program.start()
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._program.kill()


class Alertmanager(_Answering):
    """The example's routes and inhibitions; all it tells goes to one webhook, without waiting."""

    def __init__(self, folder: Path, webhook: str) -> None:
        name = next(filter(shutil.which, ("alertmanager", "prometheus-alertmanager")), "")
        program = required(name or "alertmanager", "prometheus-alertmanager")
        options = ["--cluster.listen-address=", "--storage.path=data"]  # nobody to gossip with
        super().__init__(folder, [program, "--config.file=config.yml", *options])
        config = yaml.safe_load((FILES / "alertmanager.example.yml").read_text())
        del config["global"]
        for route in (config["route"], *config["route"]["routes"]):
            route |= {"group_wait": "1s", "group_interval": "1s"}
        for receiver in config["receivers"]:
            receiver.pop("email_configs", None)
            receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text(yaml.safe_dump(config))


class Prometheus(_Answering):
    """The example, with a job for each gateway.

    Args:
        folder: its own.
        jobs: name → ports of the servers.
        alertmanager: who is told.
    """

    def __init__(
        self, folder: Path, jobs: Mapping[str, Sequence[int]], alertmanager: Alertmanager
    ) -> None:
        program = required("prometheus", "prometheus")
        options = ["--storage.tsdb.path=data", "--log.level=warn"]
        super().__init__(folder, [program, "--config.file=config.yml", *options])
        config = yaml.safe_load((FILES / "prometheus.example.yml").read_text())
        config["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": "1s"}
        config["global"]["scrape_timeout"] = f"{SCRAPE_S}s"
        config["alerting"]["alertmanagers"] = [_at([alertmanager.port])]
        (example,) = [one for one in config["scrape_configs"] if one["job_name"] == "comporta"]
        config["scrape_configs"] = [
            example | {"job_name": name} | _at(ports) for name, ports in jobs.items()
        ]
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        for file in config["rule_files"]:
            (folder / file).write_text(quickened((FILES / file).read_text()))

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        status, body = self._get(f"/api/v1/query?query={quote(expression)}")
        assert status == http.client.OK, body
        found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return found


def _at(ports: Sequence[int]) -> dict[str, Any]:
    return {"static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
