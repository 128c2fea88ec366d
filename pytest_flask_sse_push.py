"""The pytest plugin: the fixture ``sse_recorder``.

It stands outside of the package because pytest imports it at every start. What it needs
of the package is imported when the fixture is used: not before ``conftest.py`` may have
let gevent patch the process, nor before coverage measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from flask_sse_push.testing import SSERecorder


@pytest.fixture
def sse_recorder(app: Flask) -> Iterator[SSERecorder]:
    """Record what is sent for the application of your own ``app`` fixture."""
    from flask_sse_push.testing.recorder import SSERecorder  # noqa: PLC0415

    with SSERecorder(app) as recorder:
        yield recorder
