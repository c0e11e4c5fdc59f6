"""The pages hold together: two languages alike, links that lead somewhere, nothing private."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import (
    DOCS,
    PAGES,
    PAIRS,
    ROOT,
    anchors,
    fence_languages,
    fences,
    first_codes,
    headings,
    links,
    name_of,
    spans,
    text_of,
)

USER_PAGES = {
    "alerts",
    "guarantees",
    "operating",
    "configuration",
    "receiving",
    "metrics",
    "problems",
    "delivering",
    "deploying",
    "engines",
    "redis",
    "api",
    "handlers",
    "rabbitmq",
    "scaling-guide",
    "runbooks",
}
ADRS = sorted((DOCS / "adr").glob("*.md"))
pair = pytest.mark.parametrize(("english", "portuguese"), PAIRS, ids=name_of)
page = pytest.mark.parametrize("path", PAGES, ids=name_of)


def test_every_page_for_users_is_there() -> None:
    assert {english.stem for english, _portuguese in PAIRS} == USER_PAGES | {"README"}


@pair
def test_a_page_exists_in_both_languages(english: Path, portuguese: Path) -> None:
    assert english.is_file()
    assert portuguese.is_file()


@pair
def test_both_languages_have_the_same_structure(english: Path, portuguese: Path) -> None:
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(portuguese)]
    assert fence_languages(english) == fence_languages(portuguese)
    assert first_codes(english) == first_codes(portuguese)


@pair
def test_what_machines_read_is_the_same_in_both_languages(english: Path, portuguese: Path) -> None:
    for language in ("toml", "ini", "python", "javascript"):
        assert fences(english, language) == fences(portuguese, language)


@pair
def test_headings_are_translated(english: Path, portuguese: Path) -> None:
    same = {text for _, text in headings(english)} & {text for _, text in headings(portuguese)}
    names = {
        "Comporta",
        "Backup",
        "Workers",
        "Redis",
        "RabbitMQ",
        "Kafka",
        "PostgreSQL",
        "Prometheus",
    }
    assert {text for text in same if not text.startswith("`")} <= names


@pair
def test_both_languages_name_the_same_commands_and_settings(
    english: Path, portuguese: Path
) -> None:
    def named(path: Path) -> set[str]:
        return {span for span in spans(path) if re.match(r"comporta |COMPORTA_|make |/[a-z]", span)}

    assert named(portuguese) == named(english)


@pair
def test_each_language_leads_to_the_other(english: Path, portuguese: Path) -> None:
    assert portuguese.name in links(english)
    assert english.name in links(portuguese)


@pair
def test_a_portuguese_page_leads_to_portuguese_pages(english: Path, portuguese: Path) -> None:
    translated = {one.name for one, _portuguese in PAIRS} - {english.name}
    assert not [link for link in links(portuguese) if Path(link).name in translated]


@page
def test_every_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@page
def test_lines_of_prose_are_at_most_110_characters(path: Path) -> None:
    if "reference" in path.parts:
        return
    for line in text_of(path).splitlines():
        assert len(line) <= 110 or line.startswith(("|", "- [", "Cole esta", "  (O Chatwoot")), line


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))


@pytest.mark.parametrize("path", ADRS, ids=name_of)
def test_a_decision_has_its_number_its_four_parts_and_is_short(path: Path) -> None:
    found = headings(path)
    assert found[0][1].startswith(f"{int(path.name[:4])}. ")
    assert [text for level, text in found if level == 2] == [
        "Context",
        "Decision",
        "Consequences",
        "Alternatives",
    ]
    assert len(text_of(path).splitlines()) <= 50


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        inner = [link.partition("#")[0] for link in links(path) if "://" not in link]
        found = [(path.parent / link).resolve() for link in inner if link]
        waiting += [one for one in found if one.suffix == ".md"]
        waiting += [page for one in found if one.is_dir() for page in one.glob("*.md")]
    assert seen == set(PAGES)
