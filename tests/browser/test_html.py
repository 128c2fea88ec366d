"""The page on data: its HTML example as a reader would run it, in a real browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.docs.test_docs import python_blocks
from tests.support.browser import open_browser
from tests.support.servers import ROOT, serve

pytestmark = pytest.mark.browser


def test_the_html_example_runs_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "docs/data.rst").read_text(encoding="utf-8")
    blocks = [block for _, block in python_blocks(text, ".rst")]
    [example] = [block for block in blocks if "/players/<int:id>/score" in block]
    (tmp_path / "html_example.py").write_text(blocks[0] + example)
    target = ("gunicorn-gevent", "html_example:app")
    rows = (
        "[...document.querySelectorAll('#scores li')].map((e) => e.textContent.trim())"
    )
    with (
        serve(*target, arguments=("--pythonpath", str(tmp_path))) as server,
        open_browser() as browser,
    ):
        page = browser.page(server.url)
        page.wait("stream.readyState === EventSource.OPEN")
        for id in (1, 2):
            answer = httpx.post(f"{server.url}/players/{id}/score")
            assert answer.status_code == 204
        page.wait(rows, until=lambda found: found == ["Ada <3: 7"] * 2)
        assert page.run("document.querySelectorAll('#player-2').length") == 1
        assert page.errors() == []
        page.close()
