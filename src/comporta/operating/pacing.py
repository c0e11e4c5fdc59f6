"""The speed of a replay as people write it, and whether it comes to its end in time. Pure."""

from comporta.domain.pace import LASTS_MS_MAX, Speed, lasts_ms, parse_speed
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.ledger.port import Matches


def speed_of(text: str | None) -> Speed | None:
    """A speed; None for None and for nothing.

    Raises:
        ConfigError: it is not one.
    """
    try:
        return parse_speed(text) if text else None
    except ValueError:
        said = _("{text!r} is not a speed: write 50/s, 600/min, 1x or 20x.").format(text=text)
        raise ConfigError(said) from None


def lasting_ms(speed: Speed, found: Matches) -> float:
    """How long a replay of what was found takes, milliseconds.

    Raises:
        ConfigError: longer than a delivery may be put off.
    """
    if not found.count:
        return 0.0
    took_ms = lasts_ms(speed, found.count, found.last_at_ms - found.first_at_ms)
    if took_ms > LASTS_MS_MAX:
        said = _("That would take {days} days; at most {max}. Choose a higher speed, or fewer.")
        days = f"{took_ms / 86_400_000:.0f}"
        raise ConfigError(said.format(days=days, max=LASTS_MS_MAX // 86_400_000))
    return took_ms
