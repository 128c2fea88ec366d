"""The example shop in a browser: who visits it, what they do, and what they see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.browser import Browser, Page
from tests.support.clients import Stream, call
from tests.support.servers import Server

Arrive = Callable[[Server, str], Page]
SHOP = ("gunicorn-gevent", "example.app:app")
STATE = "document.querySelector('#state-word').textContent"
STEPS = "[...document.querySelectorAll('.order-step')].map((e) => e.textContent)"
TOASTS = "[...document.querySelectorAll('.toast-title')].map((e) => e.textContent)"
MESSAGES = "[...document.querySelectorAll('.message-text')].map((e) => e.textContent)"


@contextmanager
def visitors(browser: Browser) -> Iterator[Arrive]:
    """Open a page for each user and log in; at the end no page may have an error."""
    pages: list[Page] = []

    def arrive(server: Server, user: str) -> Page:
        page = browser.page(server.url)
        pages.append(page)
        page.wait("document.body.dataset.ready")
        if user:
            page.fill("#user", user)
            page.click("#login button")
            page.wait("document.body.dataset.user && document.body.dataset.ready")
            assert page.text("#who") == user
        wait_for(page, STATE, "Live")
        return page

    yield arrive
    assert [page.errors() for page in pages] == [[] for _ in pages]
    for page in pages:
        page.close()


def wait_for(
    page: Page, expression: str, expected: object, *, seconds: float | None = None
) -> None:
    page.wait(expression, seconds=seconds, until=lambda value: value == expected)


def announce(admin: Page, title: str, priority: str = "medium") -> None:
    admin.fill("#title", title)
    admin.fill("#content", "Read this.")
    admin.fill("#priority", priority)
    admin.click("#announce button")


def write(page: Page, to: str, message: str) -> None:
    page.fill("#to", to)
    page.fill("#message", message)
    page.click("#chat button")


def waiting_for(server: Server, user: str) -> list[str]:
    """The messages that a new page of this user would get."""
    _, _, headers = call(server, "POST", "/login", {"user": user})
    cookie = headers["Set-Cookie"].partition(";")[0]
    with Stream(server, headers={"Cookie": cookie}) as stream:
        events = stream.read_opening().events
    return [data["message"] for name, _, data in events if name == "chat-message"]
