"""gunicorn's settings for the demonstration."""

from __future__ import annotations

import signal
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Leave Ctrl-C to gunicorn's main process.

    A terminal sends Ctrl-C to both processes. A worker that is told to stop a second
    time, during its shutdown, fails with a useless traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
