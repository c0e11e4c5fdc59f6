"""The scaling guide as what it is to an operator: blocks to run on machines, and files to save.

It reads both pages; it runs nothing.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.pages import GUIDES, text_of

ENGLISH, PORTUGUESE = GUIDES
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"`([\w./-]+)`\S*\s*\Z")
_HEADING: Final = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block. `host`: the machine that its first line names, or ""."""

    language: str
    code: str
    heading: str
    host: str
    file: str
    """The name that the text just before it gives, where it ends with one."""


class Call(NamedTuple):
    """A command of a console block, and the lines that are shown below it."""

    command: str
    shown: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text, found = text_of(page), []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        headings = _HEADING.findall(before)
        named = _FILE.search(before)
        host = re.match(r"# ([\w-]+)\n", match[2])
        found.append(
            Block(
                match[1], match[2], headings[-1], host[1] if host else "", named[1] if named else ""
            )
        )
    return found


def calls(block: Block) -> list[Call]:
    """The commands of a console block, each with what it shows."""
    parts = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.code, re.MULTILINE)
    return [Call(command, shown) for command, shown in parts]


def bare(code: str) -> str:
    """Code without what is for people: comments."""
    return "\n".join(re.sub(r"(^|\s)# .*$", "", line) for line in code.splitlines())


def figures_apart(text: str) -> str:
    """Output without what differs from run to run, and without its widths and line breaks."""
    text = re.sub(r"\b(?:evt|src|dst)_\w+|cmp_[\w-]+…?", "ID", text)
    text = re.sub(r"\d+(?:[.,:-]\d+)*", "N", text)
    return " ".join(text.split())
