"""For tests of applications: what was sent, and what a client of a stream receives."""

from __future__ import annotations

import contextlib

from .reader import ReceivedEvent, StreamReader
from .recorder import SentEvent, SSERecorder

__all__ = ["ReceivedEvent", "SSERecorder", "SentEvent", "StreamReader"]

# Without pytest there is no fixture; the rest serves unittest as well.
with contextlib.suppress(ModuleNotFoundError):
    from .fixture import sse_recorder

    __all__ += ["sse_recorder"]
