"""Helpers for tests of applications: record sent events, and read a stream."""

from __future__ import annotations

import contextlib

from .reader import ReceivedEvent, StreamReader
from .recorder import SentEvent, SSERecorder

__all__ = ["ReceivedEvent", "SSERecorder", "SentEvent", "StreamReader"]

# The fixture needs pytest; everything else also works with unittest.
with contextlib.suppress(ModuleNotFoundError):
    from .fixture import sse_recorder

    __all__ += ["sse_recorder"]
