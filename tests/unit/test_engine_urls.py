"""URLs of engines: which there are, what each can be, how a wrong one is refused."""

import pytest

from comporta.engines import ENGINES, URL_CHARS_MAX, Store, engine_of, path_of


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_example_of_each_engine_is_one(engine: object) -> None:
    assert [
        engine_of(engine.example, store).name  # type: ignore[attr-defined]
        for store in engine.stores  # type: ignore[attr-defined]
    ] == [engine.name] * len(engine.stores)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:26379,b:26379/mymaster/0",
        "rediss+cluster://user:p%40ss@a,b",
        "kafka://u:p@a:9092,b:9092/topic?security.protocol=SASL_SSL",
        "amqps://[::1]/vhost",
    ],
)
def test_urls_with_many_hosts_and_options_pass(url: str) -> None:
    engine_of(url, Store.LOG)


@pytest.mark.parametrize(
    ("url", "store", "said"),
    [
        ("rediss", Store.LOG, "There is no engine"),
        ("radis://a", Store.LOG, 'Did you mean "redis"'),
        ("redis://", Store.LOG, "redis://localhost:6379"),
        ("redis://user@", Store.LOG, "redis://localhost:6379"),
        ("redis://[::1", Store.LOG, "redis://localhost:6379"),
        ("kafka://a\nb/x", Store.LOG, "kafka://localhost:9092/comporta"),
        ("amqp://a/" + "x" * URL_CHARS_MAX, Store.LOG, "amqp://"),
        ("sqlite:", Store.LEDGER, "sqlite:data/log.db"),
        ("amqp://a", Store.STATE, "rabbitmq cannot be the state"),
    ],
)
def test_a_wrong_url_is_refused_in_a_sentence(url: str, store: Store, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        engine_of(url, store)


def test_only_an_embedded_engine_has_a_path() -> None:
    assert path_of("sqlite:/a:b.db") == "/a:b.db"
    assert path_of("redis://a/b") == ""
