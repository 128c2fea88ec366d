"""A directive that counts the imports of the package while the documentation is built.

``.. house-counts::`` is a table with the figures of the first layout, which do not
change, beside those of the code that is documented.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import FrameType

import grimp
from docutils import nodes
from flask import Flask
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs.extensions.tables import GeneratedTable
from flask_sse_push import SSEPush

PACKAGE = "flask_sse_push"


@dataclass(frozen=True)
class Counts:
    """Figures about modules, or about rooms, and the imports between them.

    :param circles: groups of modules that import each other.
    :param chain: the most modules of which each imports the next.
    """

    units: int
    arrows: int
    circles: int
    chain: int


#: The package before it was divided into rooms (commit e37e68b), counted in the same
#: way, and its modules and rooms that one send passed.
MODULES_BEFORE = Counts(units=63, arrows=251, circles=0, chain=14)
ROOMS_BEFORE = Counts(units=35, arrows=159, circles=0, chain=12)
SEND_BEFORE = (16, 14)
#: Now: ``sending/options.py``, the docstring of ``send_to_user``, and where it is used.
OPTION_BEFORE, OPTION_NOW = 8, 3


def room_of(module: str) -> str:
    """The room of a module: a package or module directly in ``flask_sse_push``."""
    return ".".join(module.split(".")[:2])


def imports() -> dict[str, set[str]]:
    """What each module of the package imports from the package."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    return {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
    }


def between_rooms(modules: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """What each room imports from other rooms."""
    rooms: dict[str, set[str]] = {room_of(module): set() for module in modules}
    for module, imported in modules.items():
        room = room_of(module)
        rooms[room] |= {room_of(other) for other in imported} - {room}
    return rooms


def count(graph: Mapping[str, Collection[str]]) -> Counts:
    """Count a graph of imports."""
    circles = _circles(graph)
    return Counts(
        units=len(graph),
        arrows=sum(map(len, graph.values())),
        circles=len(circles),
        chain=0 if circles else _longest_chain(graph),
    )


def _circles(graph: Mapping[str, Collection[str]]) -> set[frozenset[str]]:
    reached = {unit: _reached(graph, unit) for unit in graph}
    return {
        frozenset({unit, *(o for o in reached[unit] if unit in reached[o])})
        for unit in graph
        if unit in reached[unit]
    }


def _reached(graph: Mapping[str, Collection[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        unit = waiting.pop()
        if unit not in found:
            found.add(unit)
            waiting += graph[unit]
    return found


def _longest_chain(graph: Mapping[str, Collection[str]]) -> int:
    @cache
    def length(unit: str) -> int:
        return 1 + max(map(length, graph[unit]), default=0)

    return max(map(length, graph))


def modules_of_a_send() -> set[str]:
    """The modules whose code runs in one ``send_to_user`` with the memory backend."""
    sse = SSEPush(Flask(__name__))
    order = {"order_id": "A-1", "status": "shipped"}
    # The first send starts the engine.
    sse.send_to_user("ada", "order-update", order)
    return _modules_run(lambda: sse.send_to_user("ada", "order-update", order))


def _modules_run(action: Callable[[], object]) -> set[str]:
    found: set[str] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            name = frame.f_globals.get("__name__", "")
            if name.startswith(f"{PACKAGE}."):
                found.add(name)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(before)
    return found


def rows() -> list[tuple[str, str, str]]:
    """The rows of the table: what is counted, before, and now."""
    found = imports()
    modules, rooms = count(found), count(between_rooms(found))
    sent = modules_of_a_send()
    passed = (len(sent), len({room_of(module) for module in sent}))
    texts = [
        ("Rooms", ROOMS_BEFORE.units, rooms.units),
        ("Imports between rooms", ROOMS_BEFORE.arrows, rooms.arrows),
        ("Longest chain of rooms", ROOMS_BEFORE.chain, rooms.chain),
        ("Modules", MODULES_BEFORE.units, modules.units),
        ("Imports between modules", MODULES_BEFORE.arrows, modules.arrows),
        ("Longest chain of modules", MODULES_BEFORE.chain, modules.chain),
        ("Circles", MODULES_BEFORE.circles, modules.circles + rooms.circles),
        ("Rooms that one send passes", SEND_BEFORE[1], passed[1]),
        ("Modules that one send passes", SEND_BEFORE[0], passed[0]),
        ("Places that a new option touches", OPTION_BEFORE, OPTION_NOW),
    ]
    return [(text, str(before), str(now)) for text, before, now in texts]


class HouseCounts(GeneratedTable):
    """The directive."""

    def run(self) -> Sequence[nodes.table | nodes.system_message]:
        return self.table((64, 18, 18), [("Counted", "Before", "Now"), *rows()])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive to Sphinx."""
    app.add_directive("house-counts", HouseCounts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
