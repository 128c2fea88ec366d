"""Greenlets where gevent has patched the process, threads where it has not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
import gevent.event
import gevent.monkey

# A lock that blocks the whole thread. It guards a few instructions that never yield,
# for publishers that are native threads; gevent's own lock is not made for those.
native_lock: Callable[[], threading.Lock] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
_thread_id: Callable[[], int] = gevent.monkey.get_original("_thread", "get_ident")
_start_thread: Callable[..., int] = gevent.monkey.get_original(
    "_thread", "start_new_thread"
)
# Modules are imported by the main thread; a fork keeps its identity.
_main_thread = _thread_id()


class Wakeup(Protocol):
    """One waits, anybody wakes: from any greenlet and any native thread."""

    def set(self) -> None:
        """Wake the waiting one, or the next that comes to wait."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be woken, at most ``timeout`` seconds; returns whether it was."""


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
        # Of gevent's primitives only the loop itself may be touched from elsewhere.
        if _thread_id() == self._thread:
            self._event.set()
        else:
            self._loop.run_callback_threadsafe(self._event.set)

    def wait(self, timeout: float | None = None) -> bool:
        woken: bool = self._event.wait(timeout)
        self._event.clear()
        return woken


def is_cooperative() -> bool:
    """Whether threads are greenlets here, by ``gevent.monkey.patch_all()``."""
    return bool(gevent.monkey.is_module_patched("threading"))


def make_wakeup() -> Wakeup:
    """A :class:`Wakeup` to wait on in this thread."""
    return _GeventWakeup() if is_cooperative() else _ThreadWakeup()


def spawn(function: Callable[..., None], *args: object) -> None:
    """Run ``function`` beside the caller; it does not keep the process alive.

    :raises RuntimeError: the system has no thread left.
    """
    if not is_cooperative():
        threading.Thread(target=function, args=args, daemon=True).start()
    elif _thread_id() == _main_thread:
        gevent.spawn(function, *args)
    else:
        # The event loop of a native thread runs only while the thread waits: a greenlet
        # left there might never get a turn. Another thread has a loop of its own.
        _start_thread(function, args)


def sleep(seconds: float) -> None:
    """Sleep; other greenlets or threads go on."""
    if is_cooperative():
        gevent.sleep(seconds)
    else:
        time.sleep(seconds)


def give_way() -> None:
    """Let other greenlets run, and what has arrived on sockets; threads need no asking.

    A sleep of 0 is a callback, and gevent runs callbacks for milliseconds before it
    polls: requests would wait through much of a broadcast. A timer needs a whole turn
    of the event loop (2.2 against 1.1 µs a call).
    """
    if is_cooperative():
        gevent.sleep(1e-9)
