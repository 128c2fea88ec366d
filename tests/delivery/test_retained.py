"""Retained events: each stream that begins is given the newest of each key, once."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask import request as flask_request

from flask_sse_push import EventError, SSEPush
from flask_sse_push.events import parse_id
from flask_sse_push.testing import StreamReader


@pytest.fixture
def sse(app: Flask) -> SSEPush:
    sse = SSEPush(app)
    sse.user_loader(lambda: flask_request.args.get("user"))
    sse.groups_loader(lambda user: ["even" if int(user) % 2 == 0 else "odd"])
    return sse


def open_stream(
    app: Flask, user: str = "2", last_event_id: str | None = None
) -> StreamReader:
    path = f"/sse/stream?user={user}"
    return StreamReader(app.test_client(), path, last_event_id=last_event_id)


def read(sse: SSEPush, stream: StreamReader) -> list[Any]:
    """What a stream is given, up to an event that comes last of all."""
    sse.broadcast("end", {}, store=False)
    found = []
    while (event := stream.next()).name != "end":
        found.append(event.data["n"])
    stream.close()
    return found


def test_a_stream_that_begins_is_given_the_newest_of_each_key(
    app: Flask, sse: SSEPush
) -> None:
    sse.send_to_group("even", "score", {"n": 1}, retain="score")
    sse.broadcast("status", {"n": 2}, retain="status")
    sse.send_to_group("odd", "score", {"n": 3}, retain="score")
    sse.broadcast("other", {"n": 4})
    sse.send_to_group("even", "score", {"n": 5}, retain="score")
    price = sse.send_to_user("2", "price", {"n": 6}, retain="price")
    # So that it is given for its key, not for being unread.
    sse.acknowledge("2", price.id or "")
    assert read(sse, open_stream(app, "2")) == [2, 5, 6]
    assert read(sse, open_stream(app, "3")) == [2, 3]
    # Not only once: each stream that begins has it to show.
    assert read(sse, open_stream(app, "2")) == [2, 5, 6]
    with StreamReader(app.test_client()) as anonymous:
        assert read(sse, anonymous) == [2]


def test_a_stream_that_resumes_is_given_nothing_twice(app: Flask, sse: SSEPush) -> None:
    first = sse.broadcast("score", {"n": 1}, retain="score")
    second = sse.broadcast("score", {"n": 2}, retain="score")
    third = sse.broadcast("status", {"n": 3}, retain="status")
    assert read(sse, open_stream(app, "2", third.id)) == []
    assert read(sse, open_stream(app, "2", second.id)) == [3]
    # History holds what is between, and it comes once.
    assert read(sse, open_stream(app, "2", first.id)) == [2, 3]


def test_where_history_has_a_gap_the_state_is_given(app: Flask) -> None:
    app.config["SSE_PUSH_HISTORY_SIZE"] = 2
    sse = SSEPush(app)
    seen = sse.broadcast("a", {"n": 0})
    before = sse.broadcast("score", {"n": 1}, retain="score")
    for number in range(2, 6):
        sse.broadcast("b", {"n": number})

    def resume(id: str | None) -> list[Any]:
        with StreamReader(app.test_client(), last_event_id=id) as stream:
            gap = stream.next()
            assert gap.name == "sse-push-gap"
            return read(sse, stream)

    assert resume(seen.id) == [1, 4, 5]
    assert resume(before.id) == [4, 5]
    assert resume("of-some-other-log") == [1]


def test_a_stream_does_not_resume_from_the_age_of_what_was_retained(
    app: Flask, sse: SSEPush
) -> None:
    retained = sse.broadcast("score", {"n": 1}, retain="score")
    newer = sse.broadcast("news", {"n": 2})
    stream = open_stream(app)
    assert stream.next().id == retained.id
    stream.close()
    assert stream.last_event_id == newer.id
    assert read(sse, open_stream(app, last_event_id=stream.last_event_id)) == []


def test_retained_events_and_the_mailbox_come_in_order_and_once(
    app: Flask, sse: SSEPush
) -> None:
    sse.send_to_user("2", "score", {"n": 1}, retain="score")
    sse.send_to_user("2", "mail", {"n": 2})
    sse.broadcast("status", {"n": 3}, retain="status")
    stream = open_stream(app)
    events = stream.take(3)
    assert [event.data["n"] for event in events] == [1, 2, 3]
    positions = [parse_id(event.id) for event in events]
    assert positions == sorted(positions)  # type: ignore[type-var]
    assert read(sse, stream) == []


@pytest.mark.parametrize(
    "backend", ["memory", pytest.param("redis", marks=pytest.mark.redis)]
)
def test_what_is_retained_is_marked_until_it_is_acknowledged(
    app: Flask, request: pytest.FixtureRequest, backend: str
) -> None:
    if backend == "redis":
        app.config["SSE_PUSH_BACKEND_URL"] = request.getfixturevalue("valkey_url")
    app.config["SSE_PUSH_ACKNOWLEDGE"] = "explicit"
    sse = SSEPush(app)
    sse.user_loader(lambda: "2")
    client = app.test_client()
    with StreamReader(client) as stream:
        sse.send_to_user("2", "score", {"n": 1}, retain="score")
        id = stream.next().id or ""
    assert id.endswith("m")
    with StreamReader(client) as stream:
        assert stream.next().id == id
        assert read(sse, stream) == []
    assert client.post("/sse/ack", json={"ids": [id]}).json == {"removed": 1}
    for _ in range(2):
        with StreamReader(client) as stream:
            assert stream.next().id == id.removesuffix("m")
            assert read(sse, stream) == []


def test_a_batch_retains_for_each_user(app: Flask, sse: SSEPush) -> None:
    pairs: list[tuple[object, object]] = [(2, {"n": 1}), (3, {"n": 2})]
    sse.send_batch(pairs, "score", retain="score")
    sse.send_to_users([2, 3], "status", {"n": 3}, retain="status")
    sse.acknowledge(2, sse.broadcast("x", {}).id or "")
    assert read(sse, open_stream(app, "2")) == [1, 3]
    assert read(sse, open_stream(app, "3")) == [2, 3]


def test_a_member_who_leaves_while_the_stream_opens_is_not_given_the_groups(
    app: Flask, sse: SSEPush
) -> None:
    sse.send_to_group("even", "score", {"n": 1}, retain="score")

    def load_and_leave(user: str) -> list[str]:
        with app.app_context():
            sse.leave(user, "even")
        return ["even", "club"]

    sse.groups_loader(load_and_leave)
    assert read(sse, open_stream(app, "2")) == []


@pytest.mark.parametrize("key", ["", 7, b"key", "x" * 257, "\ud800"])
@pytest.mark.usefixtures("context")
def test_a_wrong_key_is_refused(sse: SSEPush, key: Any) -> None:
    with pytest.raises(EventError, match="retain"):
        sse.broadcast("x", {}, retain=key)


@pytest.mark.usefixtures("context")
def test_what_is_not_stored_cannot_be_retained(sse: SSEPush) -> None:
    with pytest.raises(EventError, match="Leave one of them out"):
        sse.broadcast("x", {}, retain="key", store=False)
