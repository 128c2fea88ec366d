"""A site of many pages with plain ``EventSource``: every event is shown, none twice."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict

import pytest

from tests.support.browser import Browser, Page, open_browser
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


class People:
    """The user's browser, and how far the test has come."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        self.sent = 0

    def arrive(self, number: int) -> Page:
        page = self.browser.page(f"{self.server.url}/login/ann")
        page.go(f"{self.server.url}/page/{number}")
        return page

    def send_two(self, page: Page) -> None:
        """One that is seen before the next, and one that may be on its way."""
        send(self.server, self.sent)
        page.wait(f"Number(document.body.dataset.shown) >= {self.sent}")
        send(self.server, self.sent + 1)
        self.sent += 2

    def wait_until_shown(self) -> None:
        last = self.sent - 1
        eventually(lambda: last in toasts(self.server))


@pytest.mark.timeout(150)
def test_two_hundred_events_over_a_hundred_pages() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            serve("gunicorn-gevent", "tests.support.pages:app")
        )
        people = People(server, stack.enter_context(open_browser()))
        page, second = people.arrive(0), None
        for number in range(1, NAVIGATIONS + 1):
            follow_link(page, number)
            people.send_two(page)
            if number == KILLED_AT:
                people.browser.kill()
                # These may have been in the page or on their way to it.
                unsure = set(range(people.sent - 10, people.sent))
                people.browser = stack.enter_context(open_browser())
                page = people.arrive(number)
            if number == SECOND_FROM:
                second = people.arrive(SECOND_DEVICE)
            if number == SECOND_TO and second is not None:
                second.close()
            people.wait_until_shown()
            # The next page comes when the user has seen this one.
            time.sleep(0.3)
        assert toasts(server) == set(range(people.sent))
        pages: dict[int, list[int]] = defaultdict(list)
        for number, toast in shown(server):
            if number < SECOND_DEVICE:
                pages[toast].append(number)
        twice = {toast for toast, numbers in pages.items() if len(numbers) > 1}
        assert twice <= unsure, pages
