"""Native threads and locks, as they were before gevent patched the process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent.monkey

#: Makes a lock that blocks the whole thread. It guards a few instructions that never
#: yield, for publishers that are native threads; gevent's own lock is not made for
#: those.
native_lock: Callable[[], threading.Lock] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
#: The id of the native thread that asks.
thread_id: Callable[[], int] = gevent.monkey.get_original("_thread", "get_ident")
#: Starts a native thread that does not keep the process alive.
start_thread: Callable[..., int] = gevent.monkey.get_original(
    "_thread", "start_new_thread"
)
#: Sleeps for a number of seconds; the whole thread does.
native_sleep: Callable[[float], None] = gevent.monkey.get_original("time", "sleep")


def is_cooperative() -> bool:
    """Whether threads are greenlets here, by ``gevent.monkey.patch_all()``."""
    return bool(gevent.monkey.is_module_patched("threading"))
