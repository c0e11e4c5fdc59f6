"""Every kind of notifier brings its message to a real server, and says why if it cannot."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from tests.support.certificates import make_certificate
from tests.support.ears import Ears, Mailbox, ears

from comporta.alerting.calendar import PlaceCalendar
from comporta.alerting.config import (
    AlertFile,
    Chatwoot,
    Email,
    Notifier,
    Plan,
    Slack,
    Telegram,
    Webhook,
)
from comporta.alerting.model import Alert, Finding, Kind, Notice, Severity
from comporta.alerting.notify.message import NotifyError
from comporta.alerting.notify.sending import Notifiers
from comporta.clock import now_ms

NOW_MS = now_ms()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PLAN = Plan(AlertFile(), PlaceCalendar("America/Sao_Paulo", "BR"))
SILENT = Alert(
    Finding(Kind.SILENCE, "loja-sp", Severity.WARNING, {"since_ms": NOW_MS}),
    NOW_MS,
    NOW_MS,
    opened_at_ms=NOW_MS,
)
NOTICE = Notice(opened=(SILENT,))


def told(to: Callable[[str], Notifier], **how: str | int) -> Ears:
    """What a server has heard after a notice."""

    async def run() -> Ears:
        async with ears() as one, Notifiers() as notifiers:
            for name, value in how.items():
                setattr(one, name, value)
            await notifiers.tell(to(one.url), PLAN, NOTICE, now_ms())
            return one

    return asyncio.run(run())


def refused(to: Notifier) -> str:
    """Why a test message could not be sent."""

    async def run() -> str:
        async with Notifiers() as notifiers:
            with pytest.raises(NotifyError) as caught:
                await notifiers.test(to, PLAN, NOW_MS)
            return str(caught.value)

    return asyncio.run(run())


def test_a_webhook_gets_json_that_is_signed_as_standard_webhooks_does() -> None:
    heard = told(lambda url: Webhook("ops", f"{url}/hook", SECRET)).heard[0]
    Verifier(SECRET).verify(heard.body, heard.headers)
    assert heard.path == "/hook"
    assert heard.json["type"] == "alerts"
    opened = heard.json["opened"][0]
    assert (opened["name"], opened["severity"]) == ("silence:loja-sp", "warning")
    assert opened["text"].startswith("Nothing has come from loja-sp since 2")


def test_slack_gets_its_text_without_marks() -> None:
    heard = told(lambda url: Slack("ops", f"{url}/services/x")).heard[0]
    assert heard.json["text"].startswith("Comporta: silence:loja-sp\n\nWarning: Nothing has come")
    assert "<" not in heard.json["text"]


def test_telegram_gets_a_message_for_the_chat_in_the_language_of_the_notifier() -> None:
    to = lambda url: Telegram("ops", "12:abc", "-100", url, lang="pt_BR")  # noqa: E731
    heard = told(to).heard[0]
    assert heard.path == "/bot12:abc/sendMessage"
    assert heard.json["chat_id"] == "-100"
    assert "loja-sp" in heard.json["text"]
    assert "Nothing has come" not in heard.json["text"]


def test_chatwoot_gets_a_private_note_in_the_conversation() -> None:
    heard = told(lambda url: Chatwoot("ops", url, "tok", 3, 42)).heard[0]
    assert heard.path == "/api/v1/accounts/3/conversations/42/messages"
    assert heard.headers["api_access_token"] == "tok"
    assert heard.json["private"] is True
    assert heard.json["message_type"] == "outgoing"


def test_what_is_refused_is_said_with_the_answer_and_without_secrets() -> None:
    async def run() -> str:
        async with ears() as one, Notifiers() as notifiers:
            one.status, one.answer = 403, "bot was\nblocked " + "x" * 5000
            with pytest.raises(NotifyError) as caught:
                await notifiers.test(Telegram("t", "12:abc", "1", one.url), PLAN, NOW_MS)
            return str(caught.value)

    said = asyncio.run(run())
    assert said.startswith("HTTP 403 bot was blocked xxx")
    assert len(said) < 300
    assert "12:abc" not in said


@pytest.mark.parametrize("status", [301, 500])
def test_redirects_are_not_followed_and_failures_are_failures(status: int) -> None:
    with pytest.raises(NotifyError, match=f"HTTP {status}"):
        told(lambda url: Slack("ops", url), status=status)


def test_who_cannot_be_reached_is_said_without_the_address() -> None:
    said = refused(Slack("ops", "http://127.0.0.1:1/secret-path"))
    assert said.startswith("cannot connect")
    assert "secret-path" not in said


# E-mail


def mailed(box: Mailbox, to: Callable[[int], Email]) -> str:
    async def run() -> str:
        async with box.open(), Notifiers() as notifiers:
            return await notifiers.tell(to(box.port), PLAN, NOTICE, NOW_MS)

    return asyncio.run(run())


def test_an_e_mail_is_handed_over_in_the_clear_where_that_is_asked_for() -> None:
    box = Mailbox()
    people = ("ana@example.org", "rui@example.org")
    said = mailed(
        box,
        lambda port: Email("m", "127.0.0.1", "g@example.org", people, port, "none", lang="pt_BR"),
    )
    assert said == "handed to 127.0.0.1"
    mail = message_from_bytes(box.mails[0].removesuffix(b"\r\n.\r\n"), policy=policy.default)
    assert mail["To"] == "ana@example.org, rui@example.org"
    assert mail["Subject"] == "Comporta: silence:loja-sp"
    assert mail["Date"] is not None
    assert "loja-sp" in mail.get_content()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_an_e_mail_and_its_password_travel_encrypted(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    box = Mailbox(context, implicit=tls == "tls")
    plain = Email("m", "localhost", "g@example.org", ("a@example.org",), user="gate", password="pw")

    def to(port: int) -> Email:
        return msgspec.structs.replace(plain, port=port, tls=tls)

    with pytest.raises(NotifyError, match="TLS failed"):
        mailed(box, to)
    assert not box.logins
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailed(box, to)
    assert base64.b64decode(box.logins[0]) == b"\0gate\0pw"
    assert len(box.mails) == 1


def test_an_e_mail_that_is_refused_is_said_with_the_answer() -> None:
    box = Mailbox()
    box.refuses = True
    to = lambda port: Email("m", "127.0.0.1", "g@e.org", ("a@e.org",), port, "none")  # noqa: E731
    with pytest.raises(NotifyError, match="SMTP 550 no such person"):
        mailed(box, to)


def test_without_starttls_nothing_is_sent_where_it_is_asked_for() -> None:
    box = Mailbox()
    to = lambda port: Email("m", "127.0.0.1", "g@e.org", ("a@e.org",), port)  # noqa: E731
    with pytest.raises(NotifyError):
        mailed(box, to)
    assert not box.mails
