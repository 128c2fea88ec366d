"""Watches many sockets at once, with gevent's event loop or one native thread."""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable
from typing import Final, Protocol

import gevent

from .concurrency import is_cooperative, native_lock, spawn

#: What a watcher waits for. gevent and ``selectors`` use the same numbers.
READ: Final = 1
WRITE: Final = 2

_log = logging.getLogger("flask_sse_push")


class Watcher(Protocol):
    """Calls a function whenever a socket is ready."""

    def start(self, callback: Callable[[], object]) -> None:
        """Start watching. The callback runs in the event loop and must not wait."""

    def stop(self) -> None:
        """Stop watching; calling this again does nothing."""

    def close(self) -> None:
        """Release the watcher's resources. Call it before the socket is closed."""


class EventLoop(Protocol):
    """Makes watchers of sockets."""

    def io(self, descriptor: int, events: int, /) -> Watcher:
        """Make a watcher of one socket.

        :param events: :data:`READ` or :data:`WRITE`.
        """


def event_loop() -> EventLoop:
    """The event loop for sockets of this thread.

    If gevent has patched the process, it is gevent's loop. Otherwise one native thread
    serves the whole process; it starts with the first call in each process.

    :raises RuntimeError: the system cannot start another thread.
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

    With epoll and kqueue, other threads can add sockets while it waits.
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
        """Set the function to call for one event of a socket; ``None`` removes it."""
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
                            _log.exception(
                                "An unexpected error occurred while serving a socket"
                            )


_lock = native_lock()
_loop: _NativeLoop | None = None


def _native_loop() -> _NativeLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = _NativeLoop()
        return _loop


def _forget_loop() -> None:
    """Forget the parent's loop in a forked child, which does not have its thread."""
    global _lock, _loop
    _lock = native_lock()
    _loop = None


os.register_at_fork(after_in_child=_forget_loop)
