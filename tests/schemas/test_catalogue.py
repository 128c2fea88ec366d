"""Every event of the guide, sent through a real stream of a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from httpx_sse import connect_sse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_sse_push import EventName
from tests.schemas.shapes import FILLED_IN, GUIDE, SHAPES
from tests.schemas.strategies import valid_payloads
from tests.support.clients import call
from tests.support.servers import Server, serve


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("gunicorn-gevent") as server:
        yield server


def send(server: Server, name: str, payload: dict[str, object]) -> str:
    order = {"channel": "user:2", "event": name, "data": payload}
    status, answer, _ = call(server, "POST", "/send", order)
    assert status == 200, answer
    return str(answer["id"])


@pytest.mark.server
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_valid_payloads_of_every_schema_arrive_as_they_were_sent(
    server: Server, data: st.DataObject
) -> None:
    assert set(SHAPES) == set(EventName)
    sent = [(name, data.draw(valid_payloads(name))) for name in sorted(SHAPES)]
    with (
        httpx.Client(base_url=server.url, timeout=10) as client,
        connect_sse(client, "GET", "/sse/stream?user=2") as source,
    ):
        ids = [send(server, name, payload) for name, payload in sent]
        events = (event for event in source.iter_sse() if event.data)
        received = {}
        for event in events:
            received[event.id] = event
            if event.id == ids[-1]:
                break
    # Empty the mailbox: the next stream has no cursor and would get its events.
    call(server, "POST", "/sse/ack?user=2", {"id": ids[-1]})
    for id, (name, payload) in zip(ids, sent, strict=True):
        arrived = json.loads(received[id].data)
        assert received[id].event == name
        assert arrived | payload == arrived
        assert arrived.keys() - payload.keys() <= FILLED_IN


@pytest.mark.server
@pytest.mark.parametrize(("name", "payload"), GUIDE)
def test_the_guides_payloads_arrive_as_it_writes_them(
    server: Server, name: str, payload: dict[str, object]
) -> None:
    id = send(server, name, payload)
    with (
        httpx.Client(base_url=server.url, timeout=10) as client,
        connect_sse(client, "GET", "/sse/stream?user=2") as source,
    ):
        event = next(event for event in source.iter_sse() if event.id == id)
    call(server, "POST", "/sse/ack?user=2", {"id": id})
    assert (event.event, json.loads(event.data)) == (name, payload)
