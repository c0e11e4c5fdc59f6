"""The vault: what is sealed opens with the same key only, and the key is kept to oneself."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from comporta.errors import ConfigError
from comporta.settings import Settings
from comporta.vault import Vault, digest_token, new_token

VAULT = Vault(bytes(32))


@examples(deadline=None)
@given(st.text())
def test_what_is_sealed_opens_to_the_same_text(text: str) -> None:
    sealed = VAULT.seal(text)
    assert sealed.startswith("v1:")
    assert VAULT.open(sealed) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert VAULT.seal("x") != VAULT.seal("x")


def test_another_key_does_not_open_it_and_says_so_in_clear_words() -> None:
    with pytest.raises(ConfigError, match="sealed under another key") as caught:
        Vault(b"1" * 32).open(VAULT.seal("s3cret"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("sealed", ["", "x", "v1:", "v1:????", "v1:AAAA", "v2:AAAA", "v1:é"])
def test_a_damaged_secret_is_refused_in_clear_words(sealed: str) -> None:
    with pytest.raises(ConfigError, match="damaged"):
        VAULT.open(sealed)


@examples(deadline=None)
@given(st.integers(0, 1000))
def test_no_single_changed_byte_goes_unnoticed(place: int) -> None:
    raw = bytearray(base64.b64decode(VAULT.seal("secret")[3:]))
    raw[place % len(raw)] ^= 1
    with pytest.raises(ConfigError):
        VAULT.open("v1:" + base64.b64encode(raw).decode())


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="32 bytes; this one has 31"):
        Vault(bytes(31))


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "deep" / "data")
    sealed = Vault.at(settings).seal("x")
    assert Vault.at(settings).open(sealed) == "x"
    assert (settings.data / "key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in settings.data.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_to_run(
    tmp_path: Path, mode: int
) -> None:
    settings = Settings(data=tmp_path)
    Vault.at(settings)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {tmp_path}/key"):
        Vault.at(settings)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    """Each waits for the others at a pipe, then all make the key at the same moment."""
    program = (
        "import sys; from comporta.settings import Settings; from comporta.vault import Vault\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "print(Vault.at(Settings(data=sys.argv[1])).seal('x'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _number in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    sealed = [process.communicate(timeout=30)[0].strip() for process in processes]
    vault = Vault.at(Settings(data=tmp_path / "data"))
    assert [vault.open(each) for each in sealed] == ["x"] * 6
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["key"]


def test_a_key_may_be_given_or_kept_in_a_file_elsewhere(tmp_path: Path) -> None:
    text = base64.b64encode(b"k" * 32).decode()
    (tmp_path / "mounted").write_text(text + "\n")
    given_ = Vault.at(Settings(data=tmp_path, key=text))
    mounted = Vault.at(Settings(data=tmp_path, key=f"file:{tmp_path}/mounted"))
    assert mounted.open(given_.seal("x")) == "x"
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("key", ["short", "AAAA", "é", "?" * 44])
def test_a_malformed_key_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand -base64 32") as caught:
        Vault.at(Settings(data=tmp_path, key=key))
    assert f" {key}" not in str(caught.value)


def test_a_key_file_that_is_missing_or_empty_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/gone cannot be read"):
        Vault.at(Settings(data=tmp_path, key=f"file:{tmp_path}/gone"))
    (tmp_path / "key").write_text("")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ConfigError, match=f"{tmp_path}/key does not hold a key"):
        Vault.at(Settings(data=tmp_path))


def test_a_data_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=f"{tmp_path}/file/data/key cannot be made"):
        Vault.at(Settings(data=tmp_path / "file" / "data"))


def test_a_token_is_long_random_and_safe_in_a_url() -> None:
    tokens = {new_token() for _number in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"cmp_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_a_digest_is_sha256_in_lower_case_hexadecimal() -> None:
    assert digest_token("abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
