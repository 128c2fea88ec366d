"""The pytest fixture, for a ``conftest.py`` that imports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from .recorder import SSERecorder


@pytest.fixture
def sse_recorder(app: Flask) -> Iterator[SSERecorder]:
    """Record the events that are sent for the application of your ``app`` fixture."""
    with SSERecorder(app) as recorder:
        yield recorder
