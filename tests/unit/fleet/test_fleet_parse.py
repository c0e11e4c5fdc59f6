"""Fleet files: what is read, and how everything else is refused."""

from pathlib import Path

import pytest

from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.errors import FleetError
from comporta.fleet.declared import Declared, GivenSecret
from comporta.fleet.parse import FILE_BYTES_MAX, load, parse
from comporta.vault import Vault, digest_token

VAULT = Vault(bytes(32))
SIGNING = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
INSTANCE = '[[instance]]\nname = "loja"\n'
SOURCE = f'{INSTANCE}[[instance.source]]\nname = "conta"\nkind = "account"\n'
DESTINATION = '[[destination]]\nname = "crm"\nurl = "http://crm/"\n'
ROUTE = f'{INSTANCE}{DESTINATION}[[route]]\nname = "tudo"\nto = ["crm"]\n'


def read(text: str) -> Declared:
    return parse(text, "fleet.toml", VAULT)


def refusal(text: str) -> str:
    with pytest.raises(FleetError) as caught:
        read(text)
    return str(caught.value)


def test_an_empty_file_is_an_empty_fleet() -> None:
    assert read("") == Declared()


def test_what_is_left_out_gets_its_default() -> None:
    declared = read(ROUTE)
    assert declared.destinations[0].timeout_s == 10
    assert declared.destinations[0].retry == DEFAULT_WAITS_S
    assert declared.routes[0].instances == declared.routes[0].events == ("*",)
    assert declared.routes[0].where == {}
    assert read(SOURCE).instances[0].sources[0].tokens == ()


def test_a_matcher_may_be_one_value_or_several() -> None:
    text = ROUTE + 'where = { inbox_id = [12, 14], message_type = "incoming", private = false }\n'
    assert read(text).routes[0].where == {
        "inbox_id": (12, 14),
        "message_type": ("incoming",),
        "private": (False,),
    }


def test_a_token_is_read_as_its_digest_with_the_beginning_of_long_ones() -> None:
    [token] = read(SOURCE + 'token = "abcdefghijklmnop"\n').instances[0].sources[0].tokens
    assert (token.digest, token.hint) == (digest_token("abcdefghijklmnop"), "")
    long = "cmp_" + "x" * 43
    [token] = read(f'{SOURCE}token = "{long}"\n').instances[0].sources[0].tokens
    assert token.hint == "cmp_xxxx"


def test_several_tokens_may_live_at_once() -> None:
    text = SOURCE + 'tokens = ["abcdefghijklmnop", "bcdefghijklmnopq"]\n'
    assert len(read(text).instances[0].sources[0].tokens) == 2


def test_tokens_and_secrets_may_stand_in_the_environment_or_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOJA_TOKEN", "abcdefghijklmnop")
    (tmp_path / "secret").write_text("s3cret\r\n")
    text = f'{SOURCE}token = "env:LOJA_TOKEN"\nsecrets = ["file:{tmp_path}/secret"]\n'
    [source] = read(text).instances[0].sources
    assert source.tokens[0].digest == digest_token("abcdefghijklmnop")
    assert source.tokens[0].ref == "env:LOJA_TOKEN"
    assert source.secrets == (GivenSecret("s3cret", ref=f"file:{tmp_path}/secret"),)


def test_a_reference_that_leads_nowhere_is_refused_on_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GONE", raising=False)
    assert refusal(SOURCE + 'token = "env:GONE"\n') == (
        'fleet.toml:6: The environment variable "GONE" is not set, or is empty.'
    )
    assert "cannot be read" in refusal(f'{SOURCE}secrets = ["file:{tmp_path}/gone"]\n')
    assert "cannot be read" in refusal(f'{SOURCE}secrets = ["file:{tmp_path}"]\n')
    (tmp_path / "empty").write_text("\n")
    assert "is empty or too large" in refusal(f'{SOURCE}token = "file:{tmp_path}/empty"\n')
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "is not a text file" in refusal(f'{SOURCE}token = "file:{tmp_path}/binary"\n')


def test_a_sealed_secret_is_read_back_and_one_from_elsewhere_is_refused() -> None:
    sealed = VAULT.seal("s3cret")
    [source] = read(f'{SOURCE}secrets = ["sealed:{sealed}"]\n').instances[0].sources
    assert source.secrets == (GivenSecret("s3cret", sealed),)
    foreign = Vault(b"x" * 32).seal("s3cret")
    assert "fleet.toml:6: A stored secret" in refusal(f'{SOURCE}secrets = ["sealed:{foreign}"]\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[instnace]]\n", '1: "instnace" is not known here. Did you mean "instance"?'),
        ("[instance]\nname = 'x'\n", "1: Write each of these under a line [[instance]]."),
        ("instance = 3\n", "1: Write each of these under a line [[instance]]."),
        ("[[instance]]\n", '1: "name" is missing here.'),
        ("[[instance]]\nnmae = 'x'\n", '2: "nmae" is not known here. Did you mean "name"?'),
        ("[[instance]]\nname = 3\n", "2: This must be a text in quotes."),
        ('[[instance]]\nname = ""\n', '2: "" is not a name'),
        ('[[instance]]\nname = "Loja São"\n', 'Did you mean "loja-sao"?'),
        (f'[[instance]]\nname = "{"a" * 65}"\n', "at most 64"),
        (INSTANCE + INSTANCE, '4: The name "loja" is taken already.'),
        (INSTANCE + 'url = "chat.example"\n', "3: A URL starts with http://"),
        (INSTANCE + 'url = "http://u:p@chat"\n', "3: This URL must not hold a user name"),
        (INSTANCE + "[[instance.source]]\nname = 'x'\n", '3: "kind" is missing here.'),
        (SOURCE.replace('"account"', '"acount"'), '5: "acount" is not a kind'),
        (SOURCE.replace('"account"', '"acount"'), 'Did you mean "account"?'),
        (SOURCE + SOURCE[len(INSTANCE) :], '7: The name "conta" is taken already.'),
        (SOURCE + 'token = "abcdefghijklmno"\n', "6: A token has 16 to 512 characters"),
        (SOURCE + f'token = "{"a" * 513}"\n', "6: A token has 16 to 512 characters"),
        (SOURCE + 'token = "abcdefgh/ijklmnop"\n', "6: A token is part of a URL"),
        (SOURCE + 'token = "sha256:abc"\n', "6: After sha256: come 64 characters"),
        (SOURCE + "tokens = []\n", "6: This list is empty."),
        (SOURCE + 'tokens = "abcdefghijklmnop"\n', "6: This must be a list of texts."),
        (SOURCE + "tokens = [\n1]\n", "7: This must be a text in quotes."),
        (
            SOURCE + 'tokens = ["abcdefghijklmnop"]\ntoken = "bcdefghijklmnopq"\n',
            "7: Give either token or tokens",
        ),
        (
            SOURCE + 'tokens = ["abcdefghijklmnop", "abcdefghijklmnop"]\n',
            "6: This token is given to loja/conta already",
        ),
        (SOURCE + 'secrets = [""]\n', "6: A secret has 1 to 512 characters."),
        (SOURCE + 'secrets = ["x", "x"]\n', "6: A secret is there twice."),
        (DESTINATION + 'secret = "abc"\n', "4: A destination's secret is whsec_"),
        (DESTINATION + 'secret = "whsec_AAAA"\n', "4: A destination's secret is whsec_"),
        (DESTINATION + f'secrets = ["{SIGNING}"]\n', 'Did you mean "secret"?'),
        (DESTINATION + "timeout_s = 0\n", "4: timeout_s must be more than 0"),
        (DESTINATION + "timeout_s = 121\n", "4: timeout_s must be more than 0"),
        (DESTINATION + "timeout_s = nan\n", "4: This number is far too large."),
        (DESTINATION + "timeout_s = true\n", "4: This must be a number."),
        (DESTINATION + "retry = 5\n", "4: This must be a list in brackets."),
        (DESTINATION + "retry = [5,\n-1]\n", "5: A wait is 0 to 604800 seconds."),
        (DESTINATION + f"retry = {[5] * 51}\n", "at most 50"),
        (DESTINATION + DESTINATION, '5: The name "crm" is taken already.'),
        (ROUTE + "to = 1\n", "9: This is not valid TOML"),
        (
            ROUTE.replace('"crm"]', '"crn"]'),
            '8: There is no destination "crn". Did you mean "crm"?',
        ),
        (ROUTE.replace('["crm"]', "[]"), "8: This list is empty"),
        (ROUTE.replace('["crm"]', '["crm", "crm"]'), '8: "crm" is there twice.'),
        (
            ROUTE + 'instances = ["lojas"]\n',
            '9: There is no instance "lojas". Did you mean "loja"?',
        ),
        (ROUTE + 'instances = ["loja[1]"]\n', '9: "loja[1]" is neither'),
        (ROUTE + 'events = ["message created"]\n', '9: "message created" is neither'),
        (ROUTE + 'events = ["[a-"]\n', '9: "[a-" is neither'),
        (ROUTE + "where = { inbx_id = 1 }\n", 'Did you mean "inbox_id"?'),
        (ROUTE + 'where = { inbox_id = "1" }\n', "9: inbox_id is a whole number"),
        (ROUTE + "where = { inbox_id = true }\n", "9: inbox_id is a whole number"),
        (ROUTE + "where = { private = 1 }\n", "9: private is true or false"),
        (ROUTE + "where = { status = 1 }\n", "9: status is a text"),
        (ROUTE + "where = { inbox_id = 1.5 }\n", "9: This must be a text, a whole number"),
        (ROUTE + "where = { inbox_id = [] }\n", "9: This list is empty"),
        (ROUTE + "where = { inbox_id = 9223372036854775808 }\n", "9: This number is far too large"),
        (ROUTE + "where = 1\n", "9: This must be a table: { field = value }."),
        (ROUTE + 'where = { status = "a\\u0000" }\n', "9: A text has at most"),
        (ROUTE + ROUTE[ROUTE.index("[[route]]") :], '10: The name "tudo" is taken already.'),
        ("x = \n", "1: This is not valid TOML"),
        ("x = " + "[" * 100_000, "This is not a fleet file"),
    ],
)
def test_what_is_wrong_is_refused_with_line_and_sentence(text: str, said: str) -> None:
    message = refusal(text)
    assert message.startswith("fleet.toml:")
    assert said in message


def test_one_token_for_two_sources_is_refused_and_not_repeated_in_the_message() -> None:
    other = SOURCE.replace("loja", "outra")
    text = SOURCE + 'token = "abcdefghijklmnop"\n' + other + 'token = "abcdefghijklmnop"\n'
    message = refusal(text)
    assert message.startswith("fleet.toml:12: This token is given to loja/conta already")
    assert "abcdefghijklmnop" not in message


def test_limits_hold_exactly_where_they_are_said_to_hold() -> None:
    sources = "".join(
        f'[[instance.source]]\nname = "s{number}"\nkind = "account"\n' for number in range(50)
    )
    assert len(read(INSTANCE + sources).instances[0].sources) == 50
    more = '[[instance.source]]\nname = "more"\nkind = "account"\n'
    assert "There are 51 of these; at most 50" in refusal(INSTANCE + sources + more)


def test_far_too_many_instances_or_bytes_are_refused() -> None:
    text = "".join(f'[[instance]]\nname = "i{number}"\n' for number in range(5001))
    assert "fleet.toml:10001: There are 5001 of these; at most 5000" in refusal(text)
    assert "at most 16 MiB" in refusal("#" * (FILE_BYTES_MAX + 1))


def test_an_event_type_that_is_nearly_a_known_one_is_allowed_with_a_warning() -> None:
    declared = read(ROUTE + 'events = ["mesage_created", "something_new", "contact_*"]\n')
    [warning] = declared.warnings
    assert warning.startswith("fleet.toml:9: ")
    assert 'Did you mean "message_created"?' in warning


def test_a_pattern_that_matches_no_instance_is_allowed_with_a_warning() -> None:
    assert read(ROUTE + 'instances = ["lo?a", "*"]\n').warnings == ()
    [warning] = read(ROUTE + 'instances = ["outra-*"]\n').warnings
    assert warning == 'fleet.toml:9: "outra-*" matches no instance now.'


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=f"{tmp_path}/gone.toml: The fleet file cannot be read"):
        load(tmp_path / "gone.toml", VAULT)
    (tmp_path / "latin.toml").write_bytes("# São".encode("latin-1"))
    with pytest.raises(FleetError, match="not UTF-8"):
        load(tmp_path / "latin.toml", VAULT)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_bytes(b"\xef\xbb\xbf" + INSTANCE.encode())
    assert load(tmp_path / "fleet.toml", VAULT).instances[0].name == "loja"
