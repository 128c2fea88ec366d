"""The page on the browser names all that the types of client.js have."""

from __future__ import annotations

import re

import pytest

from tests.support.servers import ROOT

TYPES = (ROOT / "flask_sse_push/client/client.d.ts").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/browser.rst").read_text(encoding="utf-8")
TYPES = re.sub(r"/\*.*?\*/", "", TYPES, flags=re.DOTALL)


def body_of(interface: str) -> str:
    found = re.search(rf"interface {interface}\b.*?\{{\n(.*?)\n\}}", TYPES, re.DOTALL)
    assert found is not None
    return found[1]


def words_of(union: str) -> list[str]:
    found = re.search(rf"export type {union} = (.*?);", TYPES)
    assert found is not None
    return re.findall(r'"([\w-]+)"', found[1])


OPTIONS = re.findall(r"^  (\w+)\?:", body_of("Options"), re.MULTILINE)
MEMBERS = re.findall(r"^  (?:readonly )?(\w+)[:(<]", body_of("Push"), re.MULTILINE)
CONTROL_EVENTS = re.findall(r'"(sse-push-\w+)"', body_of("ControlEvents"))
CLOSINGS = re.findall(r'"(\w+)"', body_of("Closing"))


@pytest.mark.parametrize(
    "name", [*OPTIONS, *words_of("State"), *words_of("Reason"), *CONTROL_EVENTS]
)
def test_it_is_a_row_of_a_table(name: str) -> None:
    assert f"   * - ``{name}``\n" in PAGE


@pytest.mark.parametrize("name", MEMBERS)
def test_what_connect_returns_is_there(name: str) -> None:
    assert re.search(rf"``push\.{name}\b", PAGE)


@pytest.mark.parametrize("reason", CLOSINGS)
def test_each_end_is_there(reason: str) -> None:
    assert f'``"{reason}"``' in PAGE


def test_there_is_something_to_look_for() -> None:
    assert len(OPTIONS) == 6
    assert len(MEMBERS) >= 7
    assert len(CONTROL_EVENTS) >= 2
    assert len(CLOSINGS) == 4
