"""Takes a client's socket over from the server that has accepted it.

The server gets another socket in exchange, a stand-in. What the server writes to the
stand-in is discarded, so that it can write the head of a response, shut the socket down
and close it without any effect on the client. Its thread or greenlet then serves the
next request.
"""

from __future__ import annotations

import _socket
import contextlib
import fcntl
import os
import select
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent.monkey
import gevent.socket

from ...runtime.concurrency import is_cooperative
from ...runtime.eventloop import READ, event_loop
from .states import ClientEnd

# Servers that use select(), such as waitress, need descriptors below 1,024. Sockets
# that are taken over get higher ones, if the limit on open files allows it.
_LOWEST_DESCRIPTOR: Final = 1024
# gevent.pywsgi, cheroot and wsgiref read requests from a file object of the socket.
_READ_FROM_FILES: Final = ("gevent/", "Cheroot/", "WSGIServer/")
# uWSGI options with which it uses the socket in its own event loop, or with TLS.
_UNFIT_UWSGI: Final = ("async", "gevent", "https-socket")
# The most bytes of a response head that are read; most heads have a few hundred.
_HEAD_BYTES: Final = 64 * 1024
# A body that is not empty makes every server write the head of the response.
_FILLER: Final = b"\n"
# Not gevent's replacement, which would switch to another greenlet.
_poll: Final = gevent.monkey.get_original("select", "poll")
_BROKEN: Final = select.POLLERR | select.POLLNVAL
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | _BROKEN
# Request headers that proxies add.
_PROXIED: Final = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_REAL_IP",
)


def find_socket(environ: Mapping[str, Any]) -> Any | None:
    """The client's socket, if the server gives access to it and it can be taken over.

    The connection must use plain HTTP/1.x. With TLS or HTTP/2, only the server can
    encode what is sent to the client.

    :returns: a socket of gevent if gevent has patched the process, else one of the
        standard library; with uWSGI, a file descriptor. ``None`` if there is none.
    """
    if environ.get("SERVER_PROTOCOL") not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    found = _shown_socket(environ)
    if is_cooperative():
        return found if type(found) is gevent.socket.socket else None
    return found if type(found) in (socket.socket, int) else None


def is_direct(environ: Mapping[str, Any]) -> bool:
    """Whether the socket's peer is, as far as is known, the client and not a proxy.

    Always ``False`` with uWSGI, because its own HTTP router adds no header.
    """
    return "uwsgi.version" not in environ and not any(
        header in environ for header in _PROXIED
    )


def client_end(environ: Mapping[str, Any]) -> Callable[[], ClientEnd | None] | None:
    """Make a function that checks whether the client has ended its connection.

    The function returns ``None`` while the client is connected, and never waits.

    :returns: ``None`` if the server gives no access to the socket. Access is enough
        even with TLS, because no bytes are read.
    """
    shown = _shown_socket(environ)
    if shown is None:
        return None
    descriptor = shown if isinstance(shown, int) else shown.fileno()
    poll = _poll()
    poll.register(descriptor, _GONE)

    def look() -> ClientEnd | None:
        if not (found := poll.poll(0)):
            return None
        [(_, events)] = found
        return ClientEnd.BROKEN if events & _BROKEN else ClientEnd.CLOSED

    return look


def _shown_socket(environ: Mapping[str, Any]) -> Any | None:
    for key in ("gunicorn.socket", "werkzeug.socket"):
        if (found := environ.get(key)) is not None:
            return found
    if (told := environ.get("waitress.client_disconnected")) is not None:
        return getattr(getattr(told, "__self__", None), "socket", None)
    if "uwsgi.version" in environ:
        return _uwsgi_descriptor()
    if not str(environ.get("SERVER_SOFTWARE")).startswith(_READ_FROM_FILES):
        return None
    stream = environ.get("wsgi.input")
    while (inner := getattr(stream, "rfile", None)) is not None:
        stream = inner
    return getattr(getattr(stream, "raw", None), "_sock", None)


def _uwsgi_descriptor() -> int | None:
    uwsgi: Any = sys.modules.get("uwsgi")
    # Without threads, uWSGI runs no Python code between two requests.
    if uwsgi is None or not uwsgi.has_threads:
        return None
    if any(option in uwsgi.opt for option in _UNFIT_UWSGI):
        return None
    descriptor: int = uwsgi.connection_fd()
    return descriptor


def is_gunicorns_own(start_response: Callable[..., Any]) -> bool:
    """Whether this is gunicorn's own ``start_response``, not one of a middleware."""
    response = getattr(start_response, "__self__", None)
    return (
        hasattr(response, "headers_sent")
        and hasattr(response, "chunked")
        and hasattr(response, "force_close")
    )


def tell_gunicorn(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> None:
    """Tell gunicorn that the response is written: it logs the request and goes on.

    gunicorn raises an error for headers that it cannot send.

    :param start_response: one for which :func:`is_gunicorns_own` is true.
    """
    start_response(status, headers)
    response = start_response.__self__  # type: ignore[attr-defined]
    response.headers_sent = True
    response.chunked = False
    response.force_close()


def take(found: Any) -> _socket.socket:
    """Take a socket over after :func:`tell_gunicorn`.

    :param found: the result of :func:`find_socket`.
    """
    if type(found) is gevent.socket.socket:
        # gunicorn only closes it now, so it needs no stand-in.
        return _detach(found)
    taken, far_end = _exchange(found)
    far_end.close()
    return taken


def _exchange(found: Any) -> tuple[_socket.socket, _socket.socket]:
    """Take a socket over, and give the server a stand-in for it.

    The server reads an end of file from the stand-in. The bytes that it writes arrive
    at the far end of the stand-in.

    :returns: the client's socket, and the far end of the stand-in.
    """
    far_end, stand_in = _socket.socketpair()
    far_end.shutdown(socket.SHUT_WR)
    far_end.setblocking(False)
    if type(found) is gevent.socket.socket:
        taken = _detach(found)
        files = found._io_refs  # type: ignore[attr-defined]
        found.__init__(  # type: ignore[misc]
            stand_in.family, stand_in.type, stand_in.proto, fileno=stand_in.detach()
        )
        found._io_refs = files  # type: ignore[attr-defined]
        return taken, far_end
    descriptor = found if isinstance(found, int) else found.fileno()
    taken = _socket.socket(fileno=_duplicate(descriptor))
    os.dup2(stand_in.fileno(), descriptor, inheritable=False)
    stand_in.close()
    return taken, far_end


def _drain(far_end: _socket.socket) -> None:
    """Discard what the server writes to the stand-in, until it closes it."""
    watcher = event_loop().io(far_end.fileno(), READ)

    def read() -> None:
        try:
            if far_end.recv(_HEAD_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        watcher.stop()
        watcher.close()
        far_end.close()

    watcher.start(read)


def _detach(found: gevent.socket.socket) -> _socket.socket:
    family, kind, proto = found.family, found.type, found.proto
    # gevent's detach() also closes the watchers of the socket. After a dup() of the
    # descriptor, libev would still have it registered.
    return _socket.socket(family, kind, proto, fileno=found.detach())


def _duplicate(descriptor: int) -> int:
    with contextlib.suppress(OSError):
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    return os.dup(descriptor)


class Handover:
    """The body of a response whose socket is taken over as the server writes it.

    This works with every server that gives access to the socket, and with any
    middleware. The socket is exchanged when the server asks for the first bytes of the
    body. The server then writes the head of the response, with the headers that
    middleware has added, to the stand-in, from which it is read.

    :param found: the result of :func:`find_socket`.
    :param finish: called with the client's socket, which it then owns, and the head
        that the server wrote; the head is empty if the server wrote none.
    :param on_close: called at the end of the request if the socket was not taken over.
    """

    def __init__(
        self,
        found: Any,
        finish: Callable[[_socket.socket, bytes], None],
        on_close: Callable[[], None],
    ) -> None:
        self._found = found
        self._finish: Callable[[_socket.socket, bytes], None] | None = finish
        self._on_close: Callable[[], None] | None = on_close
        self._taken: _socket.socket | None = None
        self._far_end: _socket.socket | None = None

    def __iter__(self) -> Handover:
        return self

    def __next__(self) -> bytes:
        if self._finish is None:
            raise StopIteration
        if self._taken is None or self._far_end is None:
            self._taken, self._far_end = _exchange(self._found)
            return _FILLER
        finish, self._finish = self._finish, None
        taken, self._taken, self._on_close = self._taken, None, None
        try:
            head = self._far_end.recv(_HEAD_BYTES)
        except BlockingIOError:
            head = b""
        try:
            finish(taken, head)
        except BaseException:
            taken.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """End the request. The server calls this."""
        self._finish = None
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.close()
        far_end, self._far_end = self._far_end, None
        if far_end is not None:
            _drain(far_end)
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
