"""Sends a notice, or a test message, to any kind of notifier, in the language it asks for."""

from types import TracebackType
from typing import Self

import aiohttp

from comporta.alerting import words
from comporta.alerting.config import Chatwoot, Email, Notifier, Plan, Slack, Telegram, Webhook
from comporta.alerting.model import Notice
from comporta.alerting.notify import chats, email, webhook
from comporta.alerting.notify.message import DEADLINE_S, Message
from comporta.i18n import _, current, speaking


class Notifiers:
    """The way to all notifiers; use it as a context, inside a running event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        self._session = aiohttp.ClientSession(
            timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def tell(self, to: Notifier, plan: Plan, notice: Notice, now_ms: int) -> str:
        """Send a notice; what was answered. Raises NotifyError."""
        with speaking(_language(to, plan)):
            message = Message(
                words.title(notice),
                words.text(notice, plan.calendar.local),
                now_ms,
                notice,
                {a.name: words.sentence(a.finding, plan.calendar.local) for a in notice.alerts},
            )
        return await self._send(to, message)

    async def test(self, to: Notifier, plan: Plan, now_ms: int) -> str:
        """Send a test message; what was answered. Raises NotifyError."""
        with speaking(_language(to, plan)):
            text = _("This is a test of the notifier {name}. Nothing is wrong.")
            message = Message(_("Comporta: test"), text.format(name=to.name), now_ms)
        return await self._send(to, message)

    async def _send(self, to: Notifier, message: Message) -> str:
        match to:
            case Webhook():
                return await webhook.send(self._session, to, message)
            case Slack():
                return await chats.slack(self._session, to, message)
            case Telegram():
                return await chats.telegram(self._session, to, message)
            case Chatwoot():
                return await chats.chatwoot(self._session, to, message)
            case Email():
                return await email.send(to, message)


def _language(to: Notifier, plan: Plan) -> str:
    return to.lang or plan.file.lang or current()
