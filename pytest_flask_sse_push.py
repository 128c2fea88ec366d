"""The pytest plugin: the fixture ``sse_recorder``.

It is outside of the package because pytest imports it at every start. The package is
imported only when the fixture is used: by then ``conftest.py`` may have called gevent's
``patch_all()``, and coverage has started to measure.
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
    """Record the events that are sent for the application of your ``app`` fixture."""
    from flask_sse_push.testing.recorder import SSERecorder  # noqa: PLC0415

    with SSERecorder(app) as recorder:
        yield recorder
