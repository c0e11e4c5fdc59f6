"""What to run once the files are written, one shell command a line. Pure."""

from pathlib import Path

from comporta.deploy.kinds import Kind


def steps(kind: Kind, folder: Path) -> tuple[str, ...]:
    """The next commands, as root, on the machine that the files are for.

    Args:
        kind: what was written.
        folder: where.
    """
    match kind:
        case Kind.NGINX:
            return (
                f"cp {folder}/comporta.conf /etc/nginx/conf.d/",
                "nginx -t && systemctl reload nginx",
            )
        case Kind.HAPROXY:
            return (
                f"cp {folder}/haproxy.cfg /etc/haproxy/haproxy.cfg",
                "haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
            )
        case Kind.CADDY:
            return (
                f"cp {folder}/Caddyfile /etc/caddy/Caddyfile",
                "caddy validate --config /etc/caddy/Caddyfile && systemctl reload caddy",
            )
