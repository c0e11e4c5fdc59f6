"""From a presented token to its source: every live token finds its own, nothing else finds any."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.fleet import Fleet, Instance, Secret, Source, SourceKind, Token
from comporta.ingest.directory import Directory
from comporta.vault import digest_token

texts = st.text(min_size=1, max_size=20)


@given(st.lists(st.lists(texts, max_size=3), max_size=5), st.lists(st.text(max_size=20)))
def test_every_live_token_finds_its_own_source_and_nothing_else_finds_any(
    given_tokens: list[list[str]], others: list[str]
) -> None:
    owners = {token: number for number, tokens in enumerate(given_tokens) for token in tokens}
    instances = tuple(
        Instance(
            f"ins_{number}",
            f"loja-{number}",
            sources=(
                Source(
                    f"src_{number}",
                    "conta",
                    SourceKind.ACCOUNT,
                    tuple(Token(digest_token(t)) for t in tokens if owners[t] == number),
                    (Secret(f"sealed-{number}"),),
                ),
            ),
        )
        for number, tokens in enumerate(given_tokens)
    )
    directory = Directory(Fleet(instances=instances), lambda secret: secret.sealed.upper())
    for token, number in owners.items():
        caller = directory.find(token)
        assert caller is not None
        assert (caller.source_id, caller.instance_name) == (f"src_{number}", f"loja-{number}")
        assert caller.secrets == (f"SEALED-{number}".encode(),)
        assert directory.find(digest_token(token)) is None, "a digest is not a token"
    for other in others:
        assert (directory.find(other) is None) is (other not in owners)
