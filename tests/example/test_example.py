"""The example shop over HTTP, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from example.app import MAX_ORDERS, create_app
from flask_sse_push.signals import event_published
from tests.support.clients import Stream, call
from tests.support.servers import Server, serve


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setenv("DEMO_STEP_SECONDS", "1000")
    return create_app()


@pytest.fixture
def client(shop: Flask) -> FlaskClient:
    return shop.test_client()


@pytest.fixture
def published(shop: Flask) -> Iterator[list[tuple[str, str]]]:
    """The channel and name of each event that was sent, in order."""
    seen: list[tuple[str, str]] = []

    def note(sender: Flask, channel: str, event: str, **rest: Any) -> None:
        seen.append((channel, event))

    with event_published.connected_to(note, sender=shop):
        yield seen


def log_in(client: FlaskClient, user: str) -> None:
    assert client.post("/login", data={"user": user}).status_code == 303


def test_the_page_shows_who_is_logged_in(client: FlaskClient) -> None:
    assert 'id="login"' in client.get("/").text
    log_in(client, "alice")
    page = client.get("/").text
    assert 'id="who">alice<' in page
    assert 'id="login"' not in page
    assert 'id="announce"' not in page
    assert client.post("/logout").status_code == 303
    assert 'id="login"' in client.get("/").text


def test_only_the_admin_sees_the_announcement_form(client: FlaskClient) -> None:
    log_in(client, "admin")
    assert 'id="announce"' in client.get("/").text


def test_the_page_takes_nothing_from_elsewhere(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    assert "//" not in answer.text


def test_a_name_with_markup_is_text(client: FlaskClient) -> None:
    log_in(client, '<b>"x')
    page = client.get("/").text
    assert "<b>&#34;x" not in page
    assert "&lt;b&gt;&#34;x" in page


@pytest.mark.parametrize("kind", ["data", "json"])
def test_an_order_by_form_and_by_json(client: FlaskClient, kind: str) -> None:
    log_in(client, "alice")
    answer = client.post("/orders", **{kind: {"item": "Desk Lamp"}})
    assert answer.status_code == 201
    order = answer.get_json()
    assert order["orderId"]
    assert (order["status"], order["step"], order["totalSteps"]) == ("processing", 1, 4)
    assert client.get("/orders").get_json() == [order]


def test_orders_survive_a_restart_and_go_on(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, "alice")
    client.post("/orders", data={"item": "Desk Lamp"})
    cookie = client.get_cookie("shop_session")
    assert cookie is not None
    monkeypatch.setenv("DEMO_STEP_SECONDS", "0")
    later = create_app().test_client()
    later.set_cookie("shop_session", cookie.value)
    [order] = later.get("/orders").get_json()
    assert (order["item"], order["status"]) == ("Desk Lamp", "delivered")


def test_the_cookie_keeps_the_newest_orders(client: FlaskClient) -> None:
    log_in(client, "alice")
    ids = [
        client.post("/orders", data={"item": "x" * 80}).get_json()["orderId"]
        for _ in range(MAX_ORDERS + 2)
    ]
    kept = [order["orderId"] for order in client.get("/orders").get_json()]
    assert kept == ids[2:]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("POST", "/chat"),
        ("POST", "/admin/announce"),
    ],
)
def test_anonymous_is_told_to_log_in(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 401
    assert "POST /login" in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/login", {}, "user"),
        ("/login", {"user": "  "}, "user"),
        ("/login", {"user": "x" * 41}, "user"),
        ("/login", {"user": "a\nb"}, "user"),
        ("/login", {"user": "a\0b"}, "user"),
        ("/orders", {}, "item"),
        ("/orders", {"item": " "}, "item"),
        ("/chat", {"message": "hello"}, "to"),
        ("/chat", {"to": "bob"}, "message"),
        ("/chat", {"to": "bob", "message": "x" * 501}, "message"),
        ("/admin/announce", {"content": "c"}, "title"),
        ("/admin/announce", {"title": "t", "content": " "}, "content"),
        (
            "/admin/announce",
            {"title": "t", "content": "c", "priority": "x"},
            "priority",
        ),
        (
            "/admin/announce",
            {"title": "t", "content": "c", "audience": "x"},
            "audience",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["data", "json"])
def test_a_bad_field_is_named(
    client: FlaskClient,
    published: list[tuple[str, str]],
    kind: str,
    path: str,
    body: dict[str, str],
    named: str,
) -> None:
    log_in(client, "admin")
    answer = client.post(path, **{kind: body})
    assert answer.status_code == 400
    assert repr(named) in answer.get_json()["error"]
    assert published == []


@pytest.mark.parametrize("body", ["[1]", "3", "null", "{", '{"item": 3}'])
def test_json_that_is_no_object_of_text_is_refused(
    client: FlaskClient, body: str
) -> None:
    log_in(client, "alice")
    answer = client.post("/orders", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "'item'" in answer.get_json()["error"]


def test_chat_goes_to_the_receiver_only(
    client: FlaskClient, published: list[tuple[str, str]]
) -> None:
    log_in(client, "alice")
    answer = client.post("/chat", json={"to": "bob", "message": "hello"})
    assert answer.status_code == 201
    assert published == [("user:bob", "chat-message")]


def test_announcing_is_for_the_admin(
    client: FlaskClient, published: list[tuple[str, str]]
) -> None:
    log_in(client, "alice")
    answer = client.post("/admin/announce", json={"title": "t", "content": "c"})
    assert answer.status_code == 403
    assert "'admin'" in answer.get_json()["error"]
    assert published == []


@pytest.mark.parametrize("priority", ["low", "medium", "normal", "high", "urgent"])
def test_an_announcement_takes_every_word_for_priority(
    client: FlaskClient, published: list[tuple[str, str]], priority: str
) -> None:
    log_in(client, "admin")
    body = {"title": "t", "content": "c", "priority": priority}
    assert client.post("/admin/announce", data=body).status_code == 201
    assert published == [("all", "announcement")]


def test_an_announcement_may_be_for_shoppers(
    client: FlaskClient, published: list[tuple[str, str]]
) -> None:
    log_in(client, "admin")
    body = {"title": "t", "content": "c", "audience": "shoppers"}
    assert client.post("/admin/announce", data=body).status_code == 201
    assert published == [("group:shoppers", "announcement")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(
        "gunicorn-gevent", "example.app:app", environ={"DEMO_STEP_SECONDS": "0.05"}
    ) as server:
        yield server


def session_of(server: Server, user: str) -> dict[str, str]:
    status, _, headers = call(server, "POST", "/login", {"user": user})
    assert status == 303
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.server
def test_the_buyer_gets_four_steps_and_nobody_else(server: Server) -> None:
    alice, bob = session_of(server, "alice"), session_of(server, "bob")
    with (
        Stream(server, headers=alice) as buyers,
        Stream(server, headers=bob) as others,
        Stream(server) as anonymous,
    ):
        for stream in (buyers, others, anonymous):
            stream.read_opening()
        status, order, _ = call(server, "POST", "/orders", {"item": "Mug"}, alice)
        assert status == 201
        events = buyers.read_events(4)
        assert [name for name, _, _ in events] == ["order-status"] * 4
        assert [(data["status"], data["step"]) for _, _, data in events] == [
            ("processing", 1),
            ("confirmed", 2),
            ("shipped", 3),
            ("delivered", 4),
        ]
        assert {(data["orderId"], data["totalSteps"]) for _, _, data in events} == {
            (order["orderId"], 4)
        }
        # The last event of the others is also their first.
        notice = {"title": "t", "content": "c", "priority": "high"}
        admin = session_of(server, "admin")
        assert call(server, "POST", "/admin/announce", notice, admin)[0] == 201
        for stream in (others, anonymous):
            [(name, _, data)] = stream.read_events(1)
            assert name == "announcement"
            assert notice.items() <= data.items()


@pytest.mark.server
def test_a_message_for_somebody_away_waits(server: Server) -> None:
    alice, carol = session_of(server, "alice"), session_of(server, "carol")
    message = {"to": "carol", "message": "<b>hello</b>"}
    status, answer, _ = call(server, "POST", "/chat", message, alice)
    assert (status, answer["connected"]) == (201, False)
    with Stream(server, headers=carol) as stream:
        [(name, id, data)] = stream.read_events(1)
    assert name == "chat-message"
    assert (data["senderId"], data["message"]) == ("alice", "<b>hello</b>")
    assert data["messageId"] == answer["messageId"]
    status, _, _ = call(server, "POST", "/sse/ack", {"id": id}, carol)
    assert status == 200
    with Stream(server, headers=carol) as stream:
        assert stream.read_opening().events == []
