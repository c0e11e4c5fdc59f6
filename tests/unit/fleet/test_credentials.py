"""What a setting says of a token: itself or a file's content, and never nothing by mistake."""

from pathlib import Path

import pytest

from comporta.errors import ConfigError
from comporta.fleet.credentials import from_setting


def test_a_setting_gives_its_token_or_the_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" s3cret \n")
    assert from_setting("") == ""
    assert from_setting(" s3cret") == from_setting(f"file:{file}") == "s3cret"


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_a_file_without_a_token_is_refused_and_does_not_open_the_door(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(ConfigError):
        from_setting(f"file:{file}")
    with pytest.raises(ConfigError):
        from_setting(content or f"file:{file}.missing")
