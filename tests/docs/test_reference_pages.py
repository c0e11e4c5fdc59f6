"""Settings, fleet keys, metrics, problems and commands are documented as they are in the code."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.docs.pages import (
    DOCS,
    PAGES,
    PAIRS,
    ROOT,
    both,
    fences,
    first_codes,
    headings,
    name_of,
    rows,
    spans,
    text_of,
)

from comporta.console import problems as console
from comporta.domain.conditions import CONDITIONS
from comporta.errors import ComportaError
from comporta.fleet import declared
from comporta.ingest import problems
from comporta.settings import Settings
from comporta.telemetry import reference
from comporta.telemetry.metric_defs import LABELS, METRICS, Kind

CONFIGURATION, METRICS_PAGES, PROBLEMS = both("configuration"), both("metrics"), both("problems")
COMMANDS = text_of(DOCS / "reference/cli.md")
LITERAL = "uvicorn src.api.webhook_server:app --host 0.0.0.0 --port 8001 --workers 4"


def ids(path: object) -> str:
    return name_of(path) if isinstance(path, Path) else str(path)


# Settings


@pytest.mark.parametrize("path", CONFIGURATION, ids=ids)
def test_every_setting_has_a_row(path: Path) -> None:
    assert set(Settings.model_fields) <= set(first_codes(path))


@pytest.mark.parametrize("path", CONFIGURATION, ids=ids)
def test_every_row_of_a_setting_says_its_default(path: Path) -> None:
    shown: dict[str, str] = {}
    for key, default_shown, *_rest in rows(path):
        # A key of the fleet file may have the name of a setting; it comes further down.
        shown.setdefault(key.strip("`"), default_shown.strip("`"))
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, int | float):
            assert shown[name] == f"{default:.10g}"
        elif name in {"data", "host", "log_level"}:
            assert shown[name] == str(default)


@pytest.mark.parametrize("path", CONFIGURATION, ids=ids)
def test_every_bound_of_a_setting_is_said(path: Path) -> None:
    said = {row[0].strip("`"): row[2] for row in rows(path) if len(row) == 4}
    for name in ("lease_s", "concurrency", "drain_s", "keep_bodies_days", "rejected_max"):
        for bound in Settings.model_fields[name].metadata:
            number = getattr(bound, "ge", None) or getattr(bound, "le", None)
            if number is not None:
                english, portuguese = f"{number:,}", f"{number:,}".translate({44: ".", 46: ","})
                assert english in said[name] or portuguese in said[name], name


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    known = {f"COMPORTA_{name.upper()}" for name in Settings.model_fields} | {"COMPORTA_CONFIG"}
    assert set(re.findall(r"COMPORTA_[A-Z_]*[A-Z]", text_of(path))) <= known


# The fleet


@pytest.mark.parametrize(
    ("heading", "struct", "renamed"),
    [
        ("### `[[instance]]`", declared.DeclaredInstance, {"sources": ("source",)}),
        ("### `[[instance.source]]`", declared.DeclaredSource, {"tokens": ("token", "tokens")}),
        ("### `[[destination]]`", declared.DeclaredDestination, {"rate": ("rate", "burst")}),
        ("### `[[route]]`", declared.DeclaredRoute, {}),
    ],
    ids=ids,
)
def test_every_key_of_the_fleet_file_has_a_row(
    heading: str, struct: type[msgspec.Struct], renamed: dict[str, tuple[str, ...]]
) -> None:
    names = [field.name for field in msgspec.structs.fields(struct)]
    wanted = {key for name in names for key in renamed.get(name, (name,))}
    for path in CONFIGURATION:
        assert set(first_codes(path, heading)) == wanted


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        (CONFIGURATION[0], "### The fields of `where`"),
        (CONFIGURATION[1], "### Os campos de `where`"),
    ],
    ids=ids,
)
def test_every_field_that_routes_may_ask_for_has_a_row(path: Path, heading: str) -> None:
    assert tuple(first_codes(path, heading)) == CONDITIONS


# Metrics


@pytest.mark.parametrize("path", METRICS_PAGES, ids=ids)
def test_every_metric_has_a_row_and_no_other_has_one(path: Path) -> None:
    named = [code for code in first_codes(path) if code.startswith("comporta_")]
    assert named == [definition.name for definition in METRICS]


@pytest.mark.parametrize("path", METRICS_PAGES, ids=ids)
def test_every_metric_is_of_the_type_and_has_the_labels_that_are_said(path: Path) -> None:
    said = {row[0].strip("`"): row for row in rows(path)}
    for definition in METRICS:
        row = said[definition.name]
        kind = "gauge" if definition.kind is Kind.READING else definition.kind.value
        assert row[1] == kind
        assert tuple(re.findall(r"`(\w+)`", row[2])) == definition.labels
        assert row[3] == definition.over_servers


@pytest.mark.parametrize("language", reference.PAGES)
def test_the_tables_of_metrics_are_made_from_the_list(language: str) -> None:
    text = text_of(DOCS / reference.PAGES[language])
    assert text == reference.page(text, language), (
        "run: python -m comporta.telemetry.reference docs"
    )


@pytest.mark.parametrize("path", METRICS_PAGES, ids=ids)
def test_every_label_is_named_and_expressions_ask_for_metrics_that_exist(path: Path) -> None:
    assert set(LABELS) <= set(spans(path))
    known = {definition.name for definition in METRICS}
    for name in re.findall(r"comporta_\w+", text_of(path)):
        assert name.removesuffix("_bucket") in known


# Problems


@pytest.mark.parametrize("path", PROBLEMS, ids=ids)
def test_every_refusal_of_a_call_has_a_row_with_its_status(path: Path) -> None:
    for heading, module in zip(headings(path)[1:3], (problems, console), strict=True):
        table = list(rows(path, f"## {heading[1]}"))
        said = {(row[0].strip("`"), row[1]) for row in table if row[1].isdigit()}
        known = [one for one in vars(module).values() if isinstance(one, problems.Problem)]
        assert said == {(one.name, str(one.status)) for one in known}


def cli_problems() -> set[str]:
    """The errors' own, and those that the command line gives to what is no error of ours."""
    tree: list[type[ComportaError]] = [ComportaError]
    for one in tree:
        tree += one.__subclasses__()
    own = {one.problem for one in tree} - {"about:blank"}
    sources = (ROOT / "src/comporta/cli").glob("*.py")
    used = {one for path in sources for one in re.findall(r'"(/problems/[\w-]+)"', text_of(path))}
    return {one.removeprefix("/problems/") for one in own | used}


@pytest.mark.parametrize("path", PROBLEMS, ids=ids)
def test_every_error_of_the_command_line_has_a_row(path: Path) -> None:
    named = {row[0].strip("`") for row in rows(path) if len(row) == 2}
    assert named - {"type", "tipo"} == cli_problems()


# Commands


def commands() -> dict[str, set[str]]:
    """Command → its options, from the reference, which is made from the code."""
    parts = re.split(r"^## (?=comporta )", COMMANDS, flags=re.MULTILINE)[1:]
    return {
        part.partition("\n")[0]: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", part))
        for part in parts
    }


def quoted(path: Path) -> list[str]:
    """All calls of `comporta` in code, with sub-commands and options."""
    code = [*spans(path), *(line for block in fences(path) for line in block.splitlines())]
    calls = (re.search(r"(?:^|\$ |bin/)(comporta [a-z-].*)", line) for line in code)
    return [re.split(r"#| \| ", call[1])[0].strip() for call in calls if call]


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_command_that_is_shown_exists_with_its_options(path: Path) -> None:
    known = commands()
    groups = {name.rpartition(" ")[0] for name in known} | {"comporta"}
    for call in quoted(path):
        words = call.split()
        names = [" ".join(words[:count]) for count in range(len(words), 1, -1)]
        found = next((name for name in names if name in known), "")
        if not found:
            assert len(words) == 2, call
            assert call in groups or call.endswith("--install-completion"), call
            continue
        options = set(re.findall(r"(?<= )--?[a-z][a-z-]*", call))
        assert options <= known[found] | {"--json", "--lang", "--help"}, call


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for path in PAGES:
        named = {span.split()[1] for span in spans(path) if re.fullmatch(r"make [a-z]+", span)}
        assert named <= targets, path
    for readme in PAIRS[0]:
        assert {"make run", "make test", "make demo"} <= set(spans(readme))


@pytest.mark.parametrize("path", PAIRS[0], ids=ids)
def test_the_readme_has_the_operators_command_word_for_word(path: Path) -> None:
    assert f"$ {LITERAL}\n" in fences(path, "console")
