"""The extension in an application: setting it up, what it starts, and clean-up."""

from __future__ import annotations

import gc
import io
import threading
import weakref

import pytest
from flask import Blueprint, Flask, current_app

from flask_sse_push import ConfigError, Receipt, SSEPush
from tests.support.clients import eventually


def test_two_applications_and_two_extensions_keep_apart() -> None:
    sse = SSEPush()
    one, two = Flask("one"), Flask("two")
    sse.init_app(one)
    sse.init_app(two)
    with one.app_context():
        sse.broadcast("x", {})
        assert sse.health()["historyEvents"] == 1
    with two.app_context():
        assert sse.health()["historyEvents"] == 0
    with pytest.raises(ConfigError, match="app_context"):
        sse.broadcast("x", {})
    with pytest.raises(ConfigError, match="already"):
        SSEPush(one)
    with Flask("three").app_context(), pytest.raises(ConfigError, match="init_app"):
        sse.broadcast("x", {})


def test_after_a_second_application_verbs_need_a_context(app: Flask) -> None:
    # Even if the first application is no longer in use.
    sse = SSEPush(app)
    sse.broadcast("x", {})
    with Flask("second").app_context():
        sse.init_app(current_app._get_current_object())  # type: ignore[attr-defined]
        sse.broadcast("x", {})
    gc.collect()
    with pytest.raises(ConfigError, match="app_context"):
        sse.broadcast("x", {})


def test_before_init_app_the_error_names_it() -> None:
    with pytest.raises(ConfigError, match="call init_app"):
        SSEPush().broadcast("x", {})
    with pytest.raises(ConfigError, match="needs a Flask application"):
        SSEPush("app")  # type: ignore[arg-type]


def test_an_init_app_that_fails_leaves_nothing(app: Flask) -> None:
    app.register_blueprint(Blueprint("sse_push", __name__))
    for _ in range(2):
        with pytest.raises(ValueError, match="already registered"):
            SSEPush(app)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:notaport",
        "redis+sentinel://host",
        "redis://localhost:6379/abc",
        "redis://localhost?bogus=1",
    ],
)
def test_a_url_that_cannot_work_is_refused_at_init_app(app: Flask, url: str) -> None:
    app.config["SSE_PUSH_BACKEND_URL"] = url
    with pytest.raises(ConfigError, match="SSE_PUSH_BACKEND_URL"):
        SSEPush(app)


def test_a_worker_for_one_request_at_a_time_is_refused(
    app: Flask, sse: SSEPush
) -> None:
    with pytest.raises(ConfigError, match="-k gevent"):
        app.test_client().get(
            "/sse/stream",
            environ_overrides={"gunicorn.socket": None, "wsgi.multithread": False},
        )


def test_one_application_needs_no_context_and_is_not_kept_alive() -> None:
    app = Flask("tests")
    sse = SSEPush(app)
    assert isinstance(sse.broadcast("x", {}), Receipt)
    known = weakref.ref(app)
    del app
    gc.collect()
    assert known() is None


def test_init_app_starts_nothing(app: Flask) -> None:
    before = set(threading.enumerate())
    sse = SSEPush(app)
    sse.broadcast("x", {})
    assert not set(threading.enumerate()) - before


def test_without_open_streams_no_thread_is_left(app: Flask, sse: SSEPush) -> None:
    app.config["SSE_PUSH_HEARTBEAT_SECONDS"] = 1
    # Threads of earlier tests may end in the meantime.
    before = set(threading.enumerate())
    responses = [app.test_client().get("/sse/stream", buffered=False) for _ in "abc"]
    assert set(threading.enumerate()) - before
    for response in responses:
        response.close()
    eventually(lambda: not set(threading.enumerate()) - before)


def test_a_gevent_server_in_a_process_that_is_not_patched_is_refused(
    app: Flask, sse: SSEPush
) -> None:
    from gevent.pywsgi import Input

    body = Input(io.BufferedReader(io.BytesIO()), 0)

    with pytest.raises(ConfigError, match="patch_all"):
        app.test_client().get(
            "/sse/stream",
            environ_overrides={"wsgi.input": body},
        )


def test_several_processes_with_the_memory_backend_are_refused(
    app: Flask, sse: SSEPush
) -> None:
    @app.post("/send")
    def send() -> str:
        sse.broadcast("x", {})
        return ""

    client = app.test_client()
    several = {"wsgi.multiprocess": True}
    with pytest.raises(ConfigError, match="SSE_PUSH_BACKEND_URL"):
        client.get("/sse/stream", environ_overrides=several)
    with pytest.raises(ConfigError, match="SSE_PUSH_BACKEND_URL"):
        client.post("/send", environ_overrides=several)


def test_a_fork_starts_afresh(app: Flask, sse: SSEPush) -> None:
    state = app.extensions["sse_push"]
    sse.broadcast("x", {})
    worker = state.engine
    assert state.engine is worker
    state._engine_pid -= 1
    assert state.engine is not worker
