"""What to run once the files are written, one shell command a line. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from comporta.deploy.kinds import Kind
from comporta.deploy.site import Site


def steps(kind: Kind, site: Site, folder: str) -> tuple[str, ...]:
    """The next commands, as root, on the machine that the files are for.

    Words in capitals are for the reader to fill in.

    Args:
        kind: what was written.
        site: for what.
        folder: where, as a shell reads it.
    """
    lines = _ALWAYS.get(kind) or _BY_SITE[kind](site)
    return tuple(line.format(folder=folder) for line in lines)


def _systemd(site: Site) -> list[str]:
    settings = "install -m 640 -g comporta {folder}/comporta.toml /opt/comporta/"
    if not site.several:
        return [
            settings,
            "cp {folder}/*.service {folder}/*.socket /etc/systemd/system/",
            "systemctl daemon-reload && systemctl enable --now comporta.socket comporta.service",
        ]
    return [
        settings,
        "install -D -m 644 {folder}/NAME.env /etc/comporta/server.env",
        "install -m 640 -g comporta KEY /etc/comporta/key",
        "cp {folder}/*.service /etc/systemd/system/",
        "systemctl daemon-reload && systemctl enable --now comporta.service",
    ]


def _compose(site: Site) -> list[str]:
    return [*_secrets(site), "docker compose -f {folder}/compose.yaml up --detach --wait"]


def _swarm(site: Site) -> list[str]:
    return [
        *_secrets(site),
        *(f"docker secret create {name} {{folder}}/secrets/{name}" for name in site.secrets),
        "docker node update --label-add comporta-data=true NODE",
        "IMAGE=REGISTRY/comporta:1 docker stack deploy -c {folder}/stack.yaml comporta",
    ]


def _kubernetes(site: Site) -> list[str]:
    create = "kubectl -n comporta create secret generic comporta --from-file={folder}/secrets/"
    return [
        *_secrets(site),
        "kubectl apply -f {folder}/namespace.yaml",
        *([create] if site.secret else []),
        "kubectl apply -f {folder}/",
    ]


def _secrets(site: Site) -> list[str]:
    return ["sh {folder}/make-secrets.sh"] if site.secret else []


_ALWAYS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.NGINX: (
        "cp {folder}/comporta.conf /etc/nginx/conf.d/",
        "nginx -t && systemctl reload nginx",
    ),
    Kind.HAPROXY: (
        "cp {folder}/haproxy.cfg /etc/haproxy/haproxy.cfg",
        "haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
    ),
    Kind.CADDY: (
        "cp {folder}/Caddyfile /etc/caddy/Caddyfile",
        "caddy validate --config /etc/caddy/Caddyfile && systemctl reload caddy",
    ),
    Kind.DOCKERFILE: ("docker build -f {folder}/Dockerfile -t comporta:latest /opt/comporta",),
}
_BY_SITE: Final[Mapping[Kind, Callable[[Site], list[str]]]] = {
    Kind.SYSTEMD: _systemd,
    Kind.COMPOSE: _compose,
    Kind.SWARM: _swarm,
    Kind.KUBERNETES: _kubernetes,
}
