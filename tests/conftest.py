"""Order of the tests, their settings, and that nothing is skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from flask import Flask
from hypothesis import settings

from flask_sse_push import SSEPush

# How busy the machine is decides no test.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

_NEEDY = ("redis", "server", "browser", "chaos")


@pytest.hookimpl(trylast=True)  # after the shuffling, whose order each cost keeps
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
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that lacks its server or browser fails."""
    report = yield
    is_needy = any(item.get_closest_marker(name) for name in _NEEDY)
    is_skipped = report.skipped and not hasattr(report, "wasxfail")
    if os.environ.get("CI") and is_needy and is_skipped:
        report.outcome = "failed"
        report.longrepr = f"Skipped in CI, where nothing is missing: {report.longrepr}"
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """After a failure, how to get its order again; -q leaves out the header with it."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None and terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(f"This order again: --randomly-seed={seed}")


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


@pytest.fixture
def context(app: Flask, sse: SSEPush) -> Iterator[None]:
    """The application's context, in which verbs of any extension work."""
    with app.app_context():
        yield
