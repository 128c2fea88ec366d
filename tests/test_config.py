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
        ("CORS_ORIGINS", 5),
        ("CORS_HEADERS", "*"),
        ("CORS_HEADERS", ["X Tenant"]),
        ("CORS_HEADERS", ["X-Tenant\r\nSet-Cookie: a"]),
        ("CORS_HEADERS", 5),
        ("RATE_LIMIT", 5),
        ("OUTBOX_SIZE", 0),
        ("STRICT_EVENTS", 1),
        ("HANDOFF", "on"),
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


def test_a_key_that_is_none_of_ours_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "flask_sse_push"):
        Config.from_mapping({"SSE_PUSH_HEARTBEAT": 5})
    assert "SSE_PUSH_HEARTBEAT is not a setting" in caplog.text
