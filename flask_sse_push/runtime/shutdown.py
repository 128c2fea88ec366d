"""The end of a worker: noticed while streams are open, and at the process's exit.

A WSGI server has no hook for it, and gunicorn waits, for the whole of its graceful
timeout, for streams that would never end by themselves.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import weakref
from typing import Protocol


class Stoppable(Protocol):
    """What has an end to come to."""

    def stop(self) -> None:
        """Come to it."""


_log = logging.getLogger("flask_sse_push")

_running: weakref.WeakKeyDictionary[Stoppable, int] = weakref.WeakKeyDictionary()


def stop_at_exit(worker: Stoppable) -> None:
    """Stop a worker when this process ends by itself; it is not kept alive for that."""
    _running[worker] = os.getpid()


@atexit.register
def _stop_all() -> None:
    for worker, pid in list(_running.items()):
        # A fork has its parent's workers in memory, but they are not its own.
        if pid == os.getpid():
            try:
                worker.stop()
            except Exception:
                _log.exception("Stopping a worker failed")


def is_server_stopping() -> bool:
    """Whether gunicorn has told this worker to stop: SIGTERM, reload, ``max_requests``.

    gunicorn's handler of SIGTERM is a method of its worker, whose ``alive`` says so. A
    handler of our own could only be set from the main thread, where no request runs
    under ``-k gthread``. ``False`` under other servers, which end with their process.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "alive", True) is False
