"""The design page: its picture has the rooms of the code, and its table counts them."""

from __future__ import annotations

import configparser
import re

from docs.extensions.house import (
    Counts,
    between_rooms,
    count,
    imports,
    modules_of_a_send,
    rows,
)
from tests.support.servers import ROOT

PICTURE = (ROOT / "docs/design/house.svg").read_text(encoding="utf-8")
STEPS = ["verb", "sender", "event log", "hub", "fan-out", "connection"]


def layers() -> list[list[str]]:
    """The rooms of ``.importlinter``, from the top down."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    lines = contracts["importlinter:contract:rooms"]["layers"].strip().splitlines()
    return [re.findall(r"\w+", line) for line in lines]


def heights() -> dict[str, float]:
    """The texts of the picture, each with its distance from the top."""
    found = re.findall(r'<text x="[\d.]+" y="(\d+)"[^>]*>([^<]+)</text>', PICTURE)
    return {text.partition(":")[0]: float(y) for y, text in found}


def test_the_picture_has_every_room_in_its_layer() -> None:
    above = 0.0
    for layer in layers():
        found = [heights()[room] for room in layer]
        assert min(found) >= above, f"{layer} is drawn above a layer that imports it"
        above = max(found)


def test_the_picture_names_the_steps_that_the_list_explains() -> None:
    page = (ROOT / "docs/design.rst").read_text(encoding="utf-8")
    explained = re.findall(r"^#\. \*\*(.+?)\.\*\*", page, re.MULTILINE)
    assert [step.lower() for step in explained] == STEPS
    assert all(step in PICTURE for step in STEPS)


def test_the_table_counts_the_code() -> None:
    modules = imports()
    rooms = {layer for line in layers() for layer in line}
    found = between_rooms(modules)
    assert {room.partition(".")[2] for room in found} - {""} == rooms
    table = {text: now for text, _, now in rows()}
    assert table["Modules"] == str(len(modules))
    assert table["Rooms"] == str(len(rooms) + 1)
    assert table["Circles"] == "0"


def test_a_send_is_followed_from_the_verb_to_the_hub() -> None:
    passed = modules_of_a_send()
    for module in ("sending.verbs", "sending.sender", "log.memory", "delivery.hub"):
        assert f"flask_sse_push.{module}" in passed
    assert "flask_sse_push.sending.outbox" not in passed


def test_counting() -> None:
    line = {"a": {"b"}, "b": {"c"}, "c": set[str](), "d": {"b", "c"}}
    assert count(line) == Counts(units=4, arrows=4, circles=0, chain=3)
    assert count({"a": {"b"}, "b": {"c"}, "c": {"b"}}).circles == 1
    assert between_rooms({"p.a.x": {"p.a.y", "p.b"}, "p.a.y": {"p.b"}, "p.b": ()}) == {
        "p.a": {"p.b"},
        "p.b": set(),
    }
