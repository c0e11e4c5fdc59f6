"""A POST of JSON to an address that an operator wrote down, and the answer in words."""

from collections.abc import Mapping
from types import MappingProxyType

import aiohttp

from comporta.alerting.notify.message import ANSWER_CHARS_MAX, NotifyError
from comporta.destinations.http import USER_AGENT
from comporta.i18n import _

_BYTES_READ = 4096
_OK = 2


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What was answered, in a few words.

    Args:
        session: with a deadline of its own.
        url: may hold a secret, so it is in no message.
        body: JSON.
        headers: more of them.

    Raises:
        NotifyError: no answer, or none of success.
    """
    sent = {"content-type": "application/json", "user-agent": USER_AGENT, **headers}
    try:
        async with session.post(url, data=body, headers=sent, allow_redirects=False) as answer:
            said = (await answer.content.read(_BYTES_READ)).decode(errors="replace")
            status = answer.status
    except TimeoutError:
        raise NotifyError(_("no answer in time")) from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or type(error.os_error).__name__
        raise NotifyError(_("cannot connect: {reason}").format(reason=reason)) from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        # Their own words may name the whole address.
        said = _("the connection failed: {reason}").format(reason=type(error).__name__)
        raise NotifyError(said) from None
    words = f"HTTP {status} {' '.join(said.split())[:ANSWER_CHARS_MAX]}".strip()
    if status // 100 != _OK:
        raise NotifyError(words)
    return words
