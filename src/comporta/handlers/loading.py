"""`mybot:gateway` → the handlers of the user's module; whatever goes wrong becomes a sentence.

The module is imported as Python would from the working directory, so its import may do anything.
"""

import importlib
import sys
from pathlib import Path

from comporta.errors import ConfigError
from comporta.handlers.registry import Gateway, Handler
from comporta.handlers.trace import place_of, summary_of
from comporta.i18n import _
from comporta.words import did_you_mean


def load_handlers(spec: str) -> tuple[Handler, ...]:
    """The handlers that are registered with a `Gateway`.

    Args:
        spec: `module:name`, the setting `handlers`.

    Raises:
        ConfigError: the module cannot be imported, has no such gateway, or that has no handlers.
    """
    module_name, _colon, name = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name, here)
    found = getattr(module, name, None)
    if not isinstance(found, Gateway):
        there = [key for key, value in vars(module).items() if isinstance(value, Gateway)]
        said = _('{module} has no comporta.Gateway called "{name}".')
        hint = did_you_mean(name, there) or _("Make one: {example}").format(
            example=f"{name} = Gateway()"
        )
        raise ConfigError(f"{said.format(module=module_name, name=name)} {hint}")
    if not found.handlers:
        said = _("{spec} has no handlers: register some with @{name}.on(…).")
        raise ConfigError(said.format(spec=spec, name=name))
    return found.handlers


def _import(name: str, here: str) -> object:
    try:
        return importlib.import_module(name)
    except ConfigError:
        raise  # a handler is refused, with its place
    except ModuleNotFoundError as error:
        if error.name != name.split(".", maxsplit=1)[0] and error.name != name:
            raise _failed(name, error) from None
        said = _('There is no module "{name}" in {folder} or among the installed packages.')
        raise ConfigError(said.format(name=name, folder=here)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a user's code may raise anything)
        raise _failed(name, error) from None


def _failed(name: str, error: BaseException) -> ConfigError:
    said = _("{place}: {name} cannot be imported: {reason}.")
    reason = summary_of(error).rstrip(".")
    return ConfigError(said.format(place=place_of(error), name=name, reason=reason))
