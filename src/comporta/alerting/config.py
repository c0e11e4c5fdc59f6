"""The file of alerts: thresholds, notifiers, quiet hours. Read by the evaluator and by commands.

Secrets are given as env:NAME or file:PATH, resolved here, and shown by nothing.
"""

import datetime as dt
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from comporta.alerting.calendar import PlaceCalendar
from comporta.alerting.model import Severity
from comporta.alerting.rules import Rules
from comporta.errors import ConfigError
from comporta.fleet.credentials import resolve
from comporta.i18n import _
from comporta.toml_lines import line_of
from comporta.urls import url_problem

FILE_BYTES_MAX = 256 * 1024
NOTIFIERS_MAX = 20
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Language = Literal["en", "pt_BR"]
_SECRETS = ("secret", "token", "password", "url")
_PLACE = re.compile(r"[.\[]([^.\[\]]+)\]?")
Clock = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _Notifier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all have."""

    name: Name


class Webhook(_Notifier, frozen=True, tag="webhook"):
    """JSON over HTTP, signed as Standard Webhooks if there is a secret."""

    url: Text
    secret: str = ""
    lang: Language | None = None


class Slack(_Notifier, frozen=True, tag="slack"):
    """An incoming webhook of Slack, or of what understands the same."""

    url: Text
    lang: Language | None = None


class Telegram(_Notifier, frozen=True, tag="telegram"):
    """A bot that writes into a chat."""

    token: Text
    chat: Text
    url: Text = "https://api.telegram.org"
    lang: Language | None = None


class Email(_Notifier, frozen=True, tag="email"):
    """Over SMTP."""

    host: Text
    sender: Text
    to: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=20)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    lang: Language | None = None


class Chatwoot(_Notifier, frozen=True, tag="chatwoot"):
    """A message into a conversation, by Chatwoot's API."""

    url: Text
    token: Text
    account: int
    conversation: int
    private: bool = True
    """A note among agents; false: the contact reads it as well."""
    lang: Language | None = None


Notifier = Webhook | Slack | Telegram | Email | Chatwoot


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When what is not urgent waits."""

    start: Clock = "22:00"
    end: Clock = "07:00"
    severities: tuple[Severity, ...] = (Severity.WARNING,)


class AlertFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in it."""

    lang: Language | None = None
    """Of notifiers that do not say; the gateway's if it says nothing, either."""
    timezone: str = "America/Sao_Paulo"
    holidays: str = "BR"
    days_off: tuple[dt.date, ...] = ()
    group_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    repeat_h: Annotated[float, msgspec.Meta(ge=0.1, le=168)] = 4.0
    quiet_hours: QuietHours | None = None
    rules: Rules = Rules()
    notifier: Annotated[tuple[Notifier, ...], msgspec.Meta(max_length=NOTIFIERS_MAX)] = ()


class Plan(msgspec.Struct, frozen=True):
    """The file, ready for use."""

    file: AlertFile
    calendar: PlaceCalendar

    def quiet(self, severity: Severity, at_ms: int) -> bool:
        """Whether what is of this severity waits at a moment (Unix ms)."""
        hours = self.file.quiet_hours
        if hours is None or severity not in hours.severities:
            return False
        start, end = _minute(hours.start), _minute(hours.end)
        now = self.calendar.minute_of_day(at_ms)
        return start <= now < end if start <= end else now >= start or now < end

    def notifier(self, name: str) -> Notifier | None:
        """The one of this name."""
        return next((one for one in self.file.notifier if one.name == name), None)


def load(path: Path | None) -> Plan:
    """Read a file of alerts; without one: the defaults, and nobody is told.

    Raises:
        ConfigError: it cannot be read, or anything in it is wrong.
    """
    if path is None:
        return _plan(AlertFile(), "")
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode()
        values = tomllib.loads(text)
    except OSError as error:
        said = _("The alerts file {file} cannot be read: {reason}.")
        raise ConfigError(said.format(file=path, reason=error.strerror)) from None
    except ValueError as error:  # not UTF-8, or not TOML
        said = _("The alerts file {file} cannot be used: {reason}.")
        raise ConfigError(said.format(file=path, reason=error)) from None
    try:
        found = msgspec.convert(values, AlertFile)
    except msgspec.ValidationError as error:
        said = _("{place} is wrong: {reason}. See docs/alerts.md.")
        where = _where(str(error), text, path)
        reason = str(error).partition(" - at `")[0]
        raise ConfigError(said.format(place=where, reason=reason)) from None
    return _plan(found, str(path))


def _where(problem: str, text: str, path: Path) -> str:
    place = problem.partition(" - at `$")[2].rstrip("`")
    keys = tuple(int(key) if key.isdigit() else key for key in _PLACE.findall(place))
    line = line_of(text, keys) if keys else None
    return f"{path}:{line}: {place.lstrip('.')}" if line else str(path)


def _plan(file: AlertFile, path: str) -> Plan:
    names = [one.name for one in file.notifier]
    if len(set(names)) < len(names):
        said = _("{file}: two notifiers have the same name. Give each a name of its own.")
        raise ConfigError(said.format(file=path))
    opened = msgspec.structs.replace(file, notifier=tuple(map(_open, file.notifier)))
    return Plan(opened, PlaceCalendar(file.timezone, file.holidays, file.days_off))


def _open(notifier: Notifier) -> Notifier:
    """With its secrets, for the address of a webhook often is one as well."""
    given = {name: getattr(notifier, name, "") for name in _SECRETS}
    known = {name: resolve(value)[0] for name, value in given.items() if value}
    if (url := known.get("url")) and (problem := url_problem(url)):
        said = _('The notifier "{name}" has a URL that cannot be used: {problem}')
        raise ConfigError(said.format(name=notifier.name, problem=problem))
    return msgspec.structs.replace(notifier, **known)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
