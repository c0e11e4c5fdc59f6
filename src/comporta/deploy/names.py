"""What may stand in a configuration file: names, hosts, networks and paths, by strict patterns.

Each function returns its text in the form that is written, or refuses it in words. Nothing that
passes contains a space, a quote, a line break, or a sign that means something to a program.
"""

import ipaddress
import re
from typing import Final

from comporta.errors import ConfigError
from comporta.i18n import _

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAME: Final = re.compile(_LABEL)
_HOST_CHARS_MAX: Final = 253
_SHOWN_CHARS_MAX: Final = 60
_PORT_MAX: Final = 65_535
_PORT_DIGITS_MAX: Final = 5


def a_domain(text: str) -> str:
    """A name that Chatwoot can call, in lower case: `hooks.example.com`.

    Raises:
        ConfigError: it is not one.
    """
    name = text.lower()
    if _is_host(name) and "." in name and not _address(name) and not name[-1].isdigit():
        return name
    said = _(
        '"{value}" is not a domain name. Give the name that Chatwoot calls, such as '
        "hooks.example.com; one with other letters in its form that begins with xn--."
    )
    raise ConfigError(said.format(value=_shown(text)))


def a_server(text: str, port: int) -> tuple[str, str, int]:
    """`NAME=HOST[:PORT]` → name, host (without brackets) and port.

    Raises:
        ConfigError: a part of it is missing or cannot stand in a file.
    """
    name, equals, place = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        said = _(
            '"{value}" does not begin with a server\'s name and =. A name has up to 63 small '
            "letters, digits and hyphens, as in server-1=10.0.0.11."
        )
        raise ConfigError(said.format(value=_shown(text)))
    host, given = _split(place)
    address = _address(host)
    if not (address or _is_host(host)) or (address is None and host[-1:].isdigit() and "." in host):
        said = _('"{value}" names no host: give an address or a name after =, as in {example}.')
        raise ConfigError(said.format(value=_shown(text), example="server-1=10.0.0.11"))
    return name, str(address or host), _port(given, text) if given is not None else port


def a_network(text: str) -> str:
    """An address or a network, in its short form: `10.0.0.0/24`, `fd00::1`.

    Raises:
        ConfigError: it is neither, has bits beside its mask, or would be all addresses.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        said = _(
            '"{value}" is neither an address nor a network. Write 10.0.0.5, 10.0.0.0/24 or '
            "fd00::/64, with zeros behind the mask."
        )
        raise ConfigError(said.format(value=_shown(text))) from None
    if network.prefixlen == 0 or "%" in text:
        said = _('"{value}" would believe everybody. Name those that stand in front.')
        raise ConfigError(said.format(value=_shown(text)))
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def is_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, and no name."""
    return _address(host) is not None


def _split(place: str) -> tuple[str, str | None]:
    """Host and port as text; None where no port is given."""
    if place.startswith("["):
        host, _bracket, rest = place[1:].partition("]")
        return host, rest.removeprefix(":") if rest else None
    if place.count(":") > 1:  # an IPv6 address alone
        return place, None
    host, colon, port = place.partition(":")
    return host.lower(), port if colon else None


def _port(text: str, whole: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS_MAX:
        port = int(text)
        if 0 < port <= _PORT_MAX:
            return port
    said = _('The port in "{value}" must be a number from 1 to 65535.')
    raise ConfigError(said.format(value=_shown(whole)))


def _is_host(text: str) -> bool:
    return len(text) <= _HOST_CHARS_MAX and _HOST.fullmatch(text) is not None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _shown(text: str) -> str:
    """As much of it as fits into a message, without what could disturb a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text[:_SHOWN_CHARS_MAX])
