"""Tickets: what they open, for how long, and what they are refused for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask, Response, session
from flask.testing import FlaskClient

from flask_sse_push import ConfigError, EventError, SSEPush
from flask_sse_push.application import tickets
from flask_sse_push.testing import ReceivedEvent, StreamReader
from tests.support.clients import eventually

Later = Callable[[float], None]


@pytest.fixture
def client(app: Flask, sse: SSEPush) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Lets seconds pass, as tickets see it."""
    now = tickets._now_ms

    def move(seconds: float) -> None:
        monkeypatch.setattr(tickets, "_now_ms", lambda: now() + int(seconds * 1000))

    return move


def stream(client: FlaskClient, ticket: str, **options: Any) -> StreamReader:
    return StreamReader(client, f"/sse/stream?ticket={ticket}", **options)


def refusal(client: FlaskClient, ticket: str, last_event_id: str | None = None) -> str:
    """What a client is told that may not open a stream."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    answer = client.get(f"/sse/stream?ticket={ticket}", headers=headers)
    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["error"] == "Unauthorized"
    assert "sse.issue_ticket()" in answer.json["message"]
    head = client.head(f"/sse/stream?ticket={ticket}", headers=headers)
    assert head.status_code == 401
    return str(answer.json["message"])


def is_refused(client: FlaskClient, ticket: str) -> bool:
    return client.head(f"/sse/stream?ticket={ticket}").status_code == 401


def texts(events: list[ReceivedEvent]) -> list[Any]:
    return [event.data["n"] for event in events]


def test_a_ticket_opens_the_stream_of_its_user_and_groups(
    client: FlaskClient, sse: SSEPush
) -> None:
    @sse.user_loader
    def nobody() -> str:
        raise AssertionError("A ticket says who it is.")

    @sse.groups_loader
    def none(user_id: str) -> list[str]:
        raise AssertionError("A ticket says which groups.")

    with stream(client, sse.issue_ticket(7, ["ä b", "c"])) as reader:
        for number, channel in enumerate(["7", "8"]):
            sse.send_to_user(channel, "n", {"n": number})
        for number, group in enumerate(["ä b", "c", "d"], 2):
            sse.send_to_group(group, "n", {"n": number})
        sse.broadcast("n", {"n": 5})
        assert texts(reader.take(4)) == [0, 2, 3, 5]


def test_joins_and_leaves_change_the_open_stream_and_not_the_ticket(
    client: FlaskClient, sse: SSEPush
) -> None:
    def send(reader: StreamReader) -> list[Any]:
        for group in ("named", "other"):
            sse.send_to_group(group, "n", {"n": group})
        sse.broadcast("n", {"n": "end"})
        got: list[Any] = []
        while "end" not in got:
            got += texts([reader.next()])
        return got[:-1]

    ticket = sse.issue_ticket("ada", ["named"])
    with stream(client, ticket) as reader:
        assert send(reader) == ["named"]
        sse.join("ada", "other")
        assert send(reader) == ["named", "other"]
        assert sse.get_group_users("other") == {"ada"}
        sse.leave("ada", "named")
        assert send(reader) == ["other"]
        last = reader.last_event_id
    with stream(client, ticket, last_event_id=last) as reader:
        assert sse.get_group_users("named") == {"ada"}
        assert send(reader) == ["named"]
    sse.remove_client("ada")
    assert "removed" in refusal(client, ticket)


def test_a_group_that_a_user_joins_while_the_stream_opens_counts(
    client: FlaskClient, sse: SSEPush
) -> None:
    ticket = sse.issue_ticket("ada", ["left"])
    app = client.application

    @app.after_request
    def change(response: Response) -> Response:
        sse.join("ada", "joined")
        sse.leave("ada", "left")
        return response

    with stream(client, ticket) as reader:
        for number, group in enumerate(["left", "joined"]):
            sse.send_to_group(group, "n", {"n": number})
        assert texts(reader.take(1)) == [1]


def test_an_expired_ticket_gets_no_state_from_before_it_was_issued(
    app: Flask, later: Later
) -> None:
    app.config["SSE_PUSH_HISTORY_SIZE"] = 2
    sse, client = SSEPush(app), app.test_client()
    old = sse.broadcast("n", {"n": 0})
    sse.broadcast("n", {"n": 1}, retain="older")
    ticket = sse.issue_ticket("ada")
    sse.broadcast("n", {"n": 2}, retain="newer")
    for number in range(3, 7):
        sse.broadcast("n", {"n": number})
    with stream(client, ticket) as reader:
        assert texts(reader.take(2)) == [1, 2]
    later(61)
    with stream(client, ticket, last_event_id=old.id) as reader:
        assert reader.next().name == "sse-push-gap"
        assert texts(reader.take(3)) == [2, 5, 6]


def test_a_ticket_opens_more_than_one_stream(client: FlaskClient, sse: SSEPush) -> None:
    ticket = sse.issue_ticket("ada")
    with stream(client, ticket), stream(client, ticket):
        assert sse.get_client_count() == 2


def test_the_authorizer_is_asked(client: FlaskClient, sse: SSEPush) -> None:
    asked = []

    @sse.authorizer
    def may_open(user_id: str | None) -> bool:
        asked.append(user_id)
        return user_id == "ada"

    with stream(client, sse.issue_ticket("ada")):
        pass
    ticket = sse.issue_ticket("bob")
    assert client.get(f"/sse/stream?ticket={ticket}").status_code == 403
    answer = client.post(f"/sse/ack?ticket={ticket}", json={"id": "5-0"})
    assert answer.status_code == 403
    assert asked == ["ada", "bob", "bob"]


def test_what_is_no_ticket_of_the_application_is_refused(
    app: Flask, client: FlaskClient, sse: SSEPush
) -> None:
    ticket = sse.issue_ticket("ada", seconds=60)
    other = Flask("other")
    other.secret_key = "another"
    foreign = SSEPush(other).issue_ticket("ada")

    @app.get("/session")
    def log_in() -> str:
        session["u"] = "ada"
        return ""

    cookie = client.get("/session").headers["Set-Cookie"].partition("=")[2]
    forged = ["", "x", ticket[:-1], "A" + ticket, foreign, cookie]
    for text in [*forged, "é\0", "." * 5000]:
        assert "not a valid ticket of this application" in refusal(client, text)
    answer = client.post("/sse/ack?ticket=x", json={"id": "5-0"})
    assert answer.status_code == 401


def test_an_expired_ticket_opens_nothing(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    ticket = sse.issue_ticket("ada", seconds=60)
    later(59)
    with stream(client, ticket):
        pass
    later(61)
    for last in (None, "nonsense", "99999999999999-0", "1", "-"):
        assert "has expired" in refusal(client, ticket, last)


def test_an_expired_ticket_resumes_for_a_while(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    ticket = sse.issue_ticket("ada", seconds=60, resume_seconds=100)
    with stream(client, ticket) as reader:
        sse.send_to_user("ada", "n", {"n": 1})
        last = reader.next().id
    sse.send_to_user("ada", "n", {"n": 2})
    later(61)
    with stream(client, ticket, last_event_id=last) as reader:
        assert texts([reader.next()]) == [2]
    path = f"/sse/stream?lastEventId={last}&ticket={ticket}"
    with StreamReader(client, path) as reader:
        assert texts([reader.next()]) == [2]
    later(161)
    assert "has expired" in refusal(client, ticket, last)


def test_a_ticket_may_resume_nothing(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    ticket = sse.issue_ticket("ada", resume_seconds=0)
    last = sse.send_to_user("ada", "n", {"n": 1}).id
    later(61)
    assert "has expired" in refusal(client, ticket, last)


def test_an_expired_ticket_gets_nothing_from_before_it_was_issued(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    """Neither history nor the mailbox, whatever id its holder makes up."""
    old = sse.send_to_user("ada", "n", {"n": 1}).id
    sse.send_to_user("ada", "n", {"n": 2})
    ticket = sse.issue_ticket("ada")
    sse.send_to_user("ada", "n", {"n": 3})
    later(61)
    for made_up in (old, "5-0"):
        with stream(client, ticket, last_event_id=made_up) as reader:
            gap = reader.next()
            assert (gap.name, gap.data["since"]) == ("sse-push-gap", made_up)
            assert texts([reader.next()]) == [3]


def test_a_stream_that_got_only_what_is_older_than_its_ticket_is_resumed(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    sse.send_to_user("ada", "n", {"n": 1})
    sse.broadcast("n", {"n": 2})
    with stream(client, ticket := sse.issue_ticket("ada")) as reader:
        event = reader.next()
    sse.send_to_user("ada", "n", {"n": 3})
    later(61)
    with stream(client, ticket, last_event_id=event.id) as reader:
        assert reader.next().name == "sse-push-gap"
        assert texts([reader.next()]) == [3]


def test_removing_a_user_voids_the_tickets_of_before(
    client: FlaskClient, sse: SSEPush
) -> None:
    ada, bob = sse.issue_ticket("ada"), sse.issue_ticket("bob")
    sse.remove_client("ada")
    last = sse.broadcast("n", {"n": 1}).id
    assert "have been removed since" in refusal(client, ada)
    assert "have been removed since" in refusal(client, ada, last)
    for ticket in (bob, sse.issue_ticket("ada")):
        with stream(client, ticket):
            pass


@pytest.mark.redis
def test_every_worker_refuses_the_tickets_of_a_removed_user(valkey_url: str) -> None:
    """One that starts after the removal, too."""

    def worker(name: str) -> tuple[SSEPush, FlaskClient]:
        app = Flask(name)
        app.config.update(SECRET_KEY="shared", SSE_PUSH_BACKEND_URL=valkey_url)
        return SSEPush(app), app.test_client()

    first, first_client = worker("first")
    second, second_client = worker("second")
    ticket = first.issue_ticket("ada")
    with stream(second_client, ticket):
        second.remove_client("ada")
    for client in (first_client, second_client, worker("third")[1]):
        eventually(partial(is_refused, client, ticket))
        assert "have been removed" in refusal(client, ticket)
    with stream(first_client, first.issue_ticket("ada")):
        pass


def test_keys_that_were_replaced_still_count(app: Flask, client: FlaskClient) -> None:
    sse: SSEPush = SSEPush()
    rotated = Flask("rotated")
    rotated.secret_key = "new"
    sse.init_app(rotated)
    other = Flask("before")
    other.secret_key = "old"
    ticket = SSEPush(other).issue_ticket("ada")
    assert "not a valid ticket" in refusal(rotated.test_client(), ticket)
    rotated.config["SECRET_KEY_FALLBACKS"] = ["older", "old"]
    with stream(rotated.test_client(), ticket):
        pass
    with stream(rotated.test_client(), sse.issue_ticket("ada")):
        pass


def test_without_a_secret_key_there_are_no_tickets() -> None:
    app = Flask("keyless")
    sse = SSEPush(app)
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        sse.issue_ticket("ada")
    assert "not a valid ticket" in refusal(app.test_client(), "x")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"user_id": None}, "user id"),
        ({"user_id": ""}, "user id"),
        ({"groups": "admins"}, "list of groups"),
        ({"groups": [1]}, "group"),
        ({"groups": [f"group-{n:x}-{n**9}" for n in range(400)]}, "fewer groups"),
        ({"seconds": 0}, "seconds must be a number from 1 to 86400"),
        ({"seconds": True}, "seconds must be a number"),
        ({"seconds": "60"}, "seconds must be a number"),
        ({"seconds": float("nan")}, "seconds must be a number"),
        ({"seconds": 100_000}, "seconds must be a number"),
        ({"resume_seconds": -1}, "resume_seconds must be a number from 0"),
        ({"resume_seconds": 100_000}, "resume_seconds must be a number"),
    ],
)
def test_a_wrong_argument_is_named(
    sse: SSEPush, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(EventError, match=says):
        sse.issue_ticket(**{"user_id": "ada", **arguments})


class TestAcknowledging:
    """What a ticket's holder may take from the mailbox."""

    @pytest.fixture
    def ids(self, sse: SSEPush) -> list[str | None]:
        """Two events of before the ticket, two of after."""
        ids = [sse.send_to_user("ada", "n", {"n": n}).id for n in range(2)]
        self.ticket = sse.issue_ticket("ada", seconds=60, resume_seconds=100)
        return ids + [sse.send_to_user("ada", "n", {"n": n}).id for n in range(2, 4)]

    def test_anything_while_it_holds(
        self, client: FlaskClient, ids: list[str | None]
    ) -> None:
        path = f"/sse/ack?ticket={self.ticket}"
        answer = client.post(path, json={"ids": [ids[0], ids[2]]})
        assert answer.json == {"removed": 2}
        assert client.post(path, json={"id": ids[3]}).json == {"removed": 2}

    def test_single_events_of_its_time_when_it_has_expired(
        self, client: FlaskClient, ids: list[str | None], later: Later
    ) -> None:
        path = f"/sse/ack?ticket={self.ticket}"
        later(61)
        for body in ({"ids": ids[1:3]}, {"id": ids[3]}):
            answer = client.post(path, json=body)
            assert answer.status_code == 401
            assert answer.json is not None
            assert "has expired" in answer.json["message"]
        assert client.post(path, json={"ids": ids[2:]}).json == {"removed": 2}
        later(161)
        assert client.post(path, json={"ids": ids[2:]}).status_code == 401


def test_an_expired_ticket_confirms_no_event_that_waits(
    client: FlaskClient, sse: SSEPush, later: Later
) -> None:
    """Its holder can make an id up, which proves nothing about the mailbox."""
    old = sse.send_to_user("ada", "n", {"n": 1}).id
    sse.send_to_user("ada", "n", {"n": 2})
    ticket = sse.issue_ticket("ada")
    later(61)
    with stream(client, ticket, last_event_id=old) as reader:
        assert reader.next().name == "sse-push-gap"
    position = sse.health()["position"]
    assert sse.acknowledge("ada", position) == 2
