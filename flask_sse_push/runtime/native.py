"""Native threads and locks, even if gevent has patched the process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent.monkey

#: Makes a lock that blocks the whole thread. It guards a few instructions that do not
#: switch to another greenlet. Native threads can publish events too, and gevent's own
#: lock does not support them.
native_lock: Callable[[], threading.Lock] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
#: Returns the id of the native thread that calls it.
thread_id: Callable[[], int] = gevent.monkey.get_original("_thread", "get_ident")
#: Starts a native thread that does not keep the process alive.
start_thread: Callable[..., int] = gevent.monkey.get_original(
    "_thread", "start_new_thread"
)
#: Sleeps for a number of seconds, and blocks the whole thread.
native_sleep: Callable[[float], None] = gevent.monkey.get_original("time", "sleep")


def is_cooperative() -> bool:
    """Whether threads are greenlets, because of ``gevent.monkey.patch_all()``."""
    return bool(gevent.monkey.is_module_patched("threading"))
