"""Whether the server has been asked to end this worker.

A WSGI server has no hook for it, and gunicorn waits, for the whole of its graceful
timeout, for streams that would never end by themselves.
"""

from __future__ import annotations

import signal


def is_server_stopping() -> bool:
    """Whether gunicorn has told this worker to stop: SIGTERM, reload, ``max_requests``.

    gunicorn's handler of SIGTERM is a method of its worker, whose ``alive`` says so. A
    handler of our own could only be set from the main thread, where no request runs
    under ``-k gthread``. ``False`` under other servers, which end with their process.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "alive", True) is False
