"""The documentation against the code: examples run, and settings match the code.

The Python blocks of a page (``testcode``, ``testsetup``, ``code-block:: python``, in
Markdown those fenced as ``python``) run in order as one script, as a reader would put
them together. A page that names ``redis://localhost:6379`` gets a real server there.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from flask_sse_push import events
from flask_sse_push.config import PREFIX, Config
from tests.support.servers import ROOT

REDIS_URL = "redis://localhost:6379"
SCRIPT_SECONDS = 50

_RST_BLOCK = re.compile(
    r"^(?P<indent> *)\.\. (?:testcode|testsetup|code-block)::(?P<language>.*)\n"
    r"(?P<body>(?:(?P=indent) +\S.*\n| *\n)+)",
    re.MULTILINE,
)
_OPTION = re.compile(r"\s*:[a-z-]+:")
_MARKDOWN_BLOCK = re.compile(
    r"^```python\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SETTING = re.compile(
    r"^\.\. confval:: (?P<key>\w+)\n +:default: ``(?P<default>.+)``$", re.MULTILINE
)


def python_blocks(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """The Python blocks of a page, each with the number of lines before it."""
    for match in (_MARKDOWN_BLOCK if suffix == ".md" else _RST_BLOCK).finditer(text):
        if match.groupdict().get("language", "").strip() not in ("", "python"):
            continue
        lines = match["body"].split("\n")
        above = text.count("\n", 0, match.start("body"))
        while lines and (not lines[0].strip() or _OPTION.match(lines[0])):
            del lines[0]
            above += 1
        yield above, textwrap.dedent("\n".join(lines)).rstrip() + "\n"


def page_script(text: str, suffix: str) -> str:
    """All Python of a page; lines keep their numbers, for tracebacks."""
    script = ""
    for above, block in python_blocks(text, suffix):
        script += "\n" * (above - script.count("\n")) + block
    return script


def scripts() -> Iterator[object]:
    """The pages that contain Python, as parameters."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]:
        script = page_script(page.read_text(encoding="utf-8"), page.suffix)
        if script:
            marks = [pytest.mark.redis] if REDIS_URL in script else []
            yield pytest.param(page.stem, script, id=page.name, marks=marks)


def documented_settings() -> dict[str, object]:
    """The default of each setting, from the page on configuration."""
    text = (ROOT / "docs/configuration.rst").read_text(encoding="utf-8")
    found = [(match["key"], match["default"]) for match in _SETTING.finditer(text)]
    assert len(found) == len({key for key, _ in found}), "a setting is described twice"
    return {key: ast.literal_eval(default) for key, default in found}


@pytest.mark.parametrize(("name", "script"), [*scripts()])
def test_examples_run(
    name: str, script: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if REDIS_URL in script:
        script = script.replace(REDIS_URL, request.getfixturevalue("valkey_url"))
    path = tmp_path / f"{name}.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_setting_is_documented_with_its_default() -> None:
    defaults = Config()
    assert documented_settings() == {
        PREFIX + entry.name.upper(): getattr(defaults, entry.name)
        for entry in fields(Config)
    }


def test_control_events_are_documented() -> None:
    text = (ROOT / "docs/wire.rst").read_text(encoding="utf-8")
    for name in (events.GAP, events.CLOSING):
        assert f"``{name}``" in text


def test_blocks_are_found_with_their_line_numbers() -> None:
    text = (
        "Page\n====\n\n.. testcode::\n   :hide:\n\n   a = 1\n\n   b = 2\n\nText.\n\n"
        ".. code-block:: console\n\n   $ ls\n\n.. code-block:: python\n\n   c = 3\n"
    )
    assert list(python_blocks(text, ".rst")) == [
        (6, "a = 1\n\nb = 2\n"),
        (18, "c = 3\n"),
    ]
    assert page_script(text, ".rst").splitlines()[18] == "c = 3"


def test_markdown_blocks_are_found() -> None:
    text = "# Page\n\n```sh\nls\n```\n\n```python\na = 1\n```\n"
    assert list(python_blocks(text, ".md")) == [(7, "a = 1\n")]
