"""Every setting, typed, bounded and documented; the only module that reads the environment.

A value comes from, in this order: an argument, an environment variable `COMPORTA_…`, the file
`comporta.toml` in the working directory (or the one that `COMPORTA_CONFIG` names), the default. An
empty text means the same as no value. Whatever is wrong becomes a `ConfigError` that says what,
where, and what to do. `comporta.example.toml` is the commented reference.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.engines import Store, engine_of
from comporta.errors import ConfigError
from comporta.i18n import LANGUAGES, _
from comporta.roles import Role, read_roles
from comporta.toml_lines import line_of
from comporta.urls import url_problem
from comporta.words import did_you_mean

PREFIX: Final = "COMPORTA_"
CONFIG_VARIABLE: Final = "COMPORTA_CONFIG"
DEFAULT_FILE: Final = Path("comporta.toml")
_HANDLERS: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_SERVER: Final = re.compile(r"[A-Za-z0-9._-]+")
_FILE_BYTES_MAX: Final = 1024 * 1024
_SHOWN_CHARS_MAX: Final = 60

_RETIRED: Final = {
    "retention_days": (
        "keep_bodies_days, keep_events_days, keep_attempts_days, keep_dead_days, keep_rejected_days"
    )
}
"""Settings of earlier versions → what says the same now."""

Seconds = Annotated[float, Field(gt=0, le=3600)]
Days = Annotated[int, Field(ge=1, le=3650)]
Mebibytes = Annotated[int, Field(ge=0, le=1024 * 1024 * 1024)]


def environment(name: str) -> str | None:
    """The one door to the environment: a variable's value, or None."""
    return os.environ.get(name)


def environment_language() -> str:
    """The language that the terminal asks for, as a locale name; "" if it does not say."""
    names = ("COMPORTA_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return next((value for name in names if (value := os.environ.get(name))), "")


class Settings(BaseSettings):
    """What an operator can decide. Frozen.

    Args:
        arguments: settings by name, which win over everything else; None means not given.

    Raises:
        ConfigError: anything is wrong, with one line for each problem.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    data: Path = Path("data")
    """The folder for everything that is stored, made if it is missing."""
    fleet: Path | None = None
    """A fleet file to apply at start; none if empty."""
    alerts: Path | None = None
    """A file of thresholds and notifiers for alerts; defaults and nobody to tell if empty."""
    handlers: str = ""
    """Python handlers to run, as module:name of their comporta.Gateway; none if empty."""
    host: Annotated[str, Field(min_length=1, max_length=255)] = "0.0.0.0"  # noqa: S104  (containers)
    """The address to listen on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8001
    """The port to listen on."""
    public_url: str = ""
    """Where Chatwoot reaches this gateway, for webhook URLs; http://localhost:PORT if empty."""
    lang: str = ""
    """The language for people, en or pt_BR; the terminal's if empty."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged: debug, info, warning or error."""
    access_log_sample: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """One in so many accepted webhooks gets a log line; 0: only refused ones do."""
    otel_endpoint: str = ""
    """Where traces go: the URL of a collector that speaks OTLP over HTTP; none if empty."""
    otel_sample: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The share of events that is traced, 0 to 1, where calls do not say it themselves."""
    log: Annotated[str, Field(repr=False)] = ""
    """The URL of the log's engine; sqlite:DATA/log.db if empty."""
    ledger: Annotated[str, Field(repr=False)] = ""
    """The URL of the ledger's engine; sqlite:DATA/ledger.db if empty."""
    state: Annotated[str, Field(repr=False)] = ""
    """The URL of the state's engine; sqlite:DATA/state.db if empty."""
    spool_after_s: Annotated[float, Field(ge=0.05, le=4)] = 1.0
    """After how many seconds without a confirmation of the log's server an event is spooled."""
    spool_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = 10_240
    """How much the spool may take of this server's disk, in MiB."""
    key: SecretStr = SecretStr("")
    """The key that seals secrets: 32 bytes in base64, or file:PATH; kept in DATA/key if empty."""
    server: Annotated[str, Field(max_length=64)] = ""
    """This server's name, where several share the stores; the host's name if empty."""
    roles: str = ",".join(Role)
    """What this server does: ingest, dispatch, console, maintain, with commas between."""
    leave_s: Annotated[float, Field(ge=0, le=300)] = 0.0
    """Seconds for which a server that ends says so on /readyz, and answers, before it drains."""
    metrics_token: SecretStr = SecretStr("")
    """What /metrics asks for as Authorization: Bearer, or file:PATH; open to all if empty."""
    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses and networks whose X-Forwarded-For and -Proto are believed, or none."""
    partitions: Annotated[int, Field(ge=1, le=PARTITIONS_MAX)] = 16
    """How many partitions the log has; fixed once there are events."""
    lease_s: Annotated[float, Field(ge=0.5, le=60)] = 3.0
    """After how many seconds of silence a worker's partitions go to another one."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Attempts under way at once, for each destination, over all workers."""
    body_bytes_max: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 20 * 1024 * 1024
    """The largest webhook body that is accepted, in bytes."""
    pending_bytes_max: Annotated[int, Field(ge=1024, le=4 * 1024**3)] = 64 * 1024 * 1024
    """Bytes waiting to be made durable, in each worker, above which new events are put off."""
    head_timeout_s: Seconds = 10.0
    """Seconds that a client has for the head of its request."""
    body_timeout_s: Seconds = 10.0
    """Seconds that a client has for the body of its request."""
    drain_s: Annotated[float, Field(ge=0, le=300)] = 10.0
    """Seconds for finishing what is under way when stopping."""
    signature_tolerance_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How many seconds old, or ahead, a signature may be."""
    dedupe_window_s: Annotated[int, Field(ge=0, le=7 * 86_400)] = 3600
    """For how many seconds a repeated event is known as a repeat; 0: nothing is."""
    keep_bodies_days: Days = 7
    """For how many days bodies of finished events are kept."""
    keep_bodies_mib: Mebibytes = 0
    """How much of the bodies is kept, in MiB, the newest first; 0 for no limit."""
    keep_attempts_days: Days = 30
    """For how many days attempts at finished deliveries are kept."""
    keep_attempts_mib: Mebibytes = 0
    """How much of the attempts is kept, in MiB, the newest first; 0 for no limit."""
    keep_events_days: Days = 30
    """For how many days finished events are kept, with their deliveries."""
    keep_events_mib: Mebibytes = 0
    """How much of events and deliveries is kept, in MiB, the newest first; 0 for no limit."""
    keep_dead_days: Days = 90
    """For how many days dead letters are kept, with their events; then they are discarded."""
    keep_dead_mib: Mebibytes = 0
    """How much of the dead letters is kept, in MiB, the newest first; 0 for no limit."""
    keep_rejected_days: Days = 7
    """For how many days refused requests are kept."""
    rejected_max: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """How many refused requests are kept, with the reason."""

    api: str = ""
    """The URL of a running gateway that commands talk to; the local stores if empty."""
    api_key: SecretStr = SecretStr("")
    """The API key for it, or file:PATH."""

    def __init__(self, **arguments: Any) -> None:
        given = {name: value for name, value in arguments.items() if value is not None}
        _refuse_unknown_variables()
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(_explain(error, given)) from None

    def as_arguments(self) -> dict[str, Any]:
        """All that dispatch needs, secrets included, for `Settings(**arguments)`; for JSON."""
        return self.model_dump(mode="json", exclude={"api", "api_key", "metrics_token"}) | {
            "key": self.key.get_secret_value()
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file; nothing else."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, _read_file()[1])

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(_("This is neither a text nor a number."))  # noqa: TRY004  (pydantic's)
        return value

    @field_validator("data", mode="before")
    @classmethod
    def _some_folder(cls, value: object) -> object:
        if value == "":
            raise ValueError(_("Name a folder; . is the working directory."))
        return value

    @field_validator("fleet", "alerts", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("lang")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if value and value.replace("_", "-").split("-")[0].lower() not in {"en", "pt"}:
            said = _("There are: {languages}.").format(languages=", ".join(LANGUAGES))
            raise ValueError(f"{said} {did_you_mean(value, LANGUAGES)}".strip())
        return value

    @field_validator("public_url", "api", "otel_endpoint")
    @classmethod
    def _good_url(cls, value: str) -> str:
        if value and (problem := url_problem(value)):
            raise ValueError(problem)
        return value.rstrip("/")

    @field_validator("handlers")
    @classmethod
    def _module_and_name(cls, value: str) -> str:
        if value and not _HANDLERS.fullmatch(value):
            raise ValueError(_("Write it as module:name, as in mybot:gateway."))
        return value

    @field_validator("server")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if value and not _SERVER.fullmatch(value):
            raise ValueError(_("Letters, digits, dots, hyphens and underscores make a name."))
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: str) -> str:
        try:
            read_roles(value)
        except ValueError as error:
            said = _("There are: {roles}.").format(roles=", ".join(Role))
            wrong = str(error)
            raise ValueError(f"{said} {did_you_mean(wrong, Role)}".strip()) from None
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for one in networks(value) if value != "none" else ():
            try:
                ip_network(one)
            except ValueError:
                said = _("{address} is neither an address nor a network such as 10.0.0.0/8.")
                raise ValueError(said.format(address=one)) from None
        return value

    @field_validator("log", "ledger", "state")
    @classmethod
    def _known_engine(cls, value: str, info: ValidationInfo) -> str:
        if value:
            engine_of(value, Store(str(info.field_name)))
        return value

    @model_validator(mode="after")
    def _one_body_fits(self) -> "Settings":
        if self.pending_bytes_max < self.body_bytes_max:
            raise ValueError(_("pending_bytes_max must be at least body_bytes_max."))
        return self

    @model_validator(mode="after")
    def _events_outlive_their_parts(self) -> "Settings":
        if self.keep_events_days < max(self.keep_bodies_days, self.keep_attempts_days):
            raise ValueError(
                _("keep_events_days must be at least keep_bodies_days and keep_attempts_days.")
            )
        return self

    @property
    def log_url(self) -> str:
        """The URL of the log's engine."""
        return self.log or f"sqlite:{self.data / 'log.db'}"

    @property
    def ledger_url(self) -> str:
        """The URL of the ledger's engine."""
        return self.ledger or f"sqlite:{self.data / 'ledger.db'}"

    @property
    def state_url(self) -> str:
        """The URL of the state's engine."""
        return self.state or f"sqlite:{self.data / 'state.db'}"

    @property
    def server_name(self) -> str:
        """This server's name, for people."""
        return self.server or socket.gethostname()

    @property
    def role_set(self) -> frozenset[Role]:
        """What this server does."""
        return read_roles(self.roles)

    @property
    def shown_url(self) -> str:
        """Where Chatwoot reaches this gateway, without a slash at the end."""
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def language(self) -> str:
        """What to give to `comporta.i18n.use`."""
        return self.lang or environment_language()


def networks(text: str) -> list[str]:
    """The parts of a setting with commas."""
    return [part for one in text.split(",") if (part := one.strip())]


def _config_path() -> tuple[Path, bool]:
    """The settings file, and whether somebody asked for it by name."""
    named = os.environ.get(CONFIG_VARIABLE)
    return (Path(named), True) if named else (DEFAULT_FILE, False)


def _read_file() -> tuple[str, dict[str, Any]]:
    """The settings file's text and what it says; empty if there is none."""
    path, named = _config_path()
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        if not named:
            return "", {}
        said = _("{file} does not exist. {variable} names it; correct or remove that variable.")
        raise ConfigError(said.format(file=path, variable=CONFIG_VARIABLE)) from None
    except OSError as error:
        said = _("{file} cannot be read: {reason}.")
        raise ConfigError(said.format(file=path, reason=error.strerror)) from None
    if len(raw) > _FILE_BYTES_MAX:
        raise ConfigError(_("{file} is far too large for a settings file.").format(file=path))
    try:
        text = raw.decode()
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        said = _("{file} is not valid TOML: {reason}.")
        raise ConfigError(said.format(file=path, reason=error)) from None


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for variable, value in sorted(os.environ.items()):
        if not variable.upper().startswith(PREFIX) or variable.upper() in known:
            continue
        said = _("The environment variable {variable} is not a setting.").format(variable=variable)
        retired = _RETIRED.get(variable.upper().removeprefix(PREFIX).lower())
        if retired:
            raise ConfigError(f"{said} {_instead(retired)}")
        hint = _container_hint(variable, value) or did_you_mean(variable, known)
        todo = _("Remove it, or give it a name that does not start with {prefix}.")
        raise ConfigError(f"{said} {hint or todo.format(prefix=PREFIX)}")


def _instead(names: str) -> str:
    return _("It was replaced by: {names}.").format(names=names)


def _container_hint(variable: str, value: str) -> str:
    """Kubernetes (and old Docker links) set such variables for a service named like us."""
    if not value.startswith("tcp://") and "_SERVICE_" not in variable and "_TCP" not in variable:
        return ""
    return _(
        'Kubernetes sets it for a Service named "comporta": give that another name, or set '
        "enableServiceLinks: false in the pod."
    )


def _explain(error: ValidationError, arguments: Mapping[str, Any]) -> str:
    """One line for each problem."""
    text, _values = _read_file()
    lines = []
    for detail in error.errors():
        name = str(detail["loc"][0]) if detail["loc"] else ""
        where = f"{_where(name, arguments, text)}: " if name else ""
        lines.append(f"{where}{_sentence(name, detail)}")
    return "\n".join(lines)


def _where(name: str, arguments: Mapping[str, Any], text: str) -> str:
    variable = PREFIX + name.upper()
    if name in arguments:
        return name
    if any(key.upper() == variable and value for key, value in os.environ.items()):
        return variable
    return f"{_config_path()[0]}:{line_of(text, (name,)) or 1}: {name}"


def _sentence(name: str, detail: ErrorDetails) -> str:
    """What is wrong with one value. It is shown only where it is a number or one of a few words."""
    kind, context = detail["type"], detail.get("ctx", {})
    value = repr(detail["input"])[:_SHOWN_CHARS_MAX]
    if kind == "extra_forbidden":
        said = _("This is not a setting.")
        if name in _RETIRED:
            return f"{said} {_instead(_RETIRED[name])}"
        return f"{said} {did_you_mean(name, Settings.model_fields)}".strip()
    if kind == "literal_error":
        said = _("This must be {expected}, not {value}.")
        return said.format(expected=context["expected"], value=value)
    if kind == "value_error":
        return str(context["error"])
    template = _templates().get(kind)
    bound = next((context[name] for name in ("gt", "ge", "lt", "le") if name in context), "")
    return template.format(bound=bound, value=value) if template else detail["msg"]


def _templates() -> dict[str, str]:
    """Pydantic's kinds of error → our sentence."""
    whole = _("This must be a whole number, not {value}.")
    number = _("This must be a number, not {value}.")
    text = _("This must be a text in quotes.")
    return {
        "greater_than": _("This must be more than {bound}, not {value}."),
        "greater_than_equal": _("This must be at least {bound}, not {value}."),
        "less_than_equal": _("This must be at most {bound}, not {value}."),
        "int_parsing": whole,
        "int_parsing_size": whole,
        "int_from_float": whole,
        "int_type": whole,
        "float_parsing": number,
        "float_type": number,
        "finite_number": number,
        "string_type": text,
        "path_type": text,
        "string_too_short": _("This text is too short."),
        "string_too_long": _("This text is too long."),
    }
