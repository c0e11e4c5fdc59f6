"""Asks gateways for `/metrics`, all at once, and keeps the pages of the last half minute."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import aiohttp

from comporta.cli.desk import Desk
from comporta.cli.remote import Access
from comporta.cli.top_picture import View
from comporta.errors import ConfigError, RemoteError
from comporta.fleet.credentials import from_setting
from comporta.i18n import _
from comporta.telemetry.scraped import Found, parse
from comporta.urls import url_problem

PAGES_MAX = 16
"""With two seconds between them rates are over half a minute."""
PAGE_BYTES_MAX = 64 * 1024 * 1024
ANSWER_S = 5.0
_OK, _UNAUTHORIZED = 200, 401


class Watched:
    """One gateway.

    Args:
        url: of it, without `/metrics`.
        token: what it asks for; "" for nothing.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, token: str) -> None:
        if problem := url_problem(url):
            raise ConfigError(_("The gateway's URL cannot be used: {why}").format(why=problem))
        self.url = url.rstrip("/")
        self.error = ""
        """Why it could not be asked the last time, in words."""
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._pages: deque[tuple[float, Found]] = deque(maxlen=PAGES_MAX)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Get a new page; what it showed before is forgotten if it does not answer."""
        try:
            self._pages.append((time.monotonic(), parse(await self._page(session))))
            self.error = ""
        except RemoteError as error:
            self._pages.clear()
            self.error = str(error)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._pages.clear()
            said = _("The gateway at {url} does not answer: {reason}. Is it running?")
            reason = str(error) or _("no answer in time")
            self.error = said.format(url=self.url, reason=reason)
        except ValueError:
            self._pages.clear()
            self.error = _no_gateway(self.url, _OK)

    def view(self) -> View | None:
        """Its newest page, beside the oldest; None if it did not answer."""
        if not self._pages:
            return None
        (began_s, before), (now_s, now) = self._pages[0], self._pages[-1]
        return View(now, before, now_s - began_s) if now_s > began_s else View(now)

    async def _page(self, session: aiohttp.ClientSession) -> str:
        where, headers = f"{self.url}/metrics", self._headers
        async with session.get(where, headers=headers, allow_redirects=False) as answer:
            if answer.status == _UNAUTHORIZED:
                said = _("{url} shows its metrics to whoever has the token: set {variable}.")
                raise RemoteError(said.format(url=self.url, variable="COMPORTA_METRICS_TOKEN"))
            if answer.status != _OK:
                raise RemoteError(_no_gateway(self.url, answer.status))
            body = bytearray()
            async for part in answer.content.iter_any():
                body += part
                if len(body) > PAGE_BYTES_MAX:
                    raise RemoteError(_("The gateway's answer is far too large."))
            return body.decode()


async def ask_all(gateways: Sequence[Watched]) -> None:
    """Ask them all at the same time."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
        for one in gateways:
            tasks.create_task(one.ask(session))


def token_for(desk: Desk, urls: Sequence[str]) -> str:
    """The token of the settings, with a warning if somebody on the way could read it."""
    token = from_setting(desk.settings.metrics_token.get_secret_value())
    if token and not all(Access(one, token).is_private for one in urls):
        desk.screen.note(_("Warning: the token travels unencrypted; use https://"))
    return token


def _no_gateway(url: str, status: int) -> str:
    said = _("{url} answers with HTTP {status}, not as a gateway does. Is the URL right?")
    return said.format(url=url, status=status)
