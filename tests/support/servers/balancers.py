"""nginx, HAProxy and Caddy for tests, each with what `comporta deploy` writes, as it is.

Only what is a place of this machine differs: ports, the certificate, folders. Nothing is edited.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support.certificates import make_certificate
from tests.support.servers.program import Program, free_port, listens, required

from comporta.deploy.checked import site
from comporta.deploy.kinds import Kind
from comporta.deploy.plan import Plan
from comporta.deploy.render import files
from comporta.deploy.site import Places

DOMAIN = "hooks.example.com"
ONE = Plan(1, 3, 1, 2, "sqlite", "sqlite", "sqlite", 16, 7, 4.0)
TWO = Plan(3, 30, 2, 2, "redis", "postgresql", "redis", 16, 7, 4.0)
PACKAGES = {Kind.NGINX: "nginx-light", Kind.HAPROXY: "haproxy", Kind.CADDY: "caddy"}
_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/other.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/temporary;
    include {folder}/comporta.conf;
}}
"""

_USER = "user root root;" if os.geteuid() == 0 else ""
"""Its workers must get into a folder of the tests, which are of whoever runs them."""


class Balancer:
    """One balancer's process.

    Args:
        kind: which.
        folder: its own.
        plan: of the servers behind it.
        servers: `NAME=HOST:PORT` of each.
        behind: networks in front of it.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        plan: Plan,
        servers: Sequence[str],
        behind: Sequence[str] = (),
    ) -> None:
        self._binary = required(kind.value, PACKAGES[kind])
        self.kind, self.folder = kind, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = free_port(), free_port()
        self.site = site(plan, DOMAIN, servers, behind, self._places())
        for path, text in files(kind, self.site, "en").items():
            (folder / path).write_text(text)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=_USER))
        self._program = Program(
            self._command(), folder, lambda: listens(self.port), self._environment()
        )
        self.start, self.stop = self._program.start, self._program.stop

    def check(self) -> subprocess.CompletedProcess[str]:
        """What the program itself says of its configuration."""
        command = {
            Kind.NGINX: [*self._command(), "-t"],
            Kind.HAPROXY: [*self._command(), "-c"],
            Kind.CADDY: [self._binary, "validate", "--config", "Caddyfile"],
        }[self.kind]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def logs(self) -> str:
        """All that it has written down anywhere."""
        paths = [path for path in self.folder.glob("*.log") if path.is_file()]
        return "".join(path.read_text(errors="replace") for path in paths)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _places(self) -> Places:
        certificate, key = (path.read_bytes() for path in make_certificate(self.folder, DOMAIN))
        (self.folder / "fullchain.pem").write_bytes(certificate)
        (self.folder / "privkey.pem").write_bytes(key)
        (self.folder / "both.pem").write_bytes(certificate + key)
        tls = self.folder / "both.pem" if self.kind is Kind.HAPROXY else self.folder
        return Places(self.port, self.tls_port, str(tls), str(self.folder), str(self.folder))

    def _command(self) -> list[str]:
        return {
            Kind.NGINX: [
                self._binary,
                "-p",
                str(self.folder),
                "-c",
                str(self.folder / "nginx.conf"),
            ],
            Kind.HAPROXY: [self._binary, "-f", "haproxy.cfg"],
            Kind.CADDY: [self._binary, "run", "--config", "Caddyfile"],
        }[self.kind]

    def _environment(self) -> dict[str, str]:
        home = {name: str(self.folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        return {**home, "CADDY_ADMIN": f"127.0.0.1:{free_port()}"}
