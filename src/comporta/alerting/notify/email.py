"""E-mail over SMTP, in a thread: the standard library's client waits where it stands."""

import asyncio
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from comporta.alerting.config import Email
from comporta.alerting.notify.message import ANSWER_CHARS_MAX, DEADLINE_S, Message, NotifyError
from comporta.i18n import _

STEP_S = 10.0
"""For each step of the conversation; the whole has `DEADLINE_S`."""


async def send(to: Email, message: Message) -> str:
    """What was answered. Raises NotifyError."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.to_thread(_send, to, _mail(to, message))
    except TimeoutError:
        raise NotifyError(_("no answer in time")) from None
    except smtplib.SMTPResponseException as error:
        answer = error.smtp_error
        said = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
        raise NotifyError(f"SMTP {error.smtp_code} {said}"[:ANSWER_CHARS_MAX]) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = next(iter(error.recipients.values()))
        raise NotifyError(f"SMTP {code} {answer.decode(errors='replace')}") from None
    except ssl.SSLError as error:
        said = _("TLS failed: {reason}").format(reason=error.reason)
        raise NotifyError(said) from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NotifyError(_("cannot connect: {reason}").format(reason=reason)) from None


def _mail(to: Email, message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = to.sender, ", ".join(to.to), message.title
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at_ms / 1000, UTC))
    mail["Message-ID"] = make_msgid(domain=to.sender.rpartition("@")[2].rstrip(">") or "comporta")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _send(to: Email, mail: EmailMessage) -> str:
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(to.host, to.port, timeout=STEP_S, context=context)
        if to.tls == "tls"
        else smtplib.SMTP(to.host, to.port, timeout=STEP_S)
    ) as client:
        if to.tls == "starttls":
            client.starttls(context=context)
        if to.user:
            client.login(to.user, to.password)
        refused = client.send_message(mail)
    if refused:
        code, said = next(iter(refused.values()))
        raise smtplib.SMTPResponseException(code, said)
    return _("handed to {host}").format(host=to.host)
