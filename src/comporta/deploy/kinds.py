"""The kinds of deployment: which files each consists of, and for which plans it is meant."""

from collections.abc import Mapping
from enum import StrEnum

from comporta.deploy.site import Site
from comporta.errors import ConfigError
from comporta.i18n import _


class Kind(StrEnum):
    """What `comporta deploy` can write."""

    NGINX = "nginx"
    HAPROXY = "haproxy"
    CADDY = "caddy"


def files_of(kind: Kind, site: Site) -> Mapping[str, str]:
    """Path below the folder → template.

    Raises:
        ConfigError: this kind cannot do what the plan asks for, or needs to know more.
    """
    if not site.domain:
        said = _("Name the domain that Chatwoot calls, like this: --domain hooks.example.com")
        raise ConfigError(said)
    if kind is Kind.CADDY and site.several:
        said = _("Caddy is for one server here. For several, use nginx or haproxy.")
        raise ConfigError(said)
    match kind:
        case Kind.NGINX:
            return {"comporta.conf": "nginx/comporta.conf.j2"}
        case Kind.HAPROXY:
            return {"haproxy.cfg": "haproxy/haproxy.cfg.j2"}
        case Kind.CADDY:
            return {"Caddyfile": "caddy/Caddyfile.j2"}
