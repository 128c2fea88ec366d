"""gunicorn's settings for the demonstration."""

from __future__ import annotations

import signal
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Leave Ctrl-C to gunicorn's main process.

    A terminal sends it to both; a worker that is told twice to end fails at the second
    time, amid its own shutdown, with a traceback that says nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
