"""A browser, a page, and a server that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, Page, open_browser
from tests.support.client_js import CLIENT
from tests.support.scripted import ScriptedServer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"/sse/client.js": CLIENT}) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: ScriptedServer) -> Iterator[Page]:
    page = browser.page(server.url)
    yield page
    page.close()
