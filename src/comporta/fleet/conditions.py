"""The rules of one condition of a route: its name, the type and size of its values. Pure."""

from comporta.domain.conditions import (
    ATTRIBUTE,
    CONDITIONS,
    NOT,
    PATTERNS_MAX,
    Asked,
    ask,
)
from comporta.domain.fleet import Scalar
from comporta.domain.patterns import pattern_problem
from comporta.fleet.declared import INTEGER_MAX, LIST_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX, Fail
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.words import did_you_mean


def check_condition(path: Path, key: str, values: tuple[Scalar, ...], fail: Fail) -> None:
    """Refuse a condition that could never be meant.

    Args:
        path: where it stands.
        key: its name, as in `where`.
        values: what is asked for.
        fail: called with what is wrong; raises.
    """
    asked = ask(key)
    if asked is None:
        _refuse_unknown(path, key, fail)
        return
    _check_name(path, asked, fail)
    if len(values) > LIST_MAX:
        fail(path, _("A list has at most {max} items.").format(max=LIST_MAX))
    _check_types(path, key, asked, values, fail)
    _check_sizes(path, values, fail)
    if asked.regex:
        _check_patterns(path, [str(value) for value in values], fail)


def _refuse_unknown(path: Path, key: str, fail: Fail) -> None:
    name = key.removeprefix(NOT)
    if name.startswith(NOT):
        fail(path, _('"not" stands once: what is inside it must not hold.'))
    parts = [known for known in CONDITIONS if known.startswith(f"{name}.")]
    if parts:
        said = _('"{name}" is not asked for as a whole. Write one of: {names}.')
        fail(path, said.format(name=name, names=", ".join(parts)))
    said = _('Events have no field "{field}"; there are: {fields}.').format(
        field=name[:NAME_CHARS_MAX], fields=", ".join(CONDITIONS)
    )
    fail(path, said, did_you_mean(name, CONDITIONS))


def _check_name(path: Path, asked: Asked, fail: Fail) -> None:
    if len(asked.part) > NAME_CHARS_MAX or not asked.part.isprintable():
        said = _("The name after {prefix} has at most {max} characters, none of them a control.")
        fail(path, said.format(prefix=ATTRIBUTE, max=NAME_CHARS_MAX))


def _check_types(
    path: Path, key: str, asked: Asked, values: tuple[Scalar, ...], fail: Fail
) -> None:
    wanted = asked.type
    if wanted is None or all(type(value) is wanted for value in values):
        return
    said = {
        int: _("{field} is a whole number; another value would never match."),
        bool: _("{field} is true or false; another value would never match."),
        str: _("{field} is a text in quotes; another value would never match."),
    }[wanted]
    fail(path, said.format(field=key))


def _check_sizes(path: Path, values: tuple[Scalar, ...], fail: Fail) -> None:
    for value in values:
        if isinstance(value, int) and not -INTEGER_MAX <= value <= INTEGER_MAX:
            fail(path, _("This number is far too large."))
        if isinstance(value, str) and not (len(value) <= TEXT_CHARS_MAX and value.isprintable()):
            said = _("A text has at most {max} characters, none of them a line break or control.")
            fail(path, said.format(max=TEXT_CHARS_MAX))


def _check_patterns(path: Path, patterns: list[str], fail: Fail) -> None:
    if len(patterns) > PATTERNS_MAX:
        said = _("At most {max} regular expressions are possible here; one may say a|b|c.")
        fail(path, said.format(max=PATTERNS_MAX))
    for pattern in patterns:
        if problem := pattern_problem(pattern):
            said = _('The regular expression "{pattern}" cannot be used: {reason}.')
            hint = _("The syntax is RE2's: without look-around and back-references, and not large.")
            fail(path, said.format(pattern=pattern[:NAME_CHARS_MAX], reason=problem), hint)
