"""A browser that is cut off before its page's first event misses nothing.

Firefox and Chromium differ in which ids they keep, so both are asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.support.browser import open_browser
from tests.support.clients import call, eventually
from tests.support.firefox import open_firefox
from tests.support.relay import Relay
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.timeout(150)]

Show = Callable[[str], AbstractContextManager[object]]


@contextlib.contextmanager
def open_chromium(url: str) -> Iterator[None]:
    with open_browser() as browser:
        browser.page(url)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    environ = {"SSE_PUSH_RETRY_MS": "100", "SSE_PUSH_HEARTBEAT_SECONDS": "60"}
    with serve(
        "gunicorn-gevent", "tests.support.pages:app", environ=environ
    ) as running:
        yield running


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(open_chromium, id="chromium"),
        pytest.param(open_firefox, id="firefox"),
    ],
)
def test_a_broadcast_while_the_page_reconnects_is_shown(
    server: Server, show: Show
) -> None:
    page = 1 if show is open_chromium else 2
    with Relay(server) as relay, show(f"{relay.url}/page/{page}"):
        eventually(lambda: b"id: " in relay.received, 60)
        relay.cut()
        # The page is connected to nothing, and has not seen any event.
        call(server, "POST", f"/toast-all/{page}")
        relay.resume()
        eventually(lambda: [page, page] in call(server, "GET", "/shown")[1], 30)
