"""`scripts/setup`: what it leaves alone."""

import shutil
import subprocess
from pathlib import Path

from tests.support.gateway import ROOT


def test_an_environment_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(
    tmp_path: Path,
) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    (here / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/setup", here / "scripts/setup")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, here / name)
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (here / ".venv").symlink_to(elsewhere)
    done = subprocess.run(
        ["bash", "scripts/setup"], cwd=here, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert ".venv is a symbolic link" in done.stderr
    assert "é um link simbólico" in done.stderr
    assert [one.name for one in elsewhere.iterdir()] == ["precious"]
