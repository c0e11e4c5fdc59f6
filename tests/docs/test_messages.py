"""Both languages are whole: nothing is missing, doubtful or stale, and values have their place."""

import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "src/comporta/locale/pt_BR/LC_MESSAGES/comporta.po"
COMMAND = re.compile(
    r"comporta [a-z]+(?: [a-z]+)*|--[a-z-]+|COMPORTA_[A-Z_]+|/health|[a-z]+_[a-z_]+"
)


def messages() -> list[Message]:
    with PO.open("rb") as file:
        return [message for message in read_po(file, locale="pt_BR") if message.id]


def texts(value: object) -> tuple[str, ...]:
    """One text, or the singular and the plural."""
    return tuple(value) if isinstance(value, tuple | list) else (str(value),)


def places(text: str) -> set[str]:
    """`{name}`, `{seconds:.0f}` and `{text!r}`, as they are filled in."""
    return {
        f"{name}!{conversion}:{layout}"
        for _text, name, layout, conversion in string.Formatter().parse(text)
        if name is not None
    }


def test_the_catalogue_is_up_to_date_complete_and_compiled() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "messages", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("message", messages(), ids=lambda one: str(one.id)[:40])
def test_a_translation_has_the_same_places_for_values(message: Message) -> None:
    wanted = set().union(*(places(text) for text in texts(message.id)))
    for text in texts(message.string):
        assert places(text) == wanted


@pytest.mark.parametrize("message", messages(), ids=lambda one: str(one.id)[:40])
def test_a_translation_names_the_same_commands_and_options(message: Message) -> None:
    portuguese = " ".join(texts(message.string))
    for name in COMMAND.findall(" ".join(texts(message.id))):
        assert name in portuguese


@pytest.mark.parametrize("message", messages(), ids=lambda one: str(one.id)[:40])
def test_a_translation_ends_and_begins_like_its_original(message: Message) -> None:
    for english, portuguese in zip(texts(message.id), texts(message.string), strict=True):
        assert english[-1:] in ".:?…" or portuguese[-1:] not in ":?…"
        assert portuguese == portuguese.strip() or english != english.strip()
        assert (english[-1:] == ":") == (portuguese[-1:] == ":")
        assert (english[-1:] == "?") == (portuguese[-1:] == "?")
