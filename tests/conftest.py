"""Order of the tests, and the rule that nothing that matters is skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_sse_push import SSEPush

_NEEDY = ("redis", "server", "browser", "chaos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: those that need a server, then a browser, then chaos, last."""

    def cost(item: pytest.Item) -> int:
        return max(
            (n for n, name in enumerate(_NEEDY, 1) if item.get_closest_marker(name)),
            default=0,
        )

    items.sort(key=cost)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    report = yield
    needy = any(item.get_closest_marker(name) for name in _NEEDY)
    if os.environ.get("CI") and needy and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped in CI, where nothing may be missing: {report.longrepr}"
    return report


@pytest.fixture
def app() -> Flask:
    """An application with the memory backend; users are named in the query."""
    app = Flask("tests")
    app.config.update(TESTING=True, SECRET_KEY="for tests only")
    return app


@pytest.fixture
def sse(app: Flask) -> SSEPush:
    """The extension, set up for the application."""
    return SSEPush(app)
