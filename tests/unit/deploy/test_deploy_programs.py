"""The files of `comporta deploy`, judged by the programs and schemas that they are for."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.support.certificates import make_certificate
from tests.support.servers.program import required
from tests.unit.deploy.sites import DOMAIN, FRONT, PLANS, site_of

from comporta.deploy.kinds import Kind
from comporta.deploy.render import files

ROOT = Path(__file__).resolve().parents[3]
SEVERAL = [name for name in PLANS if name != "one-with-redis"]
KUBERNETES = "1.31"
EXPOSURE_MAX = 20
"""In tenths, as systemd-analyze counts: 1.5 now; above 4 it calls a unit medium."""


def run(*command: str | Path, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **more}
    return subprocess.run(
        [str(one) for one in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(kind: Kind, name: str, folder: Path, language: str = "en", **places: object) -> None:
    site = site_of(kind, PLANS[name], FRONT if name != "one" else (), **places)
    for path, text in files(kind, site, language).items():
        (folder / path).write_text(text)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = (path.read_bytes() for path in make_certificate(folder, DOMAIN))
    (folder / "fullchain.pem").write_bytes(certificate)
    (folder / "privkey.pem").write_bytes(key)
    (folder / "both.pem").write_bytes(certificate + key)
    return folder


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_nginx_takes_its_file(name: str, language: str, tls: Path, tmp_path: Path) -> None:
    nginx = required("nginx", "nginx-light")
    places = {"http_port": 8080, "https_port": 8443, "tls": str(tls), "logs": str(tmp_path)}
    written(Kind.NGINX, name, tmp_path, language, **places)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ client_body_temp_path {tmp_path}/body; include {tmp_path}/comporta.conf; }}\n"
    )
    done = run(nginx, "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_haproxy_takes_its_file(name: str, language: str, tls: Path, tmp_path: Path) -> None:
    haproxy = required("haproxy", "haproxy")
    places = {"tls": str(tls / "both.pem"), "run": str(tmp_path)}
    written(Kind.HAPROXY, name, tmp_path, language, **places)
    done = run(haproxy, "-c", "-q", "-f", "haproxy.cfg", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_caddy_takes_its_file_and_finds_it_well_formed(tls: Path, tmp_path: Path) -> None:
    caddy = required("caddy", "caddy")
    written(Kind.CADDY, "one-with-redis", tmp_path, tls=str(tls))
    home = {"HOME": str(tmp_path)}
    done = run(caddy, "validate", "--config", "Caddyfile", folder=tmp_path, **home)
    assert done.returncode == 0, done.stderr
    assert "not formatted" not in done.stderr


@pytest.mark.parametrize("name", ["one", "two-redis"])
def test_systemd_finds_nothing_wrong_and_little_exposed(name: str, tmp_path: Path) -> None:
    analyze = required("systemd-analyze", "systemd")
    written(Kind.SYSTEMD, name, tmp_path, home=str(ROOT))
    units = sorted(tmp_path.glob("comporta*.service")) + sorted(tmp_path.glob("*.socket"))
    done = run(analyze, "verify", *units, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for unit in tmp_path.glob("*.service"):
        judged = run(
            *(analyze, "security", "--offline=true", f"--threshold={EXPOSURE_MAX}"),
            *("--no-pager", unit),
            folder=tmp_path,
        )
        assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("name", SEVERAL)
def test_compose_takes_its_files(name: str, tmp_path: Path) -> None:
    compose = required("docker-compose", "docker-compose")
    written(Kind.COMPOSE, name, tmp_path)
    written(Kind.SWARM, name, tmp_path)
    for file in ("compose.yaml", "stack.yaml"):
        done = run(compose, "-f", file, "config", "-q", folder=tmp_path, IMAGE="x/comporta:1")
        assert (done.returncode, done.stderr) == (0, ""), file


@pytest.mark.parametrize("name", SEVERAL)
def test_swarm_takes_its_stack(name: str, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:  # not from Debian in a version that can; compose has looked at it above
        pytest.skip("docker is not installed")
    written(Kind.SWARM, name, tmp_path)
    done = run(
        *(docker, "stack", "config", "-c", "stack.yaml"), folder=tmp_path, IMAGE="x/comporta:1"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SEVERAL)
def test_no_engine_can_be_reached_from_outside(name: str, tmp_path: Path) -> None:
    written(Kind.COMPOSE, name, tmp_path)
    written(Kind.SWARM, name, tmp_path)
    for file in ("compose.yaml", "stack.yaml"):
        whole = yaml.safe_load((tmp_path / file).read_text())
        assert whole["networks"]["inside"]["internal"] is True
        for service in whole["services"].values():
            engine = not str(service["image"]).startswith(("comporta", "${IMAGE"))
            assert not engine or (service["networks"] == ["inside"] and "ports" not in service)
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", SEVERAL)
def test_kubernetes_schemas_fit(name: str, tmp_path: Path) -> None:
    written(Kind.KUBERNETES, name, tmp_path)
    seen = set()
    for file in tmp_path.glob("*.yaml"):
        for one in yaml.safe_load_all(file.read_text()):
            seen.add(one["kind"])
            if one["kind"] == "ScaledObject":
                _check_scaled_object(one, tmp_path)
            else:
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
            assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "comporta"
    wanted = {"Namespace", "ConfigMap", "Service", "StatefulSet", "NetworkPolicy", "Ingress"}
    several = {"PodDisruptionBudget", "Deployment", "ScaledObject"}
    assert seen == (wanted if name == "one" else wanted | several)


def _check_scaled_object(one: dict[str, Any], folder: Path) -> None:
    """What the schema of KEDA 2 asks of it, and that what it scales is there."""
    spec = one["spec"]
    assert one["apiVersion"] == "keda.sh/v1alpha1"
    assert spec.keys() <= {
        *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval"),
        *("cooldownPeriod", "triggers"),
    }
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "prometheus"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert {"serverAddress", "query", "threshold"} <= trigger["metadata"].keys()
    deployments = [
        each["metadata"]["name"]
        for each in yaml.safe_load_all((folder / "comporta.yaml").read_text())
        if each["kind"] == "Deployment"
    ]
    assert spec["scaleTargetRef"]["name"] in deployments


def test_every_reference_in_kubernetes_is_to_something_that_is_there(tmp_path: Path) -> None:
    written(Kind.KUBERNETES, "three-rabbitmq", tmp_path)
    all_ = [one for f in tmp_path.glob("*.yaml") for one in yaml.safe_load_all(f.read_text())]
    pods = [one["spec"]["template"] for one in all_ if one["kind"] in {"StatefulSet", "Deployment"}]
    labels = [pod["metadata"]["labels"] for pod in pods]
    for one in all_:
        if one["kind"] == "Service":
            wanted = one["spec"]["selector"].items()
            assert any(wanted <= label.items() for label in labels), one["metadata"]["name"]
    made = set(site_of(Kind.KUBERNETES, PLANS["three-rabbitmq"]).secrets)
    for pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        claims = {"data"}
        volumes = {one["name"] for one in spec["volumes"]} | claims
        for container in spec["containers"]:
            assert {one["name"] for one in container["volumeMounts"]} <= volumes
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        for volume in spec["volumes"]:
            items = volume.get("secret", {}).get("items", ())
            assert {one["key"] for one in items} <= made


def test_passwords_are_made_once_and_fit_each_other(tmp_path: Path) -> None:
    written(Kind.COMPOSE, "three-rabbitmq", tmp_path)
    assert run("/bin/sh", "make-secrets.sh", folder=tmp_path).returncode == 0
    secrets = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(made) == set(site_of(Kind.COMPOSE, PLANS["three-rabbitmq"]).secrets)
    assert secrets.stat().st_mode & 0o777 == 0o700
    import tomllib  # noqa: PLC0415

    urls = tomllib.loads(made["comporta_settings"])
    assert f":{made['postgres_password']}@" in urls["ledger"]
    (redis,) = re.findall(r"user comporta on >(\w+)", made["redis_acl"])
    assert f":{redis}@" in urls["state"]
    (rabbitmq,) = re.findall(r"default_pass = (\w+)", made["rabbitmq_conf"])
    assert f":{rabbitmq}@" in urls["log"]
    assert len({redis, rabbitmq, made["postgres_password"]}) == 3
    again = run("/bin/sh", "make-secrets.sh", folder=tmp_path)
    assert again.returncode != 0
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


def test_the_dockerfile_is_what_docker_understands(tmp_path: Path) -> None:
    written(Kind.DOCKERFILE, "one", tmp_path)
    text = (tmp_path / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    names = [word for word, _rest in steps]
    assert set(names) <= {
        *("FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "VOLUME", "EXPOSE"),
        *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    assert names.count("FROM") == 2
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")
    for word, rest in steps:
        if word in {"ENTRYPOINT", "CMD"}:
            assert isinstance(json.loads(rest), list)
    wanted = {source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]}
    ignored = (tmp_path / "Dockerfile.dockerignore").read_text().splitlines()
    for source in wanted - {"--from=build", "/opt/comporta"}:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
