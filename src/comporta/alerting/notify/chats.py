"""Slack, Telegram, and a conversation in Chatwoot: the notice as text, in each one's own call."""

import aiohttp
from msgspec import json

from comporta.alerting.config import Chatwoot, Slack, Telegram
from comporta.alerting.notify.message import Message
from comporta.alerting.notify.posting import post

TELEGRAM_CHARS_MAX = 4000
"""It takes 4096: https://core.telegram.org/bots/api#sendmessage"""
SLACK_CHARS_MAX = 3900


async def slack(session: aiohttp.ClientSession, to: Slack, message: Message) -> str:
    """What was answered. Raises NotifyError."""
    # Slack reads these three as the beginning of a mark.
    text = _lines(message, SLACK_CHARS_MAX)
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(letter, entity)
    return await post(session, to.url, json.encode({"text": text}))


async def telegram(session: aiohttp.ClientSession, to: Telegram, message: Message) -> str:
    """What was answered. Raises NotifyError."""
    body = json.encode({"chat_id": to.chat, "text": _lines(message, TELEGRAM_CHARS_MAX)})
    return await post(session, f"{to.url.rstrip('/')}/bot{to.token}/sendMessage", body)


async def chatwoot(session: aiohttp.ClientSession, to: Chatwoot, message: Message) -> str:
    """What was answered. Raises NotifyError."""
    where = f"/api/v1/accounts/{to.account}/conversations/{to.conversation}/messages"
    content = {"content": _lines(message), "message_type": "outgoing", "private": to.private}
    headers = {"api_access_token": to.token}
    return await post(session, to.url.rstrip("/") + where, json.encode(content), headers)


def _lines(message: Message, chars_max: int = 20_000) -> str:
    text = f"{message.title}\n\n{message.text}"
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
