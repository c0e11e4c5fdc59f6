"""The ready files at the repository's root are what the templates say today."""

from pathlib import Path

from comporta.deploy.examples import examples

READY = Path(__file__).resolve().parents[3] / "deploy"
BY_HAND = ("README.md", "prometheus")


def test_the_ready_files_are_up_to_date_and_nothing_else_is_there() -> None:
    there = {
        str(path.relative_to(READY)): path.read_text()
        for path in READY.rglob("*")
        if path.is_file() and path.relative_to(READY).parts[0] not in BY_HAND
    }
    wanted = examples()
    assert there.keys() == wanted.keys(), "python -m comporta.deploy.examples deploy"
    for path, text in wanted.items():
        assert there[path] == text, f"{path}: python -m comporta.deploy.examples deploy"
