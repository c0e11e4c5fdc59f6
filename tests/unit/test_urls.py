"""URLs: which are accepted, and what of them is shown."""

import pytest

from comporta.urls import handler_of, masked_url, url_problem, webhook_url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9001/hook",
        "https://n8n.example/webhook/a?b=c",
        "http://n8n",
        "http://[::1]:5678/x",
        "https://são.example",
    ],
)
def test_an_http_url_is_accepted(url: str) -> None:
    assert url_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "n8n.example",
        "ftp://n8n.example",
        "http://",
        "http:///path",
        "http://host:0",
        "http://host:99999",
        "http://host:x",
        "http://[::1",
        "http://host/a b",
        "http://host/\n",
        "http:\\\\host",
        "http://host/#part",
        "http://user:pass@host/",
        "http://host/" + "a" * 2048,
    ],
)
def test_what_is_not_an_http_url_is_refused(url: str) -> None:
    assert url_problem(url)


def test_a_login_is_accepted_only_where_it_is_expected() -> None:
    assert url_problem("http://user:pass@host/", login=True) == ""


def test_passwords_and_queries_are_not_shown() -> None:
    shown = masked_url("https://user:s3cret@host:1/path?key=s3cret")
    assert shown == "https://user:***@host:1/path?***"
    assert masked_url("https://host/path") == "https://host/path"


def test_a_webhook_url_has_one_slash_whatever_it_was_given() -> None:
    assert webhook_url("https://in.example/", "cmp_a-b") == "https://in.example/webhook/cmp_a-b"
    assert webhook_url("https://in.example", "a/b") == "https://in.example/webhook/a%2Fb"


def test_a_handler_has_a_url_that_names_it_and_is_shown_as_it_is() -> None:
    assert handler_of("handler:answer") == "answer"
    assert handler_of("https://handler:answer@n8n/") is None
    assert masked_url("handler:answer") == "handler:answer"
    assert url_problem("handler:answer") != "", "only destinations may be handlers"
