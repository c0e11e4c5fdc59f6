"""A webhook: the notice as JSON, signed as Standard Webhooks does it."""

import secrets

import aiohttp
from msgspec import json

from comporta.alerting.config import Webhook
from comporta.alerting.model import Alert
from comporta.alerting.notify.message import Message
from comporta.alerting.notify.posting import post
from comporta.destinations.signing import key_of, signature


async def send(session: aiohttp.ClientSession, to: Webhook, message: Message) -> str:
    """What was answered. Raises NotifyError."""
    body = json.encode(document(message))
    id_, at_s = f"msg_{secrets.token_hex(8)}", message.at_ms // 1000
    headers = {"webhook-id": id_, "webhook-timestamp": str(at_s)}
    if to.secret:
        headers["webhook-signature"] = signature(key_of(to.secret), id_, at_s, body)
    return await post(session, to.url, body, headers)


def document(message: Message) -> dict[str, object]:
    """What a program reads; described in docs/alerts.md."""
    notice = message.notice
    return {
        "type": "alerts" if notice.alerts else "test",
        "at_ms": message.at_ms,
        "title": message.title,
        "text": message.text,
        "opened": [_alert(one, message) for one in notice.opened],
        "again": [_alert(one, message) for one in notice.again],
        "resolved": [_alert(one, message) for one in notice.resolved],
    }


def _alert(one: Alert, message: Message) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.finding.kind,
        "subject": one.finding.subject,
        "severity": one.finding.severity,
        "opened_at_ms": one.opened_at_ms,
        "resolved_at_ms": one.resolved_at_ms,
        "text": message.sentences.get(one.name, ""),
    }
