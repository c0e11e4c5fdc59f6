"""What is declared → a fleet file's text, which `parse` reads back to the same.

References are written as references. Without `reveal`, secrets are written sealed, which only
this gateway's own key opens; tokens are always digests, because nothing else is known of them.
"""

import re
from collections.abc import Iterable, Mapping

from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.domain.conditions import ATTRIBUTE
from comporta.domain.fleet import Scalar, Token
from comporta.domain.rate import show_rate
from comporta.fleet.credentials import DIGEST, SEALED
from comporta.fleet.declared import (
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
    GivenSecret,
)
from comporta.vault import Vault

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def render(declared: Declared, vault: Vault, *, reveal: bool = False) -> str:
    """The text of a fleet file.

    Args:
        declared: as `plan.declare` makes it.
        vault: seals and opens secrets.
        reveal: write secrets in the clear where no reference is known.

    Raises:
        ConfigError: `reveal`, and the vault has another key than the secrets.
    """
    writer = _Writer(vault, reveal=reveal)
    blocks = [
        *(block for instance in declared.instances for block in writer.instance(instance)),
        *(writer.destination(destination) for destination in declared.destinations),
        *(writer.route(route) for route in declared.routes),
    ]
    return "\n".join(blocks)


class _Writer:
    def __init__(self, vault: Vault, *, reveal: bool) -> None:
        self._vault = vault
        self._reveal = reveal

    def instance(self, instance: DeclaredInstance) -> list[str]:
        lines = [f"name = {_text(instance.name)}"]
        if instance.url:
            lines.append(f"url = {_text(instance.url)}")
        sources = [self._source(source) for source in instance.sources]
        return [_block("[[instance]]", lines), *sources]

    def _source(self, source: DeclaredSource) -> str:
        lines = [f"name = {_text(source.name)}", f"kind = {_text(source.kind)}"]
        tokens = [_token(token) for token in source.tokens]
        if len(tokens) == 1:
            lines.append(f"token = {_text(tokens[0])}")
        elif tokens:
            lines.append(f"tokens = {_texts(tokens)}")
        if source.secrets:
            lines.append(f"secrets = {_texts(map(self._secret, source.secrets))}")
        return _block("[[instance.source]]", lines)

    def destination(self, destination: DeclaredDestination) -> str:
        lines = [f"name = {_text(destination.name)}", f"url = {_text(destination.url)}"]
        if destination.secret:
            lines.append(f"secret = {_text(self._secret(destination.secret))}")
        lines.append(f"timeout_s = {_number(destination.timeout_s)}")
        if destination.retry != DEFAULT_WAITS_S:
            lines.append(f"retry = [{', '.join(map(_number, destination.retry))}]")
        lines += self._options(destination)
        return _block("[[destination]]", lines)

    def _options(self, one: DeclaredDestination) -> list[str]:
        """What is not as by default."""
        plain = DeclaredDestination(one.name, one.url)
        lines = []
        if one.rate is not None:
            lines += [f"rate = {_text(show_rate(one.rate))}", f"burst = {one.rate.burst}"]
        for key in ("concurrency", "instance_concurrency", "park_s"):
            if (value := getattr(one, key)) != getattr(plain, key):
                lines.append(f"{key} = {_number(float(value))}")
        if one.classes:
            lines.append(f"classes = {_pairs(one.classes)}")
        for key in ("format", "transform"):
            if (value := getattr(one, key)) != getattr(plain, key):
                lines.append(f"{key} = {_text(value)}")
        if one.headers:
            values = {name: self._secret(value) for name, value in one.headers.items()}
            lines.append(f"headers = {_pairs(values)}")
        return lines

    def route(self, route: DeclaredRoute) -> str:
        lines = [
            f"name = {_text(route.name)}",
            f"instances = {_texts(route.instances)}",
            f"events = {_texts(route.events)}",
        ]
        if route.where:
            pairs = (
                f"{_condition(key)} = {_scalars(values)}" for key, values in route.where.items()
            )
            lines.append(f"where = {{ {', '.join(pairs)} }}")
        lines.append(f"to = {_texts(route.to)}")
        return _block("[[route]]", lines)

    def _secret(self, secret: GivenSecret) -> str:
        if secret.ref:
            return secret.ref
        if self._reveal:
            return secret.text or self._vault.open(secret.sealed)
        return SEALED + (secret.sealed or self._vault.seal(secret.text))


def _block(header: str, lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in (header, *lines))


def _token(token: Token) -> str:
    return token.ref or DIGEST + token.digest


def _text(text: str) -> str:
    """A TOML basic string. Other control characters never get this far (`Table` refuses them)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def _pairs(pairs: Mapping[str, str]) -> str:
    written = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in pairs.items())
    return f"{{ {written} }}"


def _condition(key: str) -> str:
    """A condition's key as a dotted TOML key. An attribute's own name may hold anything."""
    outer, attribute, name = key.partition(ATTRIBUTE)
    if not attribute or _BARE_KEY.fullmatch(name):
        return key
    return f"{outer}{attribute}{_text(name)}"


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _number(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def _scalars(values: tuple[Scalar, ...]) -> str:
    written = [_scalar(value) for value in values]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else str(value)
