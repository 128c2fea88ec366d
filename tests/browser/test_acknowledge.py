"""What client.js acknowledges: what its handlers have dealt with, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.browser import Page
from tests.support.client_js import connect, event, wait_for
from tests.support.scripted import ScriptedServer

pytestmark = pytest.mark.browser


def pause(page: Page, milliseconds: int = 2500) -> None:
    """Longer than a page may hold acknowledgements back."""
    page.run(f"new Promise((done) => setTimeout(done, {milliseconds}))")


def test_only_marked_events_with_a_handler_are_acknowledged_in_one_request(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "chat", "news", "sse-push-gap")
    stream.send(
        event("invoice", 1, "4-0m")
        + event("chat", 2, "5-0m")
        + event("news", 3, "6-0")
        + event("chat", 4, "7-0m")
        + event("sse-push-gap", {"since": None, "oldest": "1-0"})
    )
    request = server.next_acknowledgement()
    assert request.body == {"ids": ["5-0", "7-0"]}
    assert page.run("push.lastEventId") == "7-0"
    page.run("push.close()")  # this would flush
    pause(page, 300)
    assert server.acknowledged.empty()


def test_nothing_is_acknowledged_where_no_id_is_marked(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "chat")
    stream.send(event("chat", 1, "5-0"))
    wait_for(page, "got", [1])
    page.run("push.close()")
    pause(page, 300)
    assert server.acknowledged.empty()


def test_a_handler_that_fails_or_has_not_ended_has_not_dealt_with_it(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "good", "mixed")
    page.run("push.on('mixed', () => { throw new Error('mine') })")
    page.run("push.on('rejected', async () => { throw new Error('mine too') })")
    page.run("push.on('slow', () => new Promise((done) => (window.finish = done)))")
    page.run("push.on('taken-off', () => {})()")
    stream.send(
        event("mixed", 1, "1-0m")
        + event("rejected", 2, "2-0m")
        + event("taken-off", 3, "3-0m")
        + event("slow", 4, "4-0m")
        + event("good", 5, "5-0m")
    )
    assert server.next_acknowledgement().body == {"ids": ["5-0"]}
    page.run("finish()")
    assert server.next_acknowledgement().body == {"ids": ["4-0"]}
    assert len(page.errors()) == 2


def test_leaving_the_page_acknowledges_what_waits(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "a")
    stream.send(event("a", 1, "5-0m"))
    wait_for(page, "got", [1])
    page.go("about:blank")
    assert server.next_acknowledgement().body == {"ids": ["5-0"]}


@pytest.mark.parametrize("status", [401, 404])
def test_acknowledging_stops_where_it_is_refused(
    page: Page, server: ScriptedServer, status: int
) -> None:
    server.acknowledge_statuses.append(status)
    stream = server.answer()
    connect(page, "{}", "a")
    stream.send(event("a", 1, "5-0m"))
    assert server.next_acknowledgement().body == {"ids": ["5-0"]}
    stream.send(event("a", 2, "6-0m"))
    wait_for(page, "got", [1, 2])
    page.run("push.close()")  # this would flush
    pause(page, 300)
    assert server.acknowledged.empty()


def test_what_could_not_be_acknowledged_is_tried_again(
    page: Page, server: ScriptedServer
) -> None:
    server.acknowledge_statuses.append(503)
    stream = server.answer()
    connect(page, "{}", "a")
    stream.send(event("a", 1, "5-0m"))
    assert server.next_acknowledgement().body == {"ids": ["5-0"]}
    stream.send(event("a", 2, "6-0m"))
    ids = server.next_acknowledgement().body["ids"]
    if len(ids) == 1:
        ids += server.next_acknowledgement().body["ids"]
    assert sorted(ids) == ["5-0", "6-0"]


def test_acknowledge_false_leaves_it_to_the_page(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{ acknowledge: false }", "a")
    stream.send(event("a", 1, "5-0m"))
    wait_for(page, "got", [1])
    page.run("push.close()")
    pause(page, 300)
    assert server.acknowledged.empty()
    assert page.run("push.acknowledge('5-0m')") is True
    assert server.next_acknowledgement().body == {"id": "5-0m"}
    server.acknowledge_statuses.append(400)
    assert page.run("push.acknowledge(['5-0', '6-0'])") is False
    assert server.next_acknowledgement().body == {"ids": ["5-0", "6-0"]}


def test_a_token_in_the_query_or_the_headers_counts_for_acknowledgements(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    options = "{ headers: { Authorization: 'Bearer h' } }"
    connect(page, options, "a", url='"/sse/stream?token=q&x=1"')
    stream.send(event("a", 1, "5-0m"))
    request = server.next_acknowledgement()
    assert request.query == {"token": ["q"], "x": ["1"]}
    assert request.headers["Authorization"] == "Bearer h"
    assert request.headers["Content-Type"] == "application/json"


def test_an_acknowledgement_with_an_old_token_is_sent_again_with_a_new_one(
    page: Page, server: ScriptedServer
) -> None:
    server.acknowledge_statuses.append(401)
    stream = server.answer()
    page.run("window.asked = 0")
    connect(page, "{}", "a", url="async () => `/sse/stream?token=${++asked}`")
    stream.send(event("a", 1, "5-0m"))
    requests = [server.next_acknowledgement() for _ in range(2)]
    assert [request.query for request in requests] == [
        {"token": ["1"]},
        {"token": ["2"]},
    ]
    assert [request.body for request in requests] == [{"ids": ["5-0"]}] * 2
