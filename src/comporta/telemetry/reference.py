"""Makes the tables of docs/metrics.md: `python -m comporta.telemetry.reference docs`.

Both languages; what stands around a table is written by hand and stays. A test fails if a page is
not what this module makes of it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from comporta.i18n import LANGUAGES, translate
from comporta.telemetry.metric_defs import METRICS, Kind, MetricDef

PAGES = dict(zip(LANGUAGES, ("metrics.md", "metrics.pt-BR.md"), strict=True))
"""Language → its page."""
_BEGIN, _END = "<!-- made by comporta.telemetry.reference: {part} -->\n", "<!-- end -->\n"


def _(message: str) -> str:
    """Marks a text for translation; it is translated by `page`."""
    return message


_HEADS = (_("metric"), _("type"), _("labels"), _("servers"), _("meaning"))
_PARTS = {"counted": True, "asked": False}
"""The tables: what is counted where it happens, and what the stores are asked for."""


def page(text: str, language: str) -> str:
    """The page with its tables as they should be; the rest as it is in `text`."""
    for part, counted in _PARTS.items():
        begin = _BEGIN.format(part=part)
        before, _mark, rest = text.partition(begin)
        _old, end, after = rest.partition(_END)
        text = f"{before}{begin}{''.join(_table(counted, language))}{end}{after}"
    return text


def _table(counted: bool, language: str) -> Iterator[str]:
    yield f"| {' | '.join(translate(one, language) for one in _HEADS)} |\n"
    yield f"|{'---|' * len(_HEADS)}\n"
    for one in METRICS:
        if (one.kind is not Kind.READING) is counted:
            yield _row(one, language)


def _row(one: MetricDef, language: str) -> str:
    kind = Kind.GAUGE if one.kind is Kind.READING else one.kind
    labels = ", ".join(f"`{name}`" for name in one.labels)
    meaning = translate(one.help, language)
    return f"| `{one.name}` | {kind} | {labels} | {one.over_servers} | {meaning} |\n"


def main(folder: Path) -> None:
    """Write the pages in this folder."""
    for language, name in PAGES.items():
        path = folder / name
        path.write_text(page(path.read_text(encoding="utf-8"), language), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
