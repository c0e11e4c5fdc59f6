"""One table of a fleet file, read key by key with types; what is left over at the end is a typo.

Pure: it knows neither which keys there should be nor what they mean.
"""

from typing import Any

from comporta.domain.fleet import Scalar
from comporta.fleet.declared import INTEGER_MAX, LIST_MAX, TEXT_CHARS_MAX, Fail
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.words import did_you_mean

_DOTS_MAX = 2
"""In a condition's name: `not.labels.any`. Tables that lie deeper are no values."""


class Table:
    """Typed access to a TOML table.

    Args:
        values: what `tomllib` read.
        path: where it stands.
        fail: called for everything that is wrong; raises.
    """

    def __init__(self, values: dict[str, Any], path: Path, fail: Fail) -> None:
        self._values = values
        self._fail = fail
        self._asked: list[str] = []
        self.path = path

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        value = self._get(key, default)
        return self._text((*self.path, key), value)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts; without a default it must be there."""
        if default is not None and not self.has(key):
            return default
        value = self._get(key, None)
        if isinstance(value, str):
            hint = _("Write it in brackets: {example}").format(example=f'{key} = ["…"]')
            self._fail((*self.path, key), _("This must be a list of texts."), hint)
        return tuple(
            self._text((*self.path, key, index), item)
            for index, item in enumerate(self._list((*self.path, key), value))
        )

    def lines(self, key: str) -> str:
        """A text that may have several lines, and any length; "" if it is not there."""
        value = self._get(key, "")
        if not isinstance(value, str):
            self._fail((*self.path, key), _("This must be a text in quotes."))
        return value

    def pairs(self, key: str) -> dict[str, str]:
        """A table of name → text."""
        path = (*self.path, key)
        values = self._get(key, {})
        if not isinstance(values, dict):
            self._fail(path, _('This must be a table: {{ name = "text" }}.').format())
        return {name: self._text((*path, name), value) for name, value in values.items()}

    def whole(self, key: str, default: int) -> int:
        """A whole number."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self._fail((*self.path, key), _("This must be a whole number."))
        return int(self._number((*self.path, key), value))

    def number(self, key: str, default: float) -> float:
        """A number."""
        return self._number((*self.path, key), self._get(key, default))

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """A list of numbers."""
        if not self.has(key):
            return default
        value = self._get(key, None)
        return tuple(
            self._number((*self.path, key, index), item)
            for index, item in enumerate(self._list((*self.path, key), value))
        )

    def tables(self, key: str, count_max: int, header: str) -> "list[Table]":
        """A list of tables, at most `count_max`; `header` is how one is written."""
        path = (*self.path, key)
        values = self._get(key, [])
        if not isinstance(values, list) or not all(isinstance(item, dict) for item in values):
            self._fail(path, _("Write each of these under a line {header}.").format(header=header))
        if len(values) > count_max:
            said = _("There are {found} of these; at most {max} are possible.")
            self._fail((*path, count_max), said.format(found=len(values), max=count_max))
        return [Table(item, (*path, index), self._fail) for index, item in enumerate(values)]

    def matchers(self, key: str) -> dict[str, tuple[Scalar, ...]]:
        """A table of condition → a value or a list of values.

        Tables inside it are written out: `labels = { any = ["vip"] }` is `labels.any`.
        """
        values = self._get(key, {})
        path = (*self.path, key)
        if not isinstance(values, dict):
            self._fail(path, _("This must be a table: {{ field = value }}.").format())
        flat: dict[str, tuple[Scalar, ...]] = {}
        self._flatten(path, "", values, flat)
        return flat

    def has(self, key: str) -> bool:
        """Whether the key is there. It counts as known from now on."""
        self._asked.append(key)
        return key in self._values

    def finish(self) -> None:
        """Refuse every key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                said = _('"{key}" is not known here.').format(key=key[:TEXT_CHARS_MAX])
                known = _("Known: {keys}.").format(keys=", ".join(dict.fromkeys(self._asked)))
                self._fail((*self.path, key), said, did_you_mean(key, self._asked) or known)

    def _get(self, key: str, default: object) -> Any:
        self._asked.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            self._fail_missing(key)
        return default

    def _fail_missing(self, key: str) -> None:
        """A key that is nearly the missing one is the likelier slip."""
        near = [other for other in self._values if other not in self._asked]
        for other in near:
            if hint := did_you_mean(other, [key]):
                said = _('"{key}" is not known here.').format(key=other[:TEXT_CHARS_MAX])
                self._fail((*self.path, other), said, hint)
        self._fail(self.path, _('"{key}" is missing here.').format(key=key))

    def _text(self, path: Path, value: Any) -> str:
        if not isinstance(value, str):
            self._fail(path, _("This must be a text in quotes."))
        if len(value) > TEXT_CHARS_MAX or not value.isprintable():
            said = _("A text has at most {max} characters, none of them a line break or control.")
            self._fail(path, said.format(max=TEXT_CHARS_MAX))
        return value

    def _number(self, path: Path, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail(path, _("This must be a number."))
        if not -INTEGER_MAX <= value <= INTEGER_MAX:  # also refuses nan
            self._fail(path, _("This number is far too large."))
        return float(value)

    def _list(self, path: Path, value: Any) -> list[Any]:
        if not isinstance(value, list):
            self._fail(path, _("This must be a list in brackets."))
        if len(value) > LIST_MAX:
            self._fail(path, _("A list has at most {max} items.").format(max=LIST_MAX))
        return value

    def _flatten(
        self, path: Path, outer: str, values: dict[str, Any], flat: dict[str, tuple[Scalar, ...]]
    ) -> None:
        for key, value in values.items():
            here, name = (*path, key), outer + key
            if isinstance(value, dict) and name.count(".") < _DOTS_MAX:
                if not value:
                    self._fail(here, _("This table is empty: it asks for nothing."))
                self._flatten(here, f"{name}.", value, flat)
            elif name in flat:
                said = _('"{name}" is there twice.')
                self._fail(here, said.format(name=name[:TEXT_CHARS_MAX]))
            else:
                flat[name] = self._scalars(here, value)

    def _scalars(self, path: Path, value: Any) -> tuple[Scalar, ...]:
        if not isinstance(value, list):
            return (self._scalar(path, value),)
        items = self._list(path, value)
        return tuple(self._scalar((*path, index), item) for index, item in enumerate(items))

    def _scalar(self, path: Path, value: Any) -> Scalar:
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            if not -INTEGER_MAX <= value <= INTEGER_MAX:
                self._fail(path, _("This number is far too large."))
            return value
        if isinstance(value, str):
            return self._text(path, value)
        return self._fail(path, _("This must be a text, a whole number, true or false."))
