"""The kinds of deployment: which files each consists of, and for which plans it is meant."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from comporta.deploy.site import Site
from comporta.errors import ConfigError
from comporta.i18n import _


class Kind(StrEnum):
    """What `comporta deploy` can write."""

    NGINX = "nginx"
    HAPROXY = "haproxy"
    CADDY = "caddy"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    SWARM = "swarm"
    KUBERNETES = "kubernetes"
    DOCKERFILE = "dockerfile"


ADDRESSED: Final = frozenset((Kind.NGINX, Kind.HAPROXY, Kind.CADDY, Kind.SYSTEMD))
"""Those for servers that are machines, whose addresses have to be known."""
_ONE_FILE: Final = {
    Kind.NGINX: {"comporta.conf": "nginx/comporta.conf.j2"},
    Kind.HAPROXY: {"haproxy.cfg": "haproxy/haproxy.cfg.j2"},
    Kind.CADDY: {"Caddyfile": "caddy/Caddyfile.j2"},
    Kind.DOCKERFILE: {
        "Dockerfile": "dockerfile/Dockerfile.j2",
        "Dockerfile.dockerignore": "dockerfile/dockerignore.j2",
    },
}
_SECRETS: Final = {"make-secrets.sh": "container/make-secrets.sh.j2"}


def files_of(kind: Kind, site: Site) -> Mapping[str, str]:
    """Path below the folder → template.

    Raises:
        ConfigError: this kind cannot do what the plan asks for, or needs to know more.
    """
    if not site.domain and kind is not Kind.DOCKERFILE:
        said = _("Name the domain that Chatwoot calls, like this: --domain hooks.example.com")
        raise ConfigError(said)
    secrets = _SECRETS if site.secret else {}
    match kind:
        case Kind.CADDY if site.several:
            said = _("Caddy is for one server here. For several, use nginx or haproxy.")
            raise ConfigError(said)
        case Kind.SYSTEMD:
            return _systemd(site)
        case Kind.COMPOSE:
            _no_engine(site)
            return {"compose.yaml": "compose/compose.yaml.j2"} | secrets
        case Kind.SWARM:
            return {"stack.yaml": "swarm/stack.yaml.j2"} | secrets
        case Kind.KUBERNETES:
            return _kubernetes(site) | secrets
        case _:
            return _ONE_FILE[kind]


def _systemd(site: Site) -> dict[str, str]:
    units = ["comporta.service", "comporta-dispatch.service"]
    if not site.several:
        units.append("comporta.socket")
    found = {name: f"systemd/{name}.j2" for name in (*units, "comporta.toml")}
    if site.several:
        found |= {f"{server.name}.env": "systemd/server.env.j2" for server in site.servers}
    return found


def _kubernetes(site: Site) -> dict[str, str]:
    names = ["namespace", "comporta", "network", "ingress"]
    if site.engines:
        names.insert(1, "engines")
    if site.several:
        names.append("keda")
    return {f"{name}.yaml": f"kubernetes/{name}.yaml.j2" for name in names}


def _no_engine(site: Site) -> None:
    """In one file for Compose, servers and engines are services beside each other."""
    twice = next((one.name for one in site.servers if one.name in site.engines), None)
    if twice is not None:
        said = _('A server cannot be called "{name}": an engine is. Give it another name.')
        raise ConfigError(said.format(name=twice))
