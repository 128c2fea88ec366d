"""The layout that CONTRIBUTING.md and docs/design.rst promise: imports go downward."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "flask_sse_push"

#: From the bottom up: a module imports from layers below its own, or from its own
#: package. Those of one layer do not know each other.
LAYERS = (
    ("errors", "names", "concurrency", "backoff", "shutdown"),
    ("events", "signals", "payloads"),
    ("config", "history", "schemas"),
    ("backends", "connections", "prepare"),
    ("registry", "outbox", "ratelimit"),
    ("dispatcher", "heartbeat"),
    ("hub",),
    ("worker",),
    ("state",),
    ("streams", "commit", "sequences", "progress"),
    ("verbs", "blueprint", "patterns"),
    ("extension", "publisher", "metrics"),
    ("__init__", "services", "testing"),
)
#: Third parties at home in a few modules; any other third party is not used.
HOMES = {
    "blinker": {"signals", "state"},
    "flask": {"blueprint", "extension", "metrics", "state", "streams", "testing"},
    "gevent": {"concurrency", "connections"},
    "limits": {"ratelimit"},
    "marshmallow": {"schemas", "verbs"},
    "prometheus_client": {"metrics"},
    "redis": {"backends"},
    "sqlalchemy": {"commit", "patterns"},
    "werkzeug": {"blueprint", "extension", "streams", "testing"},
}


def part_of(path: Path) -> str:
    """The module or subpackage of ours that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """What a file imports: ``.part`` of ours, or another package's name."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            if node.module:
                yield "." + node.module.partition(".")[0]
            else:
                yield from ("." + alias.name for alias in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def test_every_part_has_its_layer() -> None:
    assert {part_of(path) for path in FILES} == set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    part = part_of(path)
    ours = {name[1:] for name in imports(path) if name.startswith(".")} - {part}
    assert {name for name in ours if HEIGHT[name] >= HEIGHT[part]} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_third_parties_stay_at_home(path: Path) -> None:
    for name in imports(path):
        assert name != "flask_sse_push", "inside the package imports are relative"
        if name in HOMES:
            assert part_of(path) in HOMES[name]
