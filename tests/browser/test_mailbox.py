"""A site of many pages with plain ``EventSource``: every event is shown, none twice."""

from __future__ import annotations

import time
from collections import defaultdict

import pytest

from tests.support.browser import Page, open_browser
from tests.support.clients import call, eventually
from tests.support.servers import Server, serve

pytestmark = pytest.mark.browser

NAVIGATIONS = 100
KILLED_AT, SECOND_FROM, SECOND_TO = 30, 60, 70
# Pages of the second device have numbers of their own.
SECOND_DEVICE = 10_000


def send(server: Server, number: int) -> None:
    assert call(server, "POST", f"/toast/ann/{number}")[0] == 200


def shown(server: Server) -> list[tuple[int, int]]:
    return [(page, toast) for page, toast in call(server, "GET", "/shown")[1]]


def toasts(server: Server) -> set[int]:
    return {toast for _, toast in shown(server)}


def follow_link(page: Page, number: int) -> None:
    page.run("document.querySelector('#next').click()")
    page.wait(
        f"document.title === 'page {number}' && document.readyState !== 'loading'"
    )


@pytest.mark.timeout(150)
def test_two_hundred_events_over_a_hundred_pages() -> None:
    with serve("gunicorn-gevent", "tests.support.pages:app") as server:
        unsure: set[int] = set()
        browser = open_browser()
        page = browser.page(f"{server.url}/login/ann")
        page.go(f"{server.url}/page/0")
        second: Page | None = None
        sent = 0
        for number in range(1, NAVIGATIONS + 1):
            follow_link(page, number)
            send(server, sent)
            page.wait(f"Number(document.body.dataset.shown) >= {sent}")
            send(server, sent + 1)
            sent += 2
            if number == KILLED_AT:
                browser.kill()
                # These may have been in the page or on their way to it.
                unsure = set(range(sent - 10, sent))
                browser = open_browser()
                page = browser.page(f"{server.url}/login/ann")
                page.go(f"{server.url}/page/{number}")
            if number == SECOND_FROM:
                second = browser.page(f"{server.url}/login/ann")
                second.go(f"{server.url}/page/{SECOND_DEVICE}")
            if number == SECOND_TO and second is not None:
                second.close()
            # One that was shown just before the kill is not shown by the next browser.
            eventually(lambda last=sent - 1: last in toasts(server))  # type: ignore[misc]
            # The next page comes when the user has seen this one.
            time.sleep(0.3)
        pages: dict[int, list[int]] = defaultdict(list)
        for number, toast in shown(server):
            if number < SECOND_DEVICE:
                pages[toast].append(number)
        assert toasts(server) == set(range(sent))
        twice = {toast for toast, numbers in pages.items() if len(numbers) > 1}
        assert twice <= unsure
        browser.close()
