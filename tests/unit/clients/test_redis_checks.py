"""What is said of a Redis by what it says of itself."""

import pytest

from comporta.clients.redis_checks import Facts, judge_log, judge_state

SAFE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "min-replicas-to-write": "1",
    "proto-max-bulk-len": "536870912",
}
FRAME_BYTES_MAX = 25 << 20


def facts(version: str = "7.0.15", **changed: str) -> Facts:
    return Facts("db:6379", version, SAFE | {k.replace("_", "-"): v for k, v in changed.items()})


def of_log(*servers: Facts, replicated: bool = False) -> tuple[str, tuple[str, ...]]:
    found = judge_log(servers, replicated=replicated, frame_bytes_max=FRAME_BYTES_MAX)
    return found.error, found.warnings


def test_a_safe_server_is_used_without_a_word() -> None:
    assert of_log(facts()) == ("", ())
    assert of_log(facts(), replicated=True) == ("", ())
    assert judge_state([facts()]).warnings == ()


@pytest.mark.parametrize("version", ["6.2.14", "5.0"])
def test_an_old_server_is_refused(version: str) -> None:
    assert version in of_log(facts(version))[0]
    assert version in judge_state([facts(version)]).error


@pytest.mark.parametrize("version", ["7.0.0", "7.2.4", "8.0.1", "10.1", ""])
def test_a_server_of_today_or_one_that_does_not_tell_is_used(version: str) -> None:
    assert of_log(facts(version)) == ("", ())
    assert judge_state([facts(version)]).error == ""


def test_one_dangerous_server_of_a_cluster_is_enough_to_refuse_it() -> None:
    error, _warnings = of_log(facts(), facts(appendonly="no"))
    assert "appendonly no" in error


def test_what_evicts_is_refused_for_a_log_and_warned_of_for_a_state() -> None:
    assert "allkeys-lru" in of_log(facts(maxmemory_policy="allkeys-lru"))[0]
    found = judge_state([facts(maxmemory_policy="volatile-ttl")])
    assert found.error == ""
    assert "volatile-ttl" in found.warnings[0]


def test_a_server_that_cannot_take_the_largest_event_is_refused() -> None:
    assert of_log(facts(proto_max_bulk_len=str(FRAME_BYTES_MAX)))[0] == ""
    assert "proto-max-bulk-len" in of_log(facts(proto_max_bulk_len=str(FRAME_BYTES_MAX - 1)))[0]


def test_replicas_that_nobody_waits_for_are_a_warning_where_one_may_take_over() -> None:
    alone = facts(min_replicas_to_write="0")
    assert of_log(alone) == ("", ())
    assert "min-replicas-to-write" in of_log(alone, replicated=True)[1][0]


def test_settings_that_may_not_be_asked_are_a_warning() -> None:
    hidden = Facts("db:6379", "7.0.15", None)
    error, (warning,) = of_log(hidden)
    assert (error, "CONFIG GET" in warning) == ("", True)
    assert judge_state([hidden]).warnings == ()
