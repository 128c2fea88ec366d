"""Uses greenlets if gevent has patched the process, otherwise native threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
import gevent.event

from .loops import current_loop, has_loop, run_on_loop, spawn_on_loop
from .native import is_cooperative, native_lock, native_sleep, thread_id

__all__ = [
    "Wakeup",
    "current_loop",
    "give_way",
    "is_cooperative",
    "make_wakeup",
    "native_lock",
    "run_on_loop",
    "sleep",
    "spawn",
]


class Wakeup(Protocol):
    """A flag that one greenlet or thread waits for, and that any of them can set."""

    def set(self) -> None:
        """Wake the waiter. If nobody waits, the next ``wait`` returns at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, and clear it.

        :param timeout: the longest wait, in seconds; ``None`` for no limit.
        :returns: whether the flag was set.
        """


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
        self._thread = thread_id()

    def set(self) -> None:
        # Other threads may call nothing of gevent except this method of the loop.
        if thread_id() == self._thread:
            self._event.set()
        else:
            self._loop.run_callback_threadsafe(self._event.set)

    def wait(self, timeout: float | None = None) -> bool:
        woken: bool = self._event.wait(timeout)
        self._event.clear()
        return woken


def make_wakeup() -> Wakeup:
    """Make a :class:`Wakeup` on which this thread will wait."""
    return _GeventWakeup() if is_cooperative() else _ThreadWakeup()


def spawn(function: Callable[..., None], *args: object) -> None:
    """Run ``function`` in the background; it does not keep the process alive.

    :raises RuntimeError: the system cannot start another thread.
    """
    if is_cooperative():
        spawn_on_loop(function, *args)
    else:
        threading.Thread(target=function, args=args, daemon=True).start()


def sleep(seconds: float) -> None:
    """Sleep, while other greenlets or threads go on.

    :param seconds: how long.
    """
    if not is_cooperative():
        time.sleep(seconds)
    elif has_loop():
        gevent.sleep(seconds)
    else:
        native_sleep(seconds)


def give_way() -> None:
    """Let other greenlets run, and let gevent poll its sockets.

    Without gevent this does nothing, because the system switches between threads.

    A sleep of 0 is a callback, and gevent runs callbacks for milliseconds before it
    polls its sockets, so requests would wait during much of a broadcast. A timer forces
    a complete turn of the event loop (2.2 instead of 1.1 µs a call).
    """
    if is_cooperative() and has_loop():
        gevent.sleep(1e-9)
