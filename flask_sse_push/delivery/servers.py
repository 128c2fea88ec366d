"""Facts about the WSGI server: its number of threads, and how to start it for streams.

They matter if a stream is not handed off: it then occupies one of the server's threads
as long as it is open.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..runtime.concurrency import is_cooperative

# A real server sets at least one of these keys in the WSGI environment.
_SERVER_KEYS = (
    "SERVER_SOFTWARE",
    "gunicorn.socket",
    "werkzeug.socket",
    "uwsgi.version",
)
_PAGE = "docs/servers.rst has the table of servers."


def require_fit_server(environ: Mapping[str, Any], *, is_handed_off: bool) -> None:
    """Check that the server was started in a way that can serve streams.

    :param environ: the request's WSGI environment.
    :param is_handed_off: whether the stream will be handed off, so that it occupies no
        thread of the server.
    :raises ConfigError: it cannot; the message says how to start the server.
    """
    server = type(environ.get("wsgi.input")).__module__
    if server.startswith("gevent.") and not is_cooperative():
        raise ConfigError(
            "This server runs on gevent, but the process is not patched, so one stream "
            "would block all others. Start your program with 'from gevent import "
            "monkey; monkey.patch_all()', before every other import."
        )
    if not is_handed_off and thread_count(environ) == 1:
        raise ConfigError(
            "This server answers one request at a time, so one stream would block all "
            f"other requests while it is open. {_remedy(environ)} {_PAGE}"
        )


def thread_count(environ: Mapping[str, Any]) -> int | None:
    """How many requests the server's process can answer at the same time.

    Greenlets of a pool count as threads.

    :returns: ``None`` if there is no limit, or if it is not known.
    """
    if _serves_one(environ):
        return 1
    if "gunicorn.socket" in environ:
        # gunicorn's SIGTERM handler is a method of its worker object.
        worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        settings = getattr(worker, "cfg", None)
        key = "worker_connections" if is_cooperative() else "threads"
        return _whole(getattr(settings, key, None))
    if (told := environ.get("waitress.client_disconnected")) is not None:
        server = getattr(getattr(told, "__self__", None), "server", None)
        return _whole(getattr(getattr(server, "adj", None), "threads", None))
    if "uwsgi.version" in environ:
        return _whole(getattr(sys.modules.get("uwsgi"), "cores", None))
    if "mod_wsgi.version" in environ:
        module = sys.modules.get("mod_wsgi")
        return _whole(getattr(module, "threads_per_process", None))
    return None


def _serves_one(environ: Mapping[str, Any]) -> bool:
    """Whether this is a real server with one thread, and not a test client."""
    return (
        any(key in environ for key in _SERVER_KEYS)
        and not environ.get("wsgi.multithread")
        and not is_cooperative()
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _remedy(environ: Mapping[str, Any]) -> str:
    if "gunicorn.socket" in environ:
        return "Start gunicorn with '-k gevent', or with '-k gthread --threads N'."
    if "werkzeug.socket" in environ:
        return "Start 'flask run' without '--without-threads'."
    if "uwsgi.version" in environ:
        if not getattr(sys.modules.get("uwsgi"), "has_threads", True):
            return "Start uwsgi with '--enable-threads', or with '--threads N'."
        return "Start uwsgi with '--threads N'."
    if "mod_wsgi.version" in environ:
        return "Add 'threads=N' to the WSGIDaemonProcess directive."
    return "Start the server with several threads, or use 'gunicorn -k gevent'."
