"""The documentation's JavaScript, in a real browser: each block runs and connects."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.client_js import CLIENT
from tests.support.scripted import ScriptedServer
from tests.support.servers import ROOT

pytestmark = pytest.mark.browser

_BLOCK = re.compile(
    r"^\.\. code-block:: javascript\n\n(?P<body>(?:   .*\n|\n)+)", re.MULTILINE
)


def blocks() -> Iterator[object]:
    for name in ("browser", "authentication"):
        text = (ROOT / f"docs/{name}.rst").read_text(encoding="utf-8")
        for number, match in enumerate(_BLOCK.finditer(text), 1):
            yield pytest.param(textwrap.dedent(match["body"]), id=f"{name}-{number}")


@pytest.mark.parametrize("block", [*blocks()])
def test_a_block_runs(browser: Browser, block: str) -> None:
    files = {"/sse/client.js": CLIENT, "/block.js": block}
    with ScriptedServer(files) as server:
        page = browser.page(server.url)
        page.run("import('/block.js')")
        assert server.next_request().method == "GET"
        assert page.errors() == []
        page.close()
