"""Where deliveries never go: link-local and cloud metadata addresses, whatever a name resolves to.

Private networks are allowed, for n8n in the next container is the common case. The check is made on
the addresses that are really connected to, so a name that changes its mind is caught as well.
"""

import ipaddress
from socket import AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)


def forbidden(address: str) -> bool:
    """True for an address that deliveries must not go to; False for what is not an address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_link_local or ip.is_multicast or ip in _METADATA


class ForbiddenAddressError(OSError):
    """The destination's address is one that deliveries never go to."""


class GuardedResolver(AbstractResolver):
    """The system's resolver, without the forbidden addresses."""

    def __init__(self) -> None:
        self._inner = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises ForbiddenAddressError if all of them are forbidden."""
        found = await self._inner.resolve(host, port, family)
        allowed = [result for result in found if not forbidden(result["host"])]
        if found and not allowed:
            raise ForbiddenAddressError(f"{host} is a link-local or metadata address")
        return allowed

    async def close(self) -> None:
        """Let go of the system's resolver."""
        await self._inner.close()
