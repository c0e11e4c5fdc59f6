"""Proposals for mistyped names."""

from comporta.words import did_you_mean, nearest


def test_the_nearest_name_is_proposed_whatever_its_case() -> None:
    assert did_you_mean("PROT", ["port", "host"]) == 'Did you mean "port"?'
    assert nearest("loja-sq", ["Loja-SP", "crm"]) == "Loja-SP"


def test_nothing_is_proposed_where_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["port", "host"]) == ""
    assert did_you_mean("port", []) == ""
    assert did_you_mean("", ["port"]) == ""


def test_an_endless_word_is_answered_at_once() -> None:
    assert did_you_mean("a" * 10_000_000, ["port"]) == ""
