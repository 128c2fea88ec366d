"""Each application of the README runs as printed, from a file of the printed name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.browser import Browser, open_browser
from tests.support.clients import call
from tests.support.servers import ROOT, Server, serve

pytestmark = [pytest.mark.browser, pytest.mark.server]

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = dict(
    re.findall(r"`(\w+)\.py`:\n\n```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@contextmanager
def served(name: str, folder: Path) -> Iterator[Server]:
    assert f"gunicorn -k gevent {name}:app" in TEXT
    (folder / f"readme_{name}.py").write_text(FILES[name], encoding="utf-8")
    arguments = ("--pythonpath", str(folder))
    with serve("gunicorn-gevent", f"readme_{name}:app", arguments=arguments) as server:
        yield server


def test_every_python_block_is_one_of_them() -> None:
    assert list(FILES) == ["app", "users"]
    assert TEXT.count("```python") == len(FILES)


def test_what_is_said_in_one_window_is_seen_in_both(
    browser: Browser, tmp_path: Path
) -> None:
    with served("app", tmp_path) as server:
        pages = [browser.page(server.url) for _ in range(2)]
        for page in pages:
            page.wait("stream.readyState === EventSource.OPEN")
        pages[0].fill("input", "Hello")
        pages[0].click("button")
        for page in pages:
            page.wait("document.getElementById('messages').textContent === 'Hello'")
            assert page.errors() == []
            page.close()


def test_only_the_user_s_page_shows_the_order(browser: Browser, tmp_path: Path) -> None:
    with served("users", tmp_path) as server:
        pages = {user: browser.page(server.url) for user in ("ada", "bob")}
        for user, page in pages.items():
            page.fill("input", user)
            page.run("window.isOld = true")
            page.click("button")
            page.wait("!window.isOld && stream.readyState === EventSource.OPEN")
        command = re.search(r"curl -X POST http://127\.0\.0\.1:8000(\S+)", TEXT)
        assert command is not None
        assert call(server, "POST", command[1])[0] == 204
        assert call(server, "POST", "/ship/bob/B-1")[0] == 204
        for page, text in zip(
            pages.values(), ("A-1: shipped", "B-1: shipped"), strict=True
        ):
            page.wait(f"document.getElementById('orders').textContent === '{text}'")
            assert page.errors() == []
            page.close()
