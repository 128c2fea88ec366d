"""The browser client in a real browser, against a server that misbehaves on purpose."""

from __future__ import annotations

import pytest

from tests.support.browser import Page
from tests.support.client_js import connect, event, wait_for
from tests.support.scripted import ScriptedServer

pytestmark = pytest.mark.browser


def test_handlers_get_decoded_data_and_can_be_taken_off(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{ events: { first: (data) => got.push(['option', data]) } }")
    page.run("window.off = push.on('first', (data, event) => got.push(event.type))")
    stream.send(event("first", {"n": 1}, "5-0"))
    wait_for(page, "got", [["option", {"n": 1}], "first"])
    page.run("off()")
    stream.send(event("first", {"n": 2}, "6-0"))
    wait_for(page, "got.slice(2)", [["option", {"n": 2}]])
    assert page.run("push.lastEventId") == "6-0"


def test_a_handler_that_throws_keeps_nothing_from_the_others(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page)
    page.run("push.on('a', () => { throw new Error('mine') })")
    page.run("push.on('a', (data) => got.push(data))")
    stream.send(event("a", 1, "5-0") + event("a", 2, "6-0"))
    wait_for(page, "got", [1, 2])
    assert ["Error: mine" in error for error in page.errors()] == [True, True]


def test_an_id_seen_before_is_dropped_and_ids_compare_as_numbers(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "a")
    for id, data in [
        ("99-9", 1),
        ("99-10", 2),
        ("99-9", 0),
        ("99-10", 2),
        ("100-0", 3),
    ]:
        stream.send(event("a", data, id))
    wait_for(page, "got", [1, 2, 3])


def test_an_event_without_an_id_is_no_repetition(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "a", "typing")
    stream.send(event("a", 1, "5-0") + event("typing", "on") + event("typing", "off"))
    wait_for(page, "got", [1, "on", "off"])


def test_events_named_open_and_error_are_events(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer()
    connect(page, "{}", "open", "error")
    wait_for(page, "states.at(-1)", "open")
    stream.send(event("error", "e", "5-0") + event("open", "o", "6-0"))
    wait_for(page, "got", ["e", "o"])
    assert page.run("states") == ["connecting", "open"]


def test_after_a_gap_older_ids_count_again(page: Page, server: ScriptedServer) -> None:
    stream = server.answer()
    connect(page, "{}", "a", "sse-push-gap")
    gap = {"since": "900-0", "oldest": "10-0"}
    stream.send(event("a", 1, "900-0") + event("sse-push-gap", gap, "10-0"))
    stream.send(event("a", 2, "11-0"))
    wait_for(page, "got", [1, gap, 2])


def test_a_broken_stream_is_resumed_by_the_browser(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer("retry: 10\n\n" + event("a", 1, "5-0"))
    connect(page, "{}", "a")
    wait_for(page, "got", [1])
    server.next_request()
    server.answer(event("a", 2, "6-0"))
    stream.end()
    wait_for(page, "got", [1, 2])
    assert server.next_request().last_event_id == "5-0"
    wait_for(page, "states", ["connecting", "open", "waiting", "open"])


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_status_that_ends_eventsource_is_outlived(
    page: Page, server: ScriptedServer, status: int
) -> None:
    stream = server.answer("retry: 10\n\n" + event("a", 1, "5-0"))
    connect(page, "{}", "a")
    wait_for(page, "got", [1])
    server.answer(status=status)
    server.answer(event("a", 1, "5-0") + event("a", 2, "6-0"))
    stream.end()
    wait_for(page, "got", [1, 2])
    requests = [server.next_request() for _ in range(4)]
    assert [request.method for request in requests] == ["GET", "GET", "HEAD", "GET"]
    assert requests[3].query == {"lastEventId": ["5-0"]}
    wait_for(page, "states", ["connecting", "open", "waiting", "open"])


def test_a_new_eventsource_without_a_cursor_reports_a_gap(
    page: Page, server: ScriptedServer
) -> None:
    stream = server.answer("retry: 10\nid: 5-0\n\n")
    connect(page, "{}", "sse-push-gap")
    wait_for(page, "states.at(-1)", "open")
    server.answer(status=503)
    stream.end()
    wait_for(page, "got", [{"since": None, "oldest": None}])


@pytest.mark.parametrize("status", [204, 401, 403])
def test_a_final_status_closes(page: Page, server: ScriptedServer, status: int) -> None:
    server.answer(status=status)
    connect(page)
    wait_for(page, "states", ["connecting", "waiting", "closed"])
    assert page.run("push.reason") == "refused"
    page.run("new Promise((done) => setTimeout(done, 1300))")  # the longest first delay
    assert server.requests.qsize() == 2


def test_removed_is_for_good(page: Page, server: ScriptedServer) -> None:
    stream = server.answer("retry: 10\n\n")
    connect(page, "{}", "sse-push-closing")
    stream.send(event("sse-push-closing", {"reason": "removed"}))
    stream.end()
    wait_for(page, "states", ["connecting", "open", "closed"])
    assert page.run("[push.reason, got]") == ["removed", [{"reason": "removed"}]]
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert server.requests.qsize() == 1


@pytest.mark.parametrize("reason", ["shutdown", "age", "overflow"])
def test_other_ends_are_followed_by_a_new_connection(
    page: Page, server: ScriptedServer, reason: str
) -> None:
    stream = server.answer("retry: 10\n\n")
    connect(page, "{}", "a")
    stream.send(event("sse-push-closing", {"reason": reason}))
    server.answer(event("a", 1, "5-0"))
    stream.end()
    wait_for(page, "got", [1])


def test_close_is_for_good(page: Page, server: ScriptedServer) -> None:
    stream = server.answer("retry: 10\n\n" + event("a", 1, "5-0"))
    connect(page, "{}", "a")
    wait_for(page, "got", [1])
    page.run("push.close(); push.close()")
    stream.send(event("a", 2, "6-0"))
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert page.run("[got, states.at(-1), push.reason]") == [[1], "closed", "closed"]
    assert server.requests.qsize() == 1


def test_two_connections_in_one_page_do_not_mix(
    page: Page, server: ScriptedServer
) -> None:
    first = server.answer()
    connect(page, "{}", "a")
    wait_for(page, "states.at(-1)", "open")
    second = server.answer()
    page.run(
        """import("/sse/client.js").then(({ connect }) => {
          window.other = [];
          const events = { a: (data) => other.push(data) };
          window.push2 = connect("/sse/stream", { events });
        })"""
    )
    wait_for(page, "push2.state", "open")
    second.send(event("a", "second", "3-0"))
    first.send(event("a", "first", "4-0"))
    wait_for(page, "[got, other]", [["first"], ["second"]])
    page.run("push.close()")
    second.send(event("a", "still", "5-0"))
    wait_for(page, "other", ["second", "still"])
