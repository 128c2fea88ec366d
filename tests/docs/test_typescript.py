"""All tests that the page on the TypeScript guide names exist."""

from __future__ import annotations

import re

from tests.support.servers import ROOT


def test_each_test_that_the_page_names_exists() -> None:
    text = (ROOT / "docs/typescript.rst").read_text(encoding="utf-8")
    named = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", text)
    assert len(named) > 20
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{path}::{test}"
