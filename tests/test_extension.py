"""The extension as an application uses it, in one process and with no server."""

from __future__ import annotations

import gc
import io
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, current_app, make_response, request
from marshmallow import Schema, fields
from werkzeug.test import run_wsgi_app

from flask_sse_push import (
    ConfigError,
    Event,
    EventError,
    PayloadError,
    Receipt,
    SSEPush,
    signals,
)
from flask_sse_push.testing import StreamReader
from tests.support.clients import eventually


def bodies(response: Any, count: int) -> list[dict[str, Any]]:
    """The data of the first events of a stream, which is closed then."""
    found: list[dict[str, Any]] = []
    for chunk in response.response:
        found += [
            json.loads(line.removeprefix(b"data: "))
            for line in chunk.splitlines()
            if line.startswith(b"data: ")
        ]
        if len(found) >= count:
            break
    response.close()
    return found


@pytest.fixture
def context(app: Flask, sse: SSEPush) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
def test_a_receipt_tells_the_id_and_whether_anybody_was_there(
    app: Flask, sse: SSEPush
) -> None:
    first = sse.send_to_user(1, "x", {})
    assert (first.queued, first.connected) == (False, False)
    sse.user_loader(lambda: 1)
    response = app.test_client().get("/sse/stream", buffered=False)
    second = sse.send_to_user("1", "x", {})
    assert second.connected is True
    assert first.id is not None
    assert second.id is not None
    assert first.id < second.id
    assert second.wait(0)
    assert [b["timestamp"] for b in bodies(response, 2)]


@pytest.mark.usefixtures("context")
def test_send_to_users_sends_all_or_nothing(sse: SSEPush) -> None:
    with pytest.raises(EventError):
        sse.send_to_users([1, None], "x", {})
    assert sse.health()["historyEvents"] == 0
    receipts = sse.send_to_users([1, 2], "x", {})
    assert len({receipt.id for receipt in receipts}) == 2


@pytest.mark.usefixtures("context")
def test_one_id_arrives_once(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    first = sse.send_to_user(1, "x", {"a": 1}, id="order-5")
    again = sse.send_to_user(1, "x", {"a": 1}, id="order-5")
    other = sse.send_to_user(2, "x", {"a": 1}, id="order-5")
    sse.send_to_user(1, "x", {"a": 2})
    assert first.id == again.id != other.id
    response = app.test_client().get("/sse/stream", buffered=False)
    received = bodies(response, 2)
    assert [body["a"] for body in received] == [1, 2]
    assert received[0]["id"] == "order-5"


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("event", "data", "error"),
    [
        ("notification", {"type": "odd", "message": "x"}, PayloadError),
        ("notification", "text", PayloadError),
        ("x", {"a": object()}, PayloadError),
        ("x", {"a": float("nan")}, PayloadError),
        ("x", {"a": "\ud800"}, EventError),
        ("x", {"a": "x" * 70_000}, PayloadError),
        ("x", {"a": "ä" * 33_000}, PayloadError),
        ("sse-push-gap", {}, EventError),
        ("a\nb", {}, EventError),
        ("", {}, EventError),
    ],
)
def test_what_cannot_be_sent_is_refused_and_told(
    app: Flask, sse: SSEPush, event: str, data: Any, error: type[Exception]
) -> None:
    told = []

    def listen(sender: Flask, **what: Any) -> None:
        told.append((sender, what["event"]))

    with signals.event_failed.connected_to(listen), pytest.raises(error):
        sse.broadcast(event, data)
    assert told == [(app, event)]
    assert sse.health()["historyEvents"] == 0


@pytest.mark.usefixtures("context")
def test_signals_do_what_the_verbs_do(app: Flask, sse: SSEPush) -> None:
    published = []

    def listen(sender: Flask, **what: Any) -> None:
        published.append((what["channel"], what["event"], what["receipt"].id))

    with signals.event_published.connected_to(listen, app):
        [(_, one)] = signals.user_event.send(app, user_id=1, event="x", data={})
        [(_, two)] = signals.group_event.send(app, group="g", event="y", data={})
        [(_, all)] = signals.broadcast_event.send(app, event="z", data={}, store=False)
    assert published == [
        ("user:1", "x", one.id),
        ("group:g", "y", two.id),
        ("all", "z", all.id),
    ]
    with pytest.raises(PayloadError):
        signals.user_event.send(app, user_id=1, event="notification", data={})


def test_streams_tell_when_they_open_and_end(app: Flask, sse: SSEPush) -> None:
    told: list[Any] = []

    def opened(sender: Flask, **what: Any) -> None:
        told.append((sender, what))

    def ended(sender: Flask, **what: Any) -> None:
        assert what.pop("duration") >= 0
        told.append((sender, what))

    sse.user_loader(lambda: 7)
    with (
        signals.client_connected.connected_to(opened, app),
        signals.client_disconnected.connected_to(ended, app),
    ):
        response = app.test_client().get("/sse/stream", buffered=False)
        assert sse.get_client_count() == 1
        assert sse.is_user_connected(7)
        response.close()
        eventually(lambda: len(told) == 2)
    assert told == [
        (app, {"user_id": "7"}),
        (app, {"user_id": "7", "reason": "gone"}),
    ]
    assert sse.get_client_count() == 0


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
    # Also when the first is gone, but for the garbage collector.
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
    with pytest.raises(ConfigError, match="takes a Flask application"):
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


class Names(str, Enum):  # noqa: UP042 (as people write it who know no StrEnum)
    NOTE = "notification"
    ADA = "ada"


@pytest.mark.usefixtures("context")
def test_members_of_text_enumerations_go_by_their_values(
    app: Flask, sse: SSEPush
) -> None:
    sse.user_loader(lambda: Names.ADA)
    receipt = sse.send_to_user(Names.ADA, Names.NOTE, {"message": "m"}, id=Names.ADA)
    response = app.test_client().get("/sse/stream", buffered=False)
    chunk = next(iter(response.response))
    response.close()
    assert f"id: {receipt.id}\nevent: notification\n".encode() in chunk
    assert b'"id":"ada"' in chunk


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    "send",
    [
        lambda sse: sse.send_to_users("ada", "x", {}),
        lambda sse: sse.send_to_users(None, "x", {}),
        lambda sse: sse.send_to_users(5, "x", {}),
        lambda sse: sse.broadcast("x", {}, priority="medium"),
        lambda sse: sse.broadcast("x", {}, priority=None),
        lambda sse: sse.broadcast(5, {}),
        lambda sse: sse.broadcast(None, {}),
        lambda sse: sse.broadcast("x", {}, id=""),
        lambda sse: sse.send_to_group(5, "x", {}),
        lambda sse: sse.acknowledge("ada", None),
        lambda sse: sse.acknowledge("ada", sse.broadcast("x", {})),
        lambda sse: Event(name=5),  # type: ignore[arg-type]
        lambda sse: Event(data={}),  # type: ignore[arg-type]
        lambda sse: Event(channel="bogus"),
    ],
)
def test_arguments_that_are_none_get_an_error_of_ours(
    sse: SSEPush, send: Callable[[SSEPush], object]
) -> None:
    with pytest.raises(EventError):
        send(sse)


@pytest.mark.usefixtures("context")
def test_data_nested_too_deeply_is_refused(sse: SSEPush) -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"a": data}
    with pytest.raises(PayloadError):
        sse.broadcast("x", data)


@pytest.mark.usefixtures("context")
def test_a_signal_takes_the_application_or_its_proxy_as_sender(sse: SSEPush) -> None:
    [(_, receipt)] = signals.broadcast_event.send(current_app, event="x", data={})
    assert receipt.id is not None
    for sender in (None, "app", Flask("without")):
        with pytest.raises(ConfigError):
            signals.broadcast_event.send(sender, event="x", data={})


@pytest.mark.usefixtures("context")
def test_a_receivers_fault_is_not_the_senders(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: Flask, **what: Any) -> None:
        raise RuntimeError("a receiver's fault")

    with signals.event_published.connected_to(fail, app):
        assert len(sse.send_to_users([1, 2], "x", {})) == 2
    assert "a receiver's fault" in caplog.text


@pytest.mark.parametrize("loaded", [object(), "", 1.5, True])
def test_a_user_loader_gives_an_id(app: Flask, sse: SSEPush, loaded: object) -> None:
    sse.user_loader(lambda: loaded)
    with pytest.raises(ConfigError, match="user_loader gives"):
        app.test_client().get("/sse/stream")


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
    # Threads of earlier tests may end meanwhile.
    before = set(threading.enumerate())
    responses = [app.test_client().get("/sse/stream", buffered=False) for _ in "abc"]
    assert set(threading.enumerate()) - before
    for response in responses:
        response.close()
    eventually(lambda: not set(threading.enumerate()) - before)


def test_a_schema_may_be_registered_before_init_app(app: Flask) -> None:
    class Parcel(Schema):
        weight = fields.Float(required=True)

    sse = SSEPush()
    sse.register_schema("parcel", Parcel)
    sse.init_app(app)
    with pytest.raises(PayloadError) as refused:
        sse.broadcast("parcel", {})
    assert refused.value.messages == {"weight": ["Missing data for required field."]}


def test_strict_events_refuse_unknown_names(app: Flask) -> None:
    app.config["SSE_PUSH_STRICT_EVENTS"] = True
    sse = SSEPush(app)
    with pytest.raises(PayloadError, match="SSE_PUSH_STRICT_EVENTS"):
        sse.broadcast("unknown", {})
    sse.broadcast("notification", {"type": "info", "message": "known"})


def test_who_may_open_a_stream(app: Flask, sse: SSEPush) -> None:
    @sse.user_loader
    def load() -> str | None:
        return request.args.get("user")

    @sse.authorizer
    def may_open(user_id: str | None) -> bool:
        return user_id == "1"

    client = app.test_client()
    assert client.get("/sse/stream").status_code == 401
    assert client.get("/sse/stream?user=2").status_code == 403
    assert client.post("/sse/ack", json={"id": "1-1"}).status_code == 401
    response = client.get("/sse/stream?user=1", buffered=False)
    assert response.status_code == 200
    response.close()


def test_the_loaders_error_is_the_applications(app: Flask, sse: SSEPush) -> None:
    @sse.user_loader
    def load() -> str:
        raise LookupError("no such session")

    with pytest.raises(LookupError):
        app.test_client().get("/sse/stream")
    assert sse.get_client_count() == 0


def test_a_groups_loader_is_not_asked_for_nobody(app: Flask, sse: SSEPush) -> None:
    @sse.groups_loader
    def load(user_id: str) -> list[str]:
        raise AssertionError(user_id)

    response = app.test_client().get("/sse/stream", buffered=False)
    assert response.status_code == 200
    response.close()


class OwnResponse(Response):
    """What an application may set as its ``response_class``."""

    default_mimetype = "application/json"


def test_an_application_may_have_a_response_class_of_its_own(
    app: Flask, sse: SSEPush
) -> None:
    app.response_class = OwnResponse
    kinds: list[type[Response]] = []

    @app.get("/own")
    def own() -> Response:
        return make_response(sse.stream_response("7"))

    @app.after_request
    def note(response: Response) -> Response:
        kinds.append(type(response))
        return response

    for path in ("/sse/stream", "/own"):
        response = app.test_client().get(path, buffered=False)
        assert response.mimetype == "text/event-stream"
        sse.broadcast("x", {"a": 1})
        assert bodies(response, 1)[0]["a"] == 1
    assert [issubclass(kind, OwnResponse) for kind in kinds] == [True, True]


def test_streams_have_no_context_of_the_request(app: Flask, sse: SSEPush) -> None:
    torn_down: list[BaseException | None] = []
    app.teardown_request(torn_down.append)
    response = app.test_client().get("/sse/stream", buffered=False)
    assert torn_down == [None]
    sse.broadcast("x", {"a": 1})
    assert bodies(response, 1)[0]["a"] == 1


def test_a_hook_that_reads_the_body_gets_an_error_not_a_hang(
    app: Flask, sse: SSEPush
) -> None:
    @app.after_request
    def measure(response: Response) -> Response:
        response.get_data()
        return response

    with pytest.raises(RuntimeError, match="passthrough"):
        app.test_client().get("/sse/stream")
    assert sse.get_client_count() == 0


def test_groups_are_several_names(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    sse.groups_loader(lambda user_id: "admins")
    with pytest.raises(ConfigError, match="groups_loader gives several names"):
        app.test_client().get("/sse/stream")


def test_a_fault_at_the_start_of_a_stream_does_not_end_it(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: Flask, user_id: str | None) -> None:
        raise RuntimeError("a receiver's fault")

    with signals.client_connected.connected_to(fail, app):
        response = app.test_client().get("/sse/stream", buffered=False)
    sse.broadcast("x", {"a": 1})
    assert bodies(response, 1)[0]["a"] == 1
    assert "a receiver's fault" in caplog.text


class Interrupted(BaseException):
    """What ends a request from outside, such as ``gevent.Timeout``."""


def test_a_request_that_is_interrupted_leaves_no_stream_open(
    app: Flask, sse: SSEPush
) -> None:
    reasons: list[str] = []

    def interrupt(sender: Flask, user_id: str | None) -> None:
        raise Interrupted

    def ended(sender: Flask, reason: str, **what: Any) -> None:
        reasons.append(reason)

    with (
        signals.client_connected.connected_to(interrupt, app),
        signals.client_disconnected.connected_to(ended, app),
    ):
        with pytest.raises(Interrupted):
            app.test_client().get("/sse/stream")
        assert sse.get_client_count() == 0
        eventually(lambda: reasons == ["error"])


def test_a_stream_that_cannot_be_registered_is_none(
    app: Flask, sse: SSEPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            app.test_client().get("/sse/stream")
        assert sse.get_client_count() == 0
    with StreamReader(app.test_client()) as stream:
        sse.broadcast("x", {"a": 1})
        assert stream.next(timeout=10).data["a"] == 1


def test_a_fault_at_the_end_of_a_stream_keeps_nobody_from_being_told(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    users: list[str | None] = []

    def fail() -> None:
        raise RuntimeError("an application's fault")

    def ended(sender: Flask, user_id: str | None, **what: Any) -> None:
        users.append(user_id)

    @app.get("/own")
    def own() -> Response:
        response = sse.stream_response("7")
        response.call_on_close(fail)
        return response

    with signals.client_disconnected.connected_to(ended, app):
        app.test_client().get("/own", buffered=False).close()
        eventually(lambda: users == ["7"])
    assert "an application's fault" in caplog.text


def test_the_limit_of_a_user_holds_for_many_who_come_at_once(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTIONS_PER_USER"] = 1
    sse = SSEPush(app)
    with app.test_request_context():
        # Views that have answered, before the server has called any of the answers.
        responses = [sse.stream_response("7") for _ in range(5)]
        environ = request.environ
    answers = [run_wsgi_app(response, environ) for response in responses]
    assert sse.get_client_count() == 1
    refusals = [b"".join(body) for body, _, _ in answers[1:]]
    assert all(b"as many connections as one may" in text for text in refusals)
    answers[0][0].close()  # type: ignore[attr-defined]
    assert sse.get_client_count() == 0


def test_without_memory_for_history_the_mailbox_still_holds_events(
    app: Flask,
) -> None:
    app.config["SSE_PUSH_HISTORY_BYTES"] = 0
    sse = SSEPush(app)
    sse.user_loader(lambda: 1)
    for number in range(3):
        sse.send_to_user(1, "x", {"a": number})
    assert sse.health()["historyEvents"] == 0
    with StreamReader(app.test_client()) as stream:
        assert [event.data["a"] for event in stream.take(3, 10)] == [0, 1, 2]


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


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "5-1"}, 200),
        ({"id": "nonsense"}, 400),
        ({"id": 5}, 400),
        ([], 400),
    ],
)
def test_acknowledging(app: Flask, sse: SSEPush, body: Any, status: int) -> None:
    sse.user_loader(lambda: 1)
    answer = app.test_client().post("/sse/ack", json=body)
    assert answer.status_code == status
    assert answer.is_json


def test_acknowledging_takes_json_only(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    client = app.test_client()
    assert client.post("/sse/ack", data={"id": "5-1"}).status_code == 415
    assert client.get("/sse/ack").status_code == 405


def test_acknowledge_takes_an_id_of_an_event(sse: SSEPush) -> None:
    receipt = sse.send_to_user(1, "x", {})
    assert receipt.id is not None
    assert sse.acknowledge(2, receipt.id) == 0
    assert sse.acknowledge(1, receipt.id) == 1
    with pytest.raises(EventError):
        sse.acknowledge(1, "nonsense")


def test_health_and_the_client_script(app: Flask, sse: SSEPush) -> None:
    client = app.test_client()
    health = client.get("/sse/health")
    assert health.status_code == 200
    assert health.json is not None
    assert health.json["connectedClients"] == 0
    assert health.json["isHealthy"] is True
    assert health.json["timestamp"].endswith("Z")
    script = client.get("/sse/client.js")
    assert script.mimetype == "text/javascript"
    assert b"EventSource" in script.data
    script.close()


def test_another_prefix_moves_all_routes(app: Flask) -> None:
    app.config["SSE_PUSH_URL_PREFIX"] = "/live/events"
    SSEPush(app)
    client = app.test_client()
    assert client.get("/live/events/health").status_code == 200
    assert client.get("/sse/health").status_code == 404


def test_origins_that_are_configured_may_read(app: Flask) -> None:
    app.config["SSE_PUSH_CORS_ORIGINS"] = ["https://shop.example"]
    SSEPush(app)
    client = app.test_client()
    good = client.get("/sse/health", headers={"Origin": "https://shop.example"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert good.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in good.headers["Vary"]
    bad = client.get("/sse/health", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in bad.headers
    asked = client.options("/sse/ack", headers={"Origin": "https://shop.example"})
    assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]


def test_the_worker_has_room_for_so_many_connections(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTIONS"] = 1
    sse = SSEPush(app)
    first = app.test_client().get("/sse/stream", buffered=False)
    second = app.test_client().get("/sse/stream")
    assert second.status_code == 200
    assert second.data.startswith(b"retry: ")
    assert sse.get_client_count() == 1
    first.close()


def test_an_old_stream_is_ended_and_told_why(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTION_SECONDS"] = 0.2
    app.config["SSE_PUSH_HEARTBEAT_SECONDS"] = 0.5
    SSEPush(app)
    response = app.test_client().get("/sse/stream")
    assert response.data.endswith(
        b'event: sse-push-closing\ndata: {"reason":"age"}\n\n'
    )


def test_a_fork_starts_afresh(app: Flask, sse: SSEPush) -> None:
    state = app.extensions["sse_push"]
    sse.broadcast("x", {})
    worker = state.worker
    assert state.worker is worker
    state._worker_pid -= 1
    assert state.worker is not worker
