"""A place's clock and holidays: what `domain.rhythm` and quiet hours go by."""

import datetime as dt
from collections.abc import Collection
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from comporta.errors import ConfigError
from comporta.i18n import _

_KNOWN_HOURS = 4096
"""Ten weeks of them, and more: hours are asked about again and again."""


class PlaceCalendar:
    """The `Calendar` of a place.

    Args:
        timezone: a name of the IANA database, such as America/Sao_Paulo.
        country: ISO 3166 code of a country or, after a hyphen, of its state (BR-SP); "": none.
        days_off: more days off, such as a city's own.

    Raises:
        ConfigError: there is no such time zone or country.
    """

    def __init__(
        self, timezone: str, country: str = "", days_off: Collection[dt.date] = ()
    ) -> None:
        self._zone = _zone(timezone)
        self._days_off = frozenset(days_off)
        self._holidays = _holidays(country)
        self._hour = lru_cache(_KNOWN_HOURS)(self._look_up)

    def hour_of_week(self, at_ms: int) -> int:
        """See the protocol."""
        return self._hour(at_ms // 3_600_000)[0]

    def day_off(self, at_ms: int) -> bool:
        """See the protocol."""
        return self._hour(at_ms // 3_600_000)[1]

    def minute_of_day(self, at_ms: int) -> int:
        """0 for midnight in local time, up to 1439."""
        local = dt.datetime.fromtimestamp(at_ms / 1000, self._zone)
        return local.hour * 60 + local.minute

    def local(self, at_ms: int) -> str:
        """A moment as people read it: `2026-11-24 07:04`."""
        return f"{dt.datetime.fromtimestamp(at_ms / 1000, self._zone):%Y-%m-%d %H:%M}"

    def _look_up(self, hour: int) -> tuple[int, bool]:
        local = dt.datetime.fromtimestamp(hour * 3600, self._zone)
        day = local.date()
        off = day in self._days_off or (self._holidays is not None and day in self._holidays)
        return local.weekday() * 24 + local.hour, off


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        said = _('There is no time zone "{name}". Write one such as America/Sao_Paulo.')
        raise ConfigError(said.format(name=name)) from None


def _holidays(place: str) -> holidays.HolidayBase | None:
    if not place:
        return None
    country, _hyphen, state = place.partition("-")
    try:
        categories = holidays.country_holidays(country).supported_categories
        return holidays.country_holidays(
            country,
            subdiv=state or None,
            # In Brazil Carnival and Corpus Christi are optional, and everything is closed.
            categories=tuple(one for one in ("public", "optional") if one in categories),
        )
    except NotImplementedError:
        said = _('Nobody knows the holidays of "{place}". Write a code such as BR or BR-SP.')
        raise ConfigError(said.format(place=place)) from None
