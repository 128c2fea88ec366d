"""Server-Sent Events for Flask: push to one user, several, a group or everybody."""

from __future__ import annotations

from .errors import (
    BackendError,
    ConfigError,
    EventError,
    OutboxFull,
    PayloadError,
    RateLimitExceeded,
    SSEPushError,
)
from .events import Event
from .extension import SSEPush
from .names import EventName, Priority
from .sending.publisher import Publisher
from .sending.receipt import Receipt

__all__ = [
    "BackendError",
    "ConfigError",
    "Event",
    "EventError",
    "EventName",
    "OutboxFull",
    "PayloadError",
    "Priority",
    "Publisher",
    "RateLimitExceeded",
    "Receipt",
    "SSEPush",
    "SSEPushError",
]
