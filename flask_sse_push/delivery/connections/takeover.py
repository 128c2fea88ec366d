"""Taking a client's socket over from the server that has accepted it.

The server keeps a socket, but another one: a stand-in, whose far end throws away what
comes. What the server still does, such as writing a head, shutting down and closing,
harms nobody, and its thread or greenlet goes on to the next request.
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
from .base import ClientEnd

# Servers that use select(), such as waitress, need descriptors below 1,024: what is
# taken from them goes above, where the limit on open files allows.
_LOWEST_DESCRIPTOR: Final = 1024
# gevent.pywsgi, cheroot and wsgiref, which read a request from its socket's file.
_READ_FROM_FILES: Final = ("gevent/", "Cheroot/", "WSGIServer/")
# Modes of uWSGI in which an event loop of its own has the socket, and TLS.
_UNFIT_UWSGI: Final = ("async", "gevent", "https-socket")
# As much of a server's head as is looked at; most are a few hundred bytes.
_HEAD_BYTES: Final = 64 * 1024
# Any byte that is not empty makes every server write its head.
_FILLER: Final = b"\n"
# The system's own: it does not switch to another greenlet.
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
    """The client's socket, if the server shows one that can be taken over.

    It must carry plain HTTP/1.x: under TLS or HTTP/2 the bytes are the server's affair.

    :returns: gevent's where gevent has patched the process, else the standard library's
        or, from uwsgi, a file descriptor.
    """
    if environ.get("SERVER_PROTOCOL") not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    found = _shown_socket(environ)
    if is_cooperative():
        return found if type(found) is gevent.socket.socket else None
    return found if type(found) in (socket.socket, int) else None


def is_direct(environ: Mapping[str, Any]) -> bool:
    """Whether the socket's peer is the client itself and not a proxy, as far as seen.

    uWSGI's own router adds no header, so its workers never count.
    """
    return "uwsgi.version" not in environ and not any(
        header in environ for header in _PROXIED
    )


def client_end(environ: Mapping[str, Any]) -> Callable[[], ClientEnd | None] | None:
    """A function that tells how the client has ended its connection, if known.

    It can be known, under TLS as well, where the server shows the socket. The function
    returns ``None`` while the client is there.
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
    # Without threads nothing of Python runs between two requests.
    if uwsgi is None or not uwsgi.has_threads:
        return None
    if any(option in uwsgi.opt for option in _UNFIT_UWSGI):
        return None
    descriptor: int = uwsgi.connection_fd()
    return descriptor


def is_gunicorns_own(start_response: Callable[..., Any]) -> bool:
    """Whether it is gunicorn's response itself, with nothing wrapped around it."""
    response = getattr(start_response, "__self__", None)
    return (
        hasattr(response, "headers_sent")
        and hasattr(response, "chunked")
        and hasattr(response, "force_close")
    )


def tell_gunicorn(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> None:
    """Tell gunicorn that the answer is written: it logs the access and goes on.

    :param start_response: one that :func:`is_gunicorns_own` has approved. It refuses
        headers that it cannot send.
    """
    start_response(status, headers)
    response = start_response.__self__  # type: ignore[attr-defined]
    response.headers_sent = True
    response.chunked = False
    response.force_close()


def take(found: Any) -> _socket.socket:
    """Take a socket whose server has been told that the answer is written.

    :param found: what :func:`find_socket` has found.
    """
    if type(found) is gevent.socket.socket:
        # gunicorn closes it and does no more: it needs no stand-in.
        return _detach(found)
    taken, far_end = _exchange(found)
    far_end.close()
    return taken


def _exchange(found: Any) -> tuple[_socket.socket, _socket.socket]:
    """Take a socket, and leave the server a stand-in; returns its far end as well.

    The server reads an end of file from the stand-in, and what it writes goes nowhere.
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
    """Read what the server still writes until it closes the stand-in, then close."""
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
    # The server's own detach() ends its watchers as well. A dup() of the number would
    # leave libev's registration of it behind.
    return _socket.socket(family, kind, proto, fileno=found.detach())


def _duplicate(descriptor: int) -> int:
    with contextlib.suppress(OSError):
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    return os.dup(descriptor)


class Handover:
    """The body of a response whose socket is taken over as the server writes it.

    Works with every server that shows its socket, and with whatever has wrapped the
    application: the socket is exchanged when the server asks for the first bytes, so
    that the server writes its head, with all that was added to it on the way, to the
    stand-in, where it is read.

    :param found: what :func:`find_socket` has found.
    :param finish: given the socket and the head that the server wrote, empty if none
        came; both are its own then.
    :param on_close: called at the end of the request if nothing was taken.
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
        """The end of the request: the server calls it."""
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
