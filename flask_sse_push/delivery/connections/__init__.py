"""Open streams, and the two ways they reach a client."""

from __future__ import annotations

from .base import Connection, Hub, Limits
from .handed_off import HandedOffConnection, can_hand_off, tell_server
from .streamed import StreamedConnection

__all__ = [
    "Connection",
    "HandedOffConnection",
    "Hub",
    "Limits",
    "StreamedConnection",
    "can_hand_off",
    "tell_server",
]
