"""The pages of docs/state.rst show every change, whenever they are opened."""

from __future__ import annotations

import itertools
import json
import re
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_docs import page_script
from tests.support.browser import Browser, Page, open_browser
from tests.support.clients import call
from tests.support.servers import ROOT, Server, serve

pytestmark = [pytest.mark.browser, pytest.mark.server]

TEXT = (ROOT / "docs/state.rst").read_text(encoding="utf-8")
SCRIPTS = [
    textwrap.dedent(block)
    for block in re.findall(
        r"^\.\. code-block:: javascript\n((?:   .*\n|\n)+)", TEXT, re.MULTILINE
    )
]
OPENING = [script for script in SCRIPTS if "/sse/stream" in script]
ORDERS = ("A-1", "A-2", "A-3")


def _hidden_block() -> str:
    found = re.search(
        r"^\.\. testcode::\n   :hide:\n\n(?:   .*\n|\n)+", TEXT, re.MULTILINE
    )
    assert found is not None
    return found[0]


def run_as_module(page: Page, script: str) -> None:
    """Run a script as the page itself would."""
    page.run(
        f"""(() => {{
          const element = document.createElement("script");
          element.type = "module";
          element.textContent = {json.dumps(script)};
          document.body.append(element);
        }})()"""
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page's application, with an empty page at ``/``."""
    folder: Path = tmp_path_factory.mktemp("state")
    empty_page = """


@app.get("/")
def index():
    return '<!doctype html><ul id="orders"></ul>'
"""
    # The hidden block has sent a request, after which Flask takes no more routes.
    visible = TEXT.replace(_hidden_block(), "")
    source = page_script(visible, ".rst") + empty_page
    (folder / "state_page.py").write_text(source, encoding="utf-8")
    with serve(
        "gunicorn-gevent", "state_page:app", arguments=("--pythonpath", str(folder))
    ) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


def change(server: Server, status: str) -> None:
    for order in ORDERS:
        assert call(server, "POST", f"/orders/{order}/{status}")[0] == 200


@pytest.mark.parametrize(
    "script", OPENING, ids=["EventSource", "client.js", "without versions"]
)
def test_a_page_that_opens_amid_changes_shows_the_last(
    server: Server, browser: Browser, script: str
) -> None:
    is_over = threading.Event()

    def keep_changing() -> None:
        for number in itertools.count():
            if is_over.is_set():
                break
            change(server, f"{number}")

    changing = threading.Thread(target=keep_changing)
    changing.start()
    try:
        pages = [browser.page(server.url) for _ in range(3)]
        for page in pages:
            run_as_module(page, script)
        for page in pages:
            page.wait("document.querySelectorAll('#orders li').length === 3")
    finally:
        is_over.set()
        changing.join()
    change(server, "done")
    for page in pages:
        page.wait(
            "[...document.querySelectorAll('#orders li')]"
            ".map((line) => line.id + ' ' + line.textContent).sort().join()",
            until=lambda shown: shown == ",".join(f"{id} done" for id in ORDERS),
        )
        assert page.errors() == []
        page.close()


def test_a_change_before_the_stream_is_shown_without_another(
    server: Server, browser: Browser
) -> None:
    for number, script in enumerate(OPENING):
        change(server, f"before-{number}")
        page = browser.page(server.url)
        run_as_module(page, script)
        expected = json.dumps(f"before-{number}")
        page.wait(f"document.getElementById('A-2')?.textContent === {expected}")
        page.close()


def test_versions_of_a_rendered_page_are_read(server: Server, browser: Browser) -> None:
    [script] = [script for script in SCRIPTS if script not in OPENING]
    page = browser.page(server.url)
    page.run(
        "document.getElementById('orders').innerHTML ="
        ' \'<li id="A-1" data-version="2">shipped</li>\''
    )
    assert page.run(f"(() => {{ {script}; return versions.get('A-1'); }})()") == 2
    page.close()
