"""The layout that CONTRIBUTING.md and docs/design.rst promise: imports go downward."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT

PACKAGE = ROOT / "flask_sse_push"

#: From the bottom up: a module imports from layers below its own, or from its own
#: package. Those of one layer do not know each other.
LAYERS = (
    ("errors", "names", "runtime"),
    ("events", "signals", "payloads"),
    ("config", "log.history", "schemas"),
    ("log", "delivery.connections", "sending.prepare"),
    ("delivery.registry", "sending.outbox", "sending.ratelimit"),
    ("delivery.fanout", "delivery.heartbeat"),
    ("delivery.hub",),
    ("application.engine",),
    ("application.state",),
    ("delivery.streams", "sending.commit", "sending.sequences", "sending.progress"),
    ("sending.verbs", "blueprint", "sending.patterns"),
    ("extension", "sending.publisher", "metrics"),
    ("__init__", "services", "testing"),
)
#: Third parties at home in a few modules; any other third party is not used.
HOMES = {
    "blinker": {"signals", "application.state"},
    "flask": {
        *("blueprint", "extension", "metrics", "testing"),
        *("application.state", "delivery.streams"),
    },
    "gevent": {"runtime", "delivery.connections"},
    "limits": {"sending.ratelimit"},
    "marshmallow": {"schemas", "sending.verbs"},
    "prometheus_client": {"metrics"},
    "redis": {"log"},
    "sqlalchemy": {"sending.commit", "sending.patterns"},
    "werkzeug": {"blueprint", "extension", "delivery.streams", "testing"},
}


def part_of(name: str) -> str | None:
    """The part that a dotted name belongs to, the most exact one there is."""
    while name and name not in HEIGHT:
        name = name.rpartition(".")[0]
    return name or None


def module_of(path: Path) -> str:
    """The dotted name of a file, within the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """What a file imports: ``.module`` of ours, or another package's name."""
    parts = path.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level]]
            yield "." + ".".join([*base, *([node.module] if node.module else [])])


FILES = sorted(PACKAGE.rglob("*.py"))
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def test_every_module_has_its_layer() -> None:
    rooms = {"sending", "delivery", "application"}
    modules = {module_of(path) for path in FILES} - rooms
    assert {name for name in modules if part_of(name) is None} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    part = part_of(module_of(path))
    for name in imports(path):
        if name.startswith("."):
            imported = part_of(name[1:])
            if imported and part and imported != part:
                assert HEIGHT[imported] < HEIGHT[part], name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_third_parties_stay_at_home(path: Path) -> None:
    for name in imports(path):
        assert name != "flask_sse_push", "inside the package imports are relative"
        if name in HOMES:
            assert part_of(module_of(path)) in HOMES[name]
