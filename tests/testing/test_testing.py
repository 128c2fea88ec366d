from __future__ import annotations

import configparser
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from flask import Flask, Response, abort

from flask_sse_push import ConfigError, PayloadError, SSEPush
from flask_sse_push.delivery.connections import StreamedConnection
from flask_sse_push.testing import ReceivedEvent, SSERecorder, StreamReader
from flask_sse_push.testing.reader import _Parser
from tests.support.clients import eventually
from tests.support.servers import ROOT

NOTE = {"message": "Hi"}


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


# The recorder.


def test_what_was_sent_is_told_by_receiver(sse: SSEPush, recorder: SSERecorder) -> None:
    receipt = sse.send_to_user(42, "notification", NOTE)
    sse.send_to_user("bob", "order-update", {"order_id": "A-1", "status": "shipped"})
    sse.send_to_group("admins", "notification", NOTE)
    sse.broadcast("maintenance", {"planned": False, "duration": "1 h"})
    [sent] = recorder.sent_to("42")
    assert recorder.sent_to(42, "notification") == [sent]
    assert recorder.sent_to(42, "order-update") == []
    assert (sent.channel, sent.name) == ("user:42", "notification")
    assert sent.data == {"message": "Hi", "type": "info", "timestamp": ANY}
    assert sent.receipt is receipt
    assert [e.name for e in recorder.to_group("admins")] == ["notification"]
    assert recorder.to_group("others") == []
    assert [e.name for e in recorder.broadcasts()] == ["maintenance"]
    assert recorder.broadcasts("announcement") == []
    assert len(recorder.events) == 4
    recorder.clear()
    assert recorder.events == []


def test_what_was_refused_was_not_sent(sse: SSEPush, recorder: SSERecorder) -> None:
    with pytest.raises(PayloadError):
        sse.send_to_user("ada", "notification", {})
    recorder.assert_nothing_sent()


def test_it_records_one_application_and_only_within_with(
    app: Flask, sse: SSEPush
) -> None:
    other = Flask("other")
    other_sse = SSEPush(other)
    sse.broadcast("notification", NOTE)
    with SSERecorder(app) as recorder:
        with other.app_context():
            other_sse.broadcast("notification", NOTE)
        recorder.assert_nothing_sent()
        sse.broadcast("notification", NOTE)
    sse.broadcast("notification", NOTE)
    assert len(recorder.events) == 1


def test_an_application_without_the_extension_is_refused() -> None:
    with pytest.raises(ConfigError, match="init_app"):
        SSERecorder(Flask("bare"))


def test_values_are_compared_and_the_newest_match_returned(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    data = {"order_id": 7, "status": "shipped", "user_id": "ada"}
    sse.send_to_user("ada", "order-update", data)
    sse.send_to_user("ada", "order-update", {**data, "tracking_number": "X"})
    sse.send_to_user("ada", "live-update", {"a": {"b": 1, "c": 2}})
    newest = recorder.assert_sent_to("ada", "order-update", order_id="7")
    assert newest.data["trackingNumber"] == "X"
    recorder.assert_sent_to("ada", "order-update", orderId="7", timestamp=ANY)
    recorder.assert_sent_to("ada", "order-update", user_id="ada")
    recorder.assert_sent_to("ada", "live-update", a={"b": 1})
    with pytest.raises(AssertionError, match=r"a\.b: expected 2, but is 1"):
        recorder.assert_sent_to("ada", "live-update", a={"b": 2})


def test_a_failed_assertion_shows_each_difference(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    sse.send_to_user("ada", "notification", {"message": "Ho", "timestamp": MOMENT})
    with pytest.raises(AssertionError) as caught:
        recorder.assert_sent_to("ada", "notification", message="Hi", action_url="/x")
    assert str(caught.value) == textwrap.dedent(
        """\
        'notification' was not sent to user:ada with {'message': 'Hi', 'action_url': '/x'}
          'notification' to user:ada: {'message': 'Ho', 'timestamp': '2030-01-01T00:00:00.000Z', 'type': 'info'}
            message: expected 'Hi', but is 'Ho'
            actionUrl: expected '/x', but is missing"""  # noqa: E501
    )


MOMENT = "2030-01-01T00:00:00.000Z"


def test_a_failed_assertion_shows_what_was_sent_instead(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with pytest.raises(AssertionError, match="nothing was sent"):
        recorder.assert_broadcast("notification")
    sse.send_to_user("bob", "notification", NOTE)
    with pytest.raises(AssertionError, match="sent was 'notification' to user:bob"):
        recorder.assert_sent_to("ada", "notification")
    with pytest.raises(AssertionError, match="not sent to group:admins"):
        recorder.assert_sent_to_group("admins", "notification")
    sse.send_to_group("admins", "notification", NOTE)
    recorder.assert_sent_to_group("admins", "notification", message="Hi")
    sse.broadcast("notification", NOTE)
    recorder.assert_broadcast("notification", message="Hi")


def test_nothing_sent_to_a_user(sse: SSEPush, recorder: SSERecorder) -> None:
    sse.broadcast("notification", NOTE)
    recorder.assert_nothing_sent_to("ada")
    sse.send_to_user("ada", "notification", NOTE)
    recorder.assert_nothing_sent_to("bob")
    recorder.assert_nothing_sent_to("ada", "order-update")
    with pytest.raises(AssertionError, match="'notification' to user:ada"):
        recorder.assert_nothing_sent_to("ada")
    with pytest.raises(AssertionError, match="'notification' to all"):
        recorder.assert_nothing_sent()


def test_other_threads_are_recorded(sse: SSEPush, recorder: SSERecorder) -> None:
    thread = threading.Thread(target=sse.broadcast, args=("notification", NOTE))
    thread.start()
    thread.join()
    recorder.assert_broadcast("notification")


# The reader.


def test_a_stream_is_read_event_by_event(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        assert stream.response.status_code == 200
        opened_at = stream.last_event_id
        receipt = sse.send_to_user("ada", "notification", NOTE)
        sse.broadcast("maintenance", {"planned": False, "duration": "1 h"})
        event = stream.next()
        assert event == ReceivedEvent("notification", event.data, receipt.id, 3000)
        assert event.data["message"] == "Hi"
        assert stream.last_event_id == receipt.id != opened_at
        assert [event.name for event in stream.take(1)] == ["maintenance"]
    with StreamReader(app.test_client(), last_event_id=opened_at) as again:
        assert again.last_event_id == opened_at
        assert [event.id for event in again.take(2)] == [
            receipt.id,
            again.last_event_id,
        ]


def test_a_stream_resumes(app: Flask, sse: SSEPush) -> None:
    first = sse.broadcast("n", {"n": 1})
    sse.broadcast("n", {"n": 2})
    with StreamReader(app.test_client(), last_event_id=first.id) as stream:
        assert stream.next().data["n"] == 2
    with StreamReader(app.test_client(), last_event_id="1-0") as stream:
        gap, one, two = stream.take(3)
    assert (gap.name, gap.data["since"]) == ("sse-push-gap", "1-0")
    assert [one.data["n"], two.data["n"]] == [1, 2]


def test_it_never_hangs(app: Flask, sse: SSEPush) -> None:
    with StreamReader(app.test_client()) as stream:
        with pytest.raises(TimeoutError, match=r"0\.01 s have passed on /sse/stream"):
            stream.next(timeout=0.01)
        sse.broadcast("n", {"n": 1})
        with pytest.raises(TimeoutError, match=r"of 2 events .* these did: \['n'\]"):
            stream.take(2, timeout=0.2)
        assert stream.next().data["n"] == 1


def test_closing_closes_the_connection(app: Flask, sse: SSEPush) -> None:
    threads = threading.active_count()
    sse.user_loader(lambda: "ada")
    client = app.test_client()
    with StreamReader(client), StreamReader(client) as second:
        assert sse.get_client_count() == 2
        second.close()
        assert sse.get_client_count() == 1
        with pytest.raises(EOFError, match="ended"):
            second.next()
    assert sse.get_client_count() == 0
    assert not sse.is_user_connected("ada")
    # Readers, dispatcher and heartbeat end too.
    eventually(lambda: threading.active_count() <= threads)


def test_the_end_of_a_stream_is_told(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        sse.send_to_user("ada", "notification", NOTE)
        assert stream.next().name == "notification"
        sse.remove_client("ada")
        assert stream.next().name == "sse-push-closing"
        with pytest.raises(EOFError):
            stream.next()


def test_an_answer_that_is_no_stream_fails(app: Flask, sse: SSEPush) -> None:
    sse.authorizer(lambda user_id: False)
    with pytest.raises(AssertionError, match=r"401 UNAUTHORIZED.*needs a user"):
        StreamReader(app.test_client())
    with pytest.raises(AssertionError, match="404"):
        StreamReader(app.test_client(), "/nowhere")


def test_a_route_of_one_s_own_and_headers(app: Flask, sse: SSEPush) -> None:
    from flask import request

    @app.get("/mine")
    def mine() -> Response:
        if request.headers.get("X-Token") != "t":
            abort(403)
        return sse.stream_response("ada", groups=["admins"])

    client = app.test_client()
    with StreamReader(client, "/mine", headers={"X-Token": "t"}) as stream:
        sse.send_to_group("admins", "notification", NOTE)
        assert stream.next().data["message"] == "Hi"
    with pytest.raises(AssertionError, match="403"):
        StreamReader(client, "/mine")


def test_a_client_in_a_with_block_and_middleware(app: Flask, sse: SSEPush) -> None:
    class Wrapped:
        def __init__(self, chunks: Any) -> None:
            self._chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks

        def close(self) -> None:
            self._chunks.close()

    inner: Any = app.wsgi_app

    def middleware(environ: Any, start_response: Any) -> Iterable[bytes]:
        return Wrapped(inner(environ, start_response))

    app.wsgi_app = middleware  # type: ignore[method-assign]
    with app.test_client() as client, StreamReader(client) as stream:
        sse.broadcast("notification", NOTE)
        assert stream.next().name == "notification"
        assert sse.get_client_count() == 1
    assert sse.get_client_count() == 0


def test_it_works_under_gevent() -> None:
    script = """
        from gevent import monkey
        monkey.patch_all()
        from flask import Flask
        from flask_sse_push import SSEPush
        from flask_sse_push.testing import StreamReader
        app = Flask("app")
        sse = SSEPush(app)
        with StreamReader(app.test_client()) as stream:
            try:
                stream.next(timeout=0.01)
            except TimeoutError:
                pass
            else:
                raise AssertionError("nothing was sent")
            sequence = sse.sequence("nobody", "n", [{}, {}], pause=0.01)
            sse.broadcast("n", {"n": 1})
            assert stream.next().data["n"] == 1
            assert sequence.wait(5)
            assert sse.get_client_count() == 1
        assert sse.get_client_count() == 0
        with StreamReader(app.test_client()) as stream:
            sse.broadcast("n", {"n": 2})
            assert stream.next().data["n"] == 2
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_streams_of_the_test_client_are_streamed(app: Flask, sse: SSEPush) -> None:
    response = app.test_client().get("/sse/stream")
    try:
        assert sse.get_client_count() == 1
        assert StreamedConnection.__name__ not in response.headers
    finally:
        response.close()
    assert sse.get_client_count() == 0


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_parser_follows_the_standard(size: int) -> None:
    text = (
        "\ufeff: comment\r\n"
        "retry: 10\nretry: x\n\n"
        "data\n\n"
        "data: first\rdata:second\r\ndata:  third\n\n"
        "event: never\nid: 1\n\n"
        'event: named\nid: 2\nunknown: x\ndata: {"ü": 1}\n\n'
        "id: 3\0\ndata: 3\n\n"
        "id\ndata: x\n\n"
        "data: incomplete\n"
    )
    wire = text.encode()
    parser = _Parser()
    events: list[ReceivedEvent] = []
    for start in range(0, len(wire), size):
        events += parser.feed(wire[start : start + size])
    assert events == [
        ReceivedEvent("message", "", None, 10),
        ReceivedEvent("message", "first\nsecond\n third", None, 10),
        ReceivedEvent("named", {"ü": 1}, "2", 10),
        ReceivedEvent("message", 3, "2", 10),
        ReceivedEvent("message", "x", "", 10),
    ]


# The plugin.


def plugin() -> str:
    """The module that setup.cfg names as pytest's plugin."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    entry = settings["options.entry_points"]["pytest11"]
    return entry.partition("=")[2].strip()


def test_the_fixture_works_with_an_app_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from flask import Flask
            from flask_sse_push import SSEPush

            sse = SSEPush()

            @pytest.fixture
            def app():
                app = Flask("app")
                sse.init_app(app)
                return app

            def test_one(app, sse_recorder):
                with app.app_context():
                    sse.send_to_user("user123", "notification", {"message": "Hi"})
                sse_recorder.assert_sent_to("user123", "notification", message="Hi")

            def test_two(sse_recorder):
                sse_recorder.assert_nothing_sent()
            """
        )
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-W", "error"),
            *(
                "--rootdir",
                tmp_path,
                "-p",
                "no:cacheprovider",
                "-p",
                plugin(),
                tmp_path,
            ),
        ],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_nothing_of_the_package() -> None:
    script = f"""
        import sys
        import {plugin()}
        heavy = ("flask_sse_push", "flask", "gevent", "marshmallow")
        assert not [name for name in heavy if name in sys.modules]
        from flask_sse_push.testing import sse_recorder
        assert sse_recorder is {plugin()}.sse_recorder
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_without_pytest_the_rest_is_there() -> None:
    script = """
        import sys
        sys.modules["pytest"] = None
        import flask_sse_push.testing as testing
        assert testing.SSERecorder and testing.StreamReader
        assert not hasattr(testing, "sse_recorder")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
