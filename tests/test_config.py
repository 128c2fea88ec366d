"""Every setting, and that a wrong value raises an error that names its key."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask

from flask_sse_push import ConfigError, SSEPush
from flask_sse_push.config import Config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BACKEND_URL", "http://example.org"),
        ("BACKEND_URL", None),
        ("URL_PREFIX", "sse"),
        ("URL_PREFIX", "/sse/"),
        ("KEY_PREFIX", "a{b}"),
        ("KEY_PREFIX", ""),
        ("HEARTBEAT_SECONDS", 0),
        ("HEARTBEAT_SECONDS", "15"),
        ("HEARTBEAT_SECONDS", float("nan")),
        ("RETRY_MS", -1),
        ("RETRY_MS", 2.5),
        ("RETRY_MS", True),
        ("HISTORY_SIZE", 0),
        ("HISTORY_SECONDS", -5),
        ("HISTORY_BYTES", "64M"),
        ("LOG_SIZE", 0),
        ("MAILBOX_SIZE", -1),
        ("MAILBOX_SECONDS", None),
        ("MAX_PENDING_BYTES", 0),
        ("MAX_PENDING_BYTES", 1000),
        ("MAX_EVENT_BYTES", None),
        ("MAX_CONNECTIONS", 0),
        ("MAX_CONNECTIONS_PER_USER", 1.0),
        ("MAX_CONNECTION_SECONDS", 0),
        ("CORS_ORIGINS", ["shop.example"]),
        ("CORS_ORIGINS", "https://shop.example/path"),
        ("CORS_ORIGINS", "https://shop.example/"),
        ("CORS_ORIGINS", ["https://shop.example", 5]),
        ("CORS_ORIGINS", "https://shop.example:no"),
        ("CORS_ORIGINS", 5),
        ("CORS_HEADERS", "*"),
        ("CORS_HEADERS", ["X Tenant"]),
        ("CORS_HEADERS", ["X-Tenant\r\nSet-Cookie: a"]),
        ("CORS_HEADERS", 5),
        ("RATE_LIMIT", 5),
        ("OUTBOX_SIZE", 0),
        ("STRICT_EVENTS", 1),
        ("HANDOFF", "on"),
        ("ACKNOWLEDGE", "never"),
        ("MAILBOX_EVENTS", "chat-message"),
        ("MAILBOX_EVENTS", [1]),
    ],
)
def test_a_wrong_value_is_refused_at_init_app_by_its_key(key: str, value: Any) -> None:
    app = Flask("tests")
    app.config[f"SSE_PUSH_{key}"] = value
    with pytest.raises(ConfigError, match=f"^SSE_PUSH_{key} must be"):
        SSEPush(app)


def test_what_is_set_is_read_and_the_rest_has_defaults() -> None:
    config = Config.from_mapping(
        {
            "SSE_PUSH_HEARTBEAT_SECONDS": 5,
            "SSE_PUSH_CORS_ORIGINS": "https://shop.example",
            "SSE_PUSH_MAX_CONNECTIONS": None,
            "SSE_PUSH_MAX_CONNECTION_SECONDS": None,
            "OTHER": 1,
        }
    )
    assert config.heartbeat_seconds == 5.0
    assert config.cors_origins == ("https://shop.example",)
    assert config.max_connections is None
    assert config.max_connection_seconds is None
    assert (config.backend_url, config.url_prefix) == ("memory://", "/sse")
    assert (config.retry_ms, config.handoff) == (3000, "auto")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://shop.example/", "https://shop.example"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("https://shop.example/path?q", "https://shop.example"),
        ("https://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_an_origin_that_no_browser_sends_is_put_right(written: str, meant: str) -> None:
    slash = "has a slash at its end, " if written == meant + "/" else ""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({"SSE_PUSH_CORS_ORIGINS": ["*", written]})
    assert f"{written!r} {slash}" in str(caught.value)
    assert f"write {meant!r}" in str(caught.value)
    config = Config.from_mapping({"SSE_PUSH_CORS_ORIGINS": ["*", meant]})
    assert config.cors_origins == ("*", meant)


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("HEARTBEAT", "did you mean SSE_PUSH_HEARTBEAT_SECONDS?"),
        ("HEARTBEAT_SECOND", "did you mean SSE_PUSH_HEARTBEAT_SECONDS?"),
        ("BACKEND_URI", "did you mean SSE_PUSH_BACKEND_URL?"),
        ("CORS_ORIGIN", "did you mean SSE_PUSH_CORS_ORIGINS?"),
        ("MAILBOX_EVENT", "did you mean SSE_PUSH_MAILBOX_EVENTS?"),
        ("XYZ", "check the spelling"),
    ],
)
def test_a_key_that_is_none_of_ours_is_logged_with_the_nearest(
    key: str, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "flask_sse_push"):
        Config.from_mapping({f"SSE_PUSH_{key}": 5})
    assert f"SSE_PUSH_{key} is not a setting of flask_sse_push: {advice}" in caplog.text
