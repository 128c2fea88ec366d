"""``SSERecorder``: recorded events, and the messages of failed assertions."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterator
from unittest.mock import ANY

import pytest
from flask import Flask

from flask_sse_push import ConfigError, PayloadError, SSEPush
from flask_sse_push.testing import SSERecorder

NOTE = {"message": "Hi"}


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


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
    with pytest.raises(AssertionError, match=r"a\.b: expected 2, not 1"):
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
            message: expected 'Hi', not 'Ho'
            actionUrl: expected '/x', but it is missing"""  # noqa: E501
    )


MOMENT = "2030-01-01T00:00:00.000Z"


def test_a_failed_assertion_shows_what_was_sent_instead(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with pytest.raises(AssertionError, match="no event was sent at all"):
        recorder.assert_broadcast("notification")
    sse.send_to_user("bob", "notification", NOTE)
    with pytest.raises(
        AssertionError, match="this was sent: 'notification' to user:bob"
    ):
        recorder.assert_sent_to("ada", "notification")
    with pytest.raises(AssertionError, match="not sent to group:admins"):
        recorder.assert_sent_to_group("admins", "notification")
    sse.send_to_group("admins", "notification", NOTE)
    recorder.assert_sent_to_group("admins", "notification", message="Hi")
    sse.broadcast("notification", NOTE)
    recorder.assert_broadcast("notification", message="Hi")


def test_text_is_recorded_as_it_is(sse: SSEPush, recorder: SSERecorder) -> None:
    sse.broadcast("row", "<tr>\n</tr>")
    assert recorder.assert_broadcast("row").data == "<tr>\n</tr>"
    with pytest.raises(AssertionError, match="the data has no keys: '<tr>"):
        recorder.assert_broadcast("row", id=5)


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
