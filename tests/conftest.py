"""The order of the tests, common fixtures, and no skipped tests in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from flask import Flask
from hypothesis import settings

from flask_sse_push import SSEPush

# No test may fail because the machine is busy.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

_NEEDY = ("redis", "server", "browser", "chaos")


@pytest.hookimpl(
    trylast=True
)  # after pytest-randomly, whose order is kept within each group
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run fast tests first, then those with a server, with a browser, and chaos."""

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
    """In CI, fail a test whose server or browser is missing, instead of skipping it."""
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
    """An application with the memory backend; the query names the user."""
    app = Flask("tests")
    app.config.update(TESTING=True, SECRET_KEY="for tests only")
    return app


@pytest.fixture
def sse(app: Flask) -> SSEPush:
    """The extension, set up for the application ``app``."""
    return SSEPush(app)


@pytest.fixture
def context(app: Flask, sse: SSEPush) -> Iterator[None]:
    """The application's context, in which the verbs of any extension work."""
    with app.app_context():
        yield
