"""Reads the documentation's pages: headings, tables, code and links. Knows no gateway."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GUIDES = (DOCS / "scaling-guide.md", DOCS / "guia-de-escalabilidade.md")
"""The one page whose Portuguese version came first, and has a name of its own."""
PAIRS = [
    (ROOT / "README.md", ROOT / "README.pt-BR.md"),
    GUIDES,
    *(
        (page, page.with_name(f"{page.stem}.pt-BR.md"))
        for page in sorted(DOCS.glob("*.md"))
        if ".pt-BR" not in page.name and page.stem != "architecture" and page not in GUIDES
    ),
]
"""English page → Portuguese page: all that is for users. `architecture` is for contributors."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    """For the names of tests."""
    return str(path.relative_to(ROOT))


def both(page: str) -> list[Path]:
    """`metrics` → both language versions of docs/metrics.md."""
    return [DOCS / f"{page}.md", DOCS / f"{page}.pt-BR.md"]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def fences(path: Path, language: str | None = None) -> list[str]:
    """The code blocks of a page, or those of one language."""
    found = _FENCE.findall(text_of(path))
    return [code for tag, code in found if language in (None, tag)]


def fence_languages(path: Path) -> list[str]:
    return [tag for tag, _code in _FENCE.findall(text_of(path))]


def prose(path: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", text_of(path))


def headings(path: Path) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    return [(len(marks), text) for marks, text in _HEADING.findall(prose(path))]


def anchors(path: Path) -> set[str]:
    """What a link to a part of the page may say after #."""
    plain = (re.sub(r"[^\w\- ]", "", text.lower()) for _level, text in headings(path))
    return {text.replace(" ", "-") for text in plain}


def links(path: Path) -> list[str]:
    return _LINK.findall(prose(path))


def spans(path: Path) -> list[str]:
    """Code inside sentences and tables, with line breaks made spaces."""
    return [re.sub(r"\s+", " ", span) for span in _SPAN.findall(prose(path))]


def rows(path: Path, under: str = "") -> Iterator[list[str]]:
    """The rows of all tables, or of those under a heading, as lists of cells."""
    text = prose(path)
    if under:
        start = text.index(f"\n{under}\n") + len(under) + 1
        end = re.search(r"^#", text[start + 1 :], re.MULTILINE)
        text = text[start : start + 1 + end.start()] if end else text[start:]
    for line in text.splitlines():
        if line.startswith("| ") and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def first_codes(path: Path, under: str = "") -> list[str]:
    """The first column, where it is code."""
    return [row[0].strip("`") for row in rows(path, under) if row[0].startswith("`")]
