"""Greenlets if gevent has patched the process, native threads if it has not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
import gevent.event
import gevent.monkey

# A lock that blocks the whole native thread. It guards short code that never yields to
# another greenlet. Native threads that publish take it too, which gevent's lock does
# not support.
native_lock: Callable[[], threading.Lock] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
_thread_id: Callable[[], int] = gevent.monkey.get_original("_thread", "get_ident")
_start_thread: Callable[..., int] = gevent.monkey.get_original(
    "_thread", "start_new_thread"
)
# The main thread imports this module; it keeps its identity in a forked process.
_main_thread = _thread_id()


class Wakeup(Protocol):
    """A flag for one waiter, which any greenlet and any native thread can set."""

    def set(self) -> None:
        """Wake the waiter; if none waits, the next ``wait`` returns at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most ``timeout`` seconds; return whether it was set."""


class _ThreadWakeup:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        woken = self._event.wait(timeout)
        self._event.clear()
        return woken


class _GeventWakeup:
    __slots__ = ("_event", "_loop", "_thread")

    def __init__(self) -> None:
        self._event = gevent.event.Event()
        self._loop: Any = gevent.get_hub().loop
        self._thread = _thread_id()

    def set(self) -> None:
        # Another thread must not use gevent objects, except this method of the loop.
        if _thread_id() == self._thread:
            self._event.set()
        else:
            self._loop.run_callback_threadsafe(self._event.set)

    def wait(self, timeout: float | None = None) -> bool:
        woken: bool = self._event.wait(timeout)
        self._event.clear()
        return woken


def is_cooperative() -> bool:
    """Whether threads are greenlets, because of ``gevent.monkey.patch_all()``."""
    return bool(gevent.monkey.is_module_patched("threading"))


def make_wakeup() -> Wakeup:
    """A :class:`Wakeup` to wait on in this thread."""
    return _GeventWakeup() if is_cooperative() else _ThreadWakeup()


def spawn(function: Callable[..., None], *args: object) -> None:
    """Run ``function`` in the background; it does not keep the process alive.

    :raises RuntimeError: the system cannot start another thread.
    """
    if not is_cooperative():
        threading.Thread(target=function, args=args, daemon=True).start()
    elif _thread_id() == _main_thread:
        gevent.spawn(function, *args)
    else:
        # The event loop of a native thread runs only while the thread waits, so a
        # greenlet might never run there. A new thread has an event loop of its own.
        _start_thread(function, args)


def sleep(seconds: float) -> None:
    """Sleep, while other greenlets or threads run."""
    if is_cooperative():
        gevent.sleep(seconds)
    else:
        time.sleep(seconds)


def give_way() -> None:
    """Let other greenlets run, and let gevent poll its sockets.

    Without gevent this does nothing, because the system switches between threads.

    A sleep of 0 is a callback, and gevent runs callbacks for milliseconds before it
    polls its sockets: requests would wait during much of a broadcast. A timer forces a
    complete turn of the event loop (2.2 instead of 1.1 µs a call).
    """
    if is_cooperative():
        gevent.sleep(1e-9)
