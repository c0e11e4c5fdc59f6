"""Machines for tests: each with a network address, a file system that only it writes to, and
Debian's programs, all of them in namespaces of this machine. What is done in one is gone with it.

It knows nothing about the gateway. It needs root and Linux; without, a test skips loudly.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.support.servers.program import missing, required

ROOT: Final = Path(__file__).resolve().parents[3]
START_S: Final = 10.0
_HERE: Final = Path(__file__).resolve().parent
# The file system is this machine's with a layer of its own above it; the checkout as well, where
# operators have theirs, and where the virtual environment expects to be.
_HOST = """
set -eu
mount --make-rprivate /
layer=$(mktemp -d) && mount -t tmpfs tmpfs "$layer" && cd "$layer"
mkdir root upper work opt-upper opt-work
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t tmpfs tmpfs root/run && mount -t tmpfs tmpfs root/tmp && chmod 1777 root/tmp
chmod o+x root/root  # where Python may be
mkdir -p root/opt/comporta "root{checkout}" && mount --bind "{checkout}" "root{checkout}"
options="lowerdir={checkout},upperdir=opt-upper,workdir=opt-work"
mount -t overlay overlay -o "$options" root/opt/comporta
for one in proc sys dev; do mount --rbind "/$one" "root/$one"; done
rm -f root/usr/bin/systemctl root/usr/bin/ssh root/usr/bin/scp root/usr/bin/apt-get
cp "{here}"/bin/* root/usr/bin/
mkdir -p root/run/lab root/etc/lab root/run/postgresql
chown postgres root/run/postgresql
ip link set lo up
hostname {name}
exec chroot root sh -c 'echo ready && exec sleep infinity'
"""
_TERMINAL = """
trap 'pwd > /run/lab/terminal' EXIT
cd "$(cat /run/lab/terminal 2>/dev/null || echo /root)"
"""
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "COLUMNS": "100",
    "PYTHONPATH": "/opt/comporta/src",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SSL_CERT_FILE": "/etc/lab/ca.pem",
}


class Done(NamedTuple):
    """What a command came to. `output`: both of its streams."""

    code: int
    output: str


class Host:
    """One machine, while its lab is there."""

    def __init__(self, name: str, address: str, pid: int) -> None:
        self.name, self.address, self._pid = name, address, pid
        self.environment = dict(_ENVIRONMENT)

    def run(self, code: str, within_s: float = 60.0) -> Done:
        """Run these lines with bash, as root, where the last ones were; a failure ends them.

        Raises:
            subprocess.TimeoutExpired: they did not end in time.
        """
        command = (*self._enter, "bash", "-euo", "pipefail", "-c", _TERMINAL + code)
        # Not a pipe: what is left in the background would keep it open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                timeout=within_s,
                check=False,
            )
            output.seek(0)
            return Done(done.returncode, output.read().decode(errors="replace"))

    def write(self, path: str, text: str) -> None:
        """Put a file there, with the folders above it."""
        file = self._root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        """What is in one of its files."""
        return (self._root / path.lstrip("/")).read_text()

    @property
    def inner_pid(self) -> int:
        """Its first process, as the machines of the lab see it."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
        return int(line.split()[-1])

    @property
    def _root(self) -> Path:
        return Path(f"/proc/{self._pid}/root")

    @property
    def _enter(self) -> tuple[str, ...]:
        spaces = ("--net", "--mount", "--uts", "--pid")
        return ("nsenter", "-t", str(self._pid), *spaces, "--root", "--wd", "--")


class Lab:
    """A network with machines on it; all that runs there ends with it.

    Args:
        addresses: name → address, all in one /24.
        names: more names for /etc/hosts → address.
    """

    def __init__(self, addresses: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._addresses, self._names = addresses, {**addresses, **names}
        self.hosts: dict[str, Host] = {}
        self._lan: subprocess.Popen[bytes] | None = None
        self._starters: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        required("ip", "iproute2")
        if os.geteuid() != 0:
            missing("machines of a lab need root, for their namespaces")
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._lan = subprocess.Popen([*command, "sleep", "infinity"])
        try:
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._end()

    def _build(self) -> None:
        assert self._lan is not None
        self._pid = _child(self._lan.pid)
        if not self._pid:
            missing("namespaces cannot be made here, so there are no machines for a lab")
        self._ip("link add lan type bridge")
        self._ip("link set lan up")
        hosts = "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in self._names.items())
        for number, (name, address) in enumerate(self._addresses.items()):
            pid = self._start(name)
            self._plug(number, pid, address)
            self.hosts[name] = Host(name, address, pid)
            self.hosts[name].write("/etc/hosts", hosts)
        for host in self.hosts.values():
            for peer in self.hosts.values():
                host.write(f"/etc/lab/{peer.name}", f"{peer.inner_pid}\n")

    def _start(self, name: str) -> int:
        script = _HOST.format(checkout=ROOT, here=_HERE, name=name)
        spaces = ("--net", "--mount", "--uts")
        command = ["nsenter", "-t", str(self._pid), "--net", "--mount", "--pid", "--"]
        command += ["unshare", *spaces, "sh", "-c", script]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._starters.append(process)
        assert process.stdout is not None
        with process.stdout as output:
            said = output.readline()
        if said != b"ready\n":
            missing(f"a machine of the lab does not start: {said.decode()}")
        return _child(process.pid)

    def _plug(self, number: int, pid: int, address: str) -> None:
        self._ip(f"link add v{number} type veth peer name eth0 netns {pid}")
        self._ip(f"link set v{number} master lan up")
        inside = ("nsenter", "-t", str(pid), "--net", "ip")
        subprocess.run([*inside, "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)

    def _ip(self, words: str) -> None:
        command = ("nsenter", "-t", str(self._pid), "--net", "ip", *words.split())
        subprocess.run(command, check=True)

    def _end(self) -> None:
        assert self._lan is not None
        self._lan.send_signal(signal.SIGKILL)  # its child is the first of its processes: all end
        for process in (self._lan, *self._starters):
            process.wait()


def _child(pid: int) -> int:
    """The pid of its only child, as soon as there is one; 0 if it has ended instead."""
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at:
        try:
            found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return 0
        if found:
            return int(found[0])
        if state == "Z":
            return 0
        time.sleep(0.01)
    return 0
