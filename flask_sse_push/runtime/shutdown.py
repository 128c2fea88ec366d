"""Shutdown: noticing that a worker stops, and cleaning up when its process exits.

WSGI defines no hook for this, and gunicorn would wait for the whole of its graceful
timeout, because streams never end by themselves.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import weakref
from typing import Protocol


class Stoppable(Protocol):
    """Something that runs in this process and must be stopped before it exits."""

    def stop(self) -> None:
        """Stop it."""


_log = logging.getLogger("flask_sse_push")

_running: weakref.WeakKeyDictionary[Stoppable, int] = weakref.WeakKeyDictionary()


def stop_at_exit(running: Stoppable) -> None:
    """Call ``stop`` when this process exits normally. The reference held is weak."""
    _running[running] = os.getpid()


@atexit.register
def _stop_all() -> None:
    for running, pid in list(_running.items()):
        # A forked process also has the objects of its parent, which it must not stop.
        if pid == os.getpid():
            try:
                running.stop()
            except Exception:
                _log.exception("flask_sse_push could not be stopped cleanly at exit")


def is_server_stopping() -> bool:
    """Whether gunicorn has told this worker to stop: SIGTERM, reload, ``max_requests``.

    gunicorn's SIGTERM handler is a method of its worker object, whose ``alive`` becomes
    false. The extension cannot set its own handler: only the main thread may do that,
    and with ``-k gthread`` no request runs there. Under other servers this is always
    ``False``; their streams end with the process.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "alive", True) is False
