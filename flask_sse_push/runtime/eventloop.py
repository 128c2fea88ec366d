"""Watching many sockets at once: by gevent's loop, or by one native thread for all."""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable
from typing import Final, Protocol

import gevent

from .concurrency import is_cooperative, native_lock, spawn

#: What a watcher waits for, in gevent's numbers, which are those of ``selectors``.
READ: Final = 1
WRITE: Final = 2

_log = logging.getLogger("flask_sse_push")


class Watcher(Protocol):
    """Calls a function whenever a socket is ready."""

    def start(self, callback: Callable[[], object]) -> None:
        """Begin; the callback runs in the loop and must not wait."""

    def stop(self) -> None:
        """Cease; calling it again does nothing."""

    def close(self) -> None:
        """Let go of the loop; called before the socket is closed."""


class EventLoop(Protocol):
    """What tells when sockets are ready."""

    def io(self, descriptor: int, events: int, /) -> Watcher:
        """A watcher of one socket, for :data:`READ` or for :data:`WRITE`."""


def event_loop() -> EventLoop:
    """The loop for sockets of this thread.

    Where gevent has patched the process it is gevent's. Elsewhere one native thread
    serves the whole process; it starts with the first call in each process.

    :raises RuntimeError: the system has no thread left.
    """
    if is_cooperative():
        loop: EventLoop = gevent.get_hub().loop
        return loop
    return _native_loop()


class _NativeWatcher:
    __slots__ = ("_callback", "_descriptor", "_event", "_loop")

    def __init__(self, loop: _NativeLoop, descriptor: int, event: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._event = event
        self._callback: Callable[[], object] | None = None

    def start(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._loop.watch(self._descriptor, self._event, callback)

    def stop(self) -> None:
        if self._callback is not None:
            self._callback = None
            self._loop.watch(self._descriptor, self._event, None)

    def close(self) -> None:
        self.stop()


_Callbacks = tuple[Callable[[], object] | None, Callable[[], object] | None]


class _NativeLoop:
    """One thread that waits for all sockets.

    epoll and kqueue take new sockets from other threads while it waits.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = native_lock()
        spawn(self._run)

    def io(self, descriptor: int, events: int, /) -> _NativeWatcher:
        return _NativeWatcher(self, descriptor, events)

    def watch(
        self, descriptor: int, event: int, callback: Callable[[], object] | None
    ) -> None:
        """Set, or with ``None`` remove, what is called for one event of a socket."""
        with self._lock:
            key = self._selector.get_map().get(descriptor)
            reader, writer = key.data if key is not None else (None, None)
            if event == READ:
                reader = callback
            else:
                writer = callback
            events = (READ if reader else 0) | (WRITE if writer else 0)
            callbacks: _Callbacks = (reader, writer)
            if key is None:
                if events:
                    self._selector.register(descriptor, events, callbacks)
            elif events:
                self._selector.modify(descriptor, events, callbacks)
            else:
                self._selector.unregister(descriptor)

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select():
                callbacks: _Callbacks = key.data
                for event, callback in zip((READ, WRITE), callbacks, strict=True):
                    if events & event and callback is not None:
                        try:
                            callback()
                        except Exception:
                            _log.exception("Serving a socket failed")


_lock = native_lock()
_loop: _NativeLoop | None = None


def _native_loop() -> _NativeLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = _NativeLoop()
        return _loop


def _forget_loop() -> None:
    """In a child that was forked: its parent's thread is not there."""
    global _lock, _loop
    _lock = native_lock()
    _loop = None


os.register_at_fork(after_in_child=_forget_loop)
