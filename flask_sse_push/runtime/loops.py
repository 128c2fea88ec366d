"""The event loops of a process that gevent has patched: the main thread's and one more.

Sockets and sleeps in such a process need the event loop of the thread that uses them. A
native thread that made its own loop would leak it when it ends: three descriptors for a
thread that sent one event to Redis (measured). One additional thread therefore does all
work of native threads that needs a loop. Its loop runs as long as the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import gevent

from .native import is_cooperative, native_lock, start_thread, thread_id

_Answer = TypeVar("_Answer")

# The main thread imports this module. A forked process keeps the thread's id.
_main_thread = thread_id()
# How long the additional thread sleeps at a time while its greenlets do the work.
_IDLE_SECONDS = 3_600.0


class _LoopThread:
    """A native thread that runs greenlets for other threads."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.id = 0
        self._loop: Any = None
        is_ready = native_lock()
        is_ready.acquire()
        start_thread(self._run, (is_ready.release,))
        is_ready.acquire()

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """Run a function in a greenlet of the thread."""
        self._loop.run_callback_threadsafe(gevent.spawn, function, *args)

    def _run(self, tell_ready: Callable[[], None]) -> None:
        self.id = thread_id()
        self._loop = gevent.get_hub().loop
        tell_ready()
        while True:
            gevent.sleep(_IDLE_SECONDS)


_lock = native_lock()
_loop_thread: _LoopThread | None = None


def has_loop() -> bool:
    """Whether this thread may wait in the way that gevent does.

    ``True`` for every thread of a process that gevent has not patched, because waiting
    there needs no event loop.
    """
    if not is_cooperative():
        return True
    thread = thread_id()
    return thread == _main_thread or (
        _loop_thread is not None and thread == _loop_thread.id
    )


def current_loop() -> Any:
    """The event loop of this thread, to which its sockets belong.

    ``None`` in a process that gevent has not patched, where sockets belong to no
    thread, and in native threads without a loop.
    """
    return gevent.get_hub().loop if is_cooperative() and has_loop() else None


def spawn_on_loop(function: Callable[..., object], *args: object) -> None:
    """Run a function in a greenlet of a thread that has a loop."""
    if thread_id() == _main_thread:
        gevent.spawn(function, *args)
    else:
        _get_loop_thread().spawn(function, *args)


def run_on_loop(function: Callable[..., _Answer], *args: object) -> _Answer:
    """Run a function in a thread that has an event loop, and wait until it returns.

    This blocks the whole thread if it is a native thread without a loop.

    :returns: the result of the function.
    :raises BaseException: the error that the function raises.
    """
    if has_loop():
        return function(*args)
    answers: list[_Answer] = []
    errors: list[BaseException] = []
    is_done = native_lock()
    is_done.acquire()

    def run() -> None:
        try:
            answers.append(function(*args))
        except BaseException as error:
            errors.append(error)
        finally:
            is_done.release()

    _get_loop_thread().spawn(run)
    is_done.acquire()
    if errors:
        raise errors.pop()
    return answers[0]


def _get_loop_thread() -> _LoopThread:
    global _loop_thread
    with _lock:
        # A forked process has only the main thread.
        if _loop_thread is None or _loop_thread.pid != os.getpid():
            _loop_thread = _LoopThread()
        return _loop_thread
