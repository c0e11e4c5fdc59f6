"""The admin API answers as its description says, to whatever is sent: schemathesis asks it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.support.gateway import ROOT, Gateway, wait_for

from comporta.console.reference import document

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES = 8
WITHIN_S = 90


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own, for its fleet is taken apart."""
    folder = tmp_path_factory.mktemp("described")
    with Gateway(folder, FLEET.replace("URL", "http://127.0.0.1:9")) as gateway:
        for number in range(3):
            gateway.post(f"/webhook/{TOKEN}", json.dumps({"event": "x", "id": number}))
        wait_for("events", lambda: len(gateway.command("events")) == 3)
        yield gateway


def probe(gateway: Gateway, key: str, *options: str) -> None:
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            *(f"{gateway.url}/api/v1/openapi.json", "-H", f"Authorization: Bearer {key}"),
            *("--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", "1"),
            *("--generation-database", "none", "--request-timeout", "10", "--no-color", *options),
        ],
        cwd=gateway.folder,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.slow
def test_no_answer_is_a_5xx_or_other_than_described(described: Gateway) -> None:
    key = described.command("api-key", "create", "probe", "--scope", "admin")["key"]
    probe(described, key, "--exclude-operation-id", "revokeApiKey")
    # Had the key been lost on the way, all that was seen after would be refusals.
    assert described.get("/api/v1/summary", Authorization=f"Bearer {key}").status == 200
    probe(described, key, "--include-operation-id", "revokeApiKey")
    assert "api.failed" not in described.log


def test_the_description_that_is_served_is_the_one_in_the_documentation(
    described: Gateway,
) -> None:
    served = described.get("/api/v1/openapi.json")
    assert served.headers["content-type"] == "application/json"
    kept = (ROOT / "docs/reference/openapi.json").read_text()
    assert served.json == json.loads(kept)
    assert document() == kept, "python -m comporta.console.reference > docs/reference/openapi.json"


def test_every_operation_is_described_whole(described: Gateway) -> None:
    description = described.get("/api/v1/openapi.json").json
    assert description["openapi"].startswith("3.1")
    seen = set()
    for item in description["paths"].values():
        for operation in item.values():
            assert operation["summary"].endswith(".")
            assert operation["tags"]
            assert operation["x-scope"] in {"read", "operate", "admin"}
            assert {"401", "403", "413", "422", "429", "500", "503"} <= set(operation["responses"])
            seen.add(operation["operationId"])
    assert len(seen) == sum(map(len, description["paths"].values()))
