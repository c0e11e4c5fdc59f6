"""The port of a server: taken from systemd or bound, and closed so that nobody is lost at the door.

To close a port resets every connection that the kernel has completed and nobody has accepted yet: a
balancer has sent its request by then, and may not send it to another server. So the door is closed
first (the kernel drops requests for new connections, which clients repeat a second later), those
who are in the queue are let in, and only then the port is closed. From that moment on connections
are refused, and a balancer goes to the next server.
"""

import socket
import time
from collections.abc import Iterator

from comporta.errors import ComportaError
from comporta.i18n import _

FIRST_INHERITED = 3
"""Where systemd puts the first socket: sd_listen_fds(3)."""
SETTLE_S = 0.02
"""For connections whose handshake is under way when the door is closed."""
POLL_S = 0.005
QUEUE_S_MAX = 2.0
_HOPS_MIN = ((socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73))
"""IP_MINTTL and IPV6_MINHOPCOUNT of linux/in.h and in6.h: with fewer hops left, one is not heard.

What is meant against strangers on far networks keeps everybody out at its highest value, as Linux
sends with 64. A filter (SO_ATTACH_FILTER) would say it better, but newer kernels let only an
administrator of the network attach one.
"""
_HOPS_MAX = 255
_UNACKED_AT = 24
"""In struct tcp_info (linux/tcp.h); of a port that listens: how many wait to be accepted."""


def inherited(count: str | None, pid: str | None, own_pid: int) -> list[socket.socket]:
    """The sockets that systemd has opened for this process; they stay open when it ends.

    Args:
        count: the environment's LISTEN_FDS.
        pid: the environment's LISTEN_PID.
        own_pid: of this process.
    """
    if not count or not count.isdigit() or pid != str(own_pid):
        return []
    last = FIRST_INHERITED + min(int(count), 64)
    return [socket.socket(fileno=number) for number in range(FIRST_INHERITED, last)]


def bound(host: str, port: int) -> socket.socket:
    """The port, ours from now on; nobody is let in before it listens.

    Raises:
        ComportaError: it cannot be had.
    """
    port_socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    port_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        port_socket.bind((host, port))
    except OSError as error:
        port_socket.close()
        said = _(
            "Cannot listen at {host}:{port}: {reason}. Stop what listens there, or choose "
            "another port with --port."
        )
        reason = (error.strerror or str(error)).lower()
        raise ComportaError(said.format(host=host, port=port, reason=reason)) from None
    port_socket.set_inheritable(True)
    return port_socket


def closing(port_socket: socket.socket) -> Iterator[float]:
    """Close the door and wait for the queue: yields seconds to rest between looks.

    Somebody has to accept meanwhile; whoever holds the socket closes it afterwards.
    """
    _hear_from(port_socket, _HOPS_MAX)
    ends_at = time.monotonic() + QUEUE_S_MAX
    yield SETTLE_S
    while _queue(port_socket) and time.monotonic() < ends_at:
        yield POLL_S


def let_in(connection: socket.socket) -> None:
    """Hear a connection that was being made when the door was closed: it has inherited that."""
    _hear_from(connection, 0)


def _hear_from(one: socket.socket, hops: int) -> None:
    """Hear what comes with that many hops left or more; a port of IPv6 may take IPv4 in, too."""
    families = {socket.AF_INET: 1, socket.AF_INET6: 2}.get(socket.AddressFamily(one.family), 0)
    for level, option in _HOPS_MIN[:families]:
        one.setsockopt(level, option, hops)


def _queue(port_socket: socket.socket) -> int:
    info = port_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_AT + 4)
    return int.from_bytes(info[_UNACKED_AT:], "little")
