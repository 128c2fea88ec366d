"""Event loops of a process that gevent has patched: the main thread's and one more.

Sockets and sleeps there need the event loop of the thread that uses them. A native
thread that made one would leave it behind when it ends: three descriptors for a thread
that sent one event to Redis (measured). So the work of all native threads that needs a
loop is done by one more thread, whose loop runs for as long as the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import gevent

from .native import is_cooperative, native_lock, start_thread, thread_id

_Answer = TypeVar("_Answer")

# Modules are imported by the main thread; a fork keeps its identity.
_main_thread = thread_id()
# The loop's thread has nothing to do by itself.
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
    """Whether this thread may wait by an event loop.

    True for every thread of a process that gevent has not patched: there is no need.
    """
    if not is_cooperative():
        return True
    thread = thread_id()
    return thread == _main_thread or (
        _loop_thread is not None and thread == _loop_thread.id
    )


def current_loop() -> Any:
    """The event loop of this thread, to which its sockets belong.

    ``None`` where gevent has not patched the process, so that sockets belong to no
    thread, and in native threads, which have none.
    """
    return gevent.get_hub().loop if is_cooperative() and has_loop() else None


def spawn_on_loop(function: Callable[..., object], *args: object) -> None:
    """Run a function in a greenlet of a thread that has a loop."""
    if thread_id() == _main_thread:
        gevent.spawn(function, *args)
    else:
        _get_loop_thread().spawn(function, *args)


def run_on_loop(function: Callable[..., _Answer], *args: object) -> _Answer:
    """Run a function where it may wait by an event loop, and wait for it.

    A native thread is blocked as a whole meanwhile, as native threads are.

    :returns: what the function returns.
    :raises BaseException: whatever the function raises.
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
        # A fork has the main thread only.
        if _loop_thread is None or _loop_thread.pid != os.getpid():
            _loop_thread = _LoopThread()
        return _loop_thread
