"""The reference of the command line is what the commands are."""

import re
from pathlib import Path

from comporta import i18n
from comporta.cli import reference
from comporta.cli.exits import Exit

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/cli.md"


def test_the_page_is_what_the_commands_make_of_it() -> None:
    i18n.use("en")
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run: python -m comporta.cli.reference > docs/reference/cli.md"
    )


def test_the_page_names_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert codes == [str(code.value) for code in Exit]


def test_every_command_and_option_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "None" not in text
    assert text.count("## comporta ") > 30
