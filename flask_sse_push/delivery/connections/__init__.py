"""Open streams, and the two ways in which they reach a client."""

from __future__ import annotations

from .base import Batch, Connection, Limits, Owner, State
from .handed_off import HandedOffConnection, can_hand_off
from .streamed import StreamedConnection

__all__ = [
    "Batch",
    "Connection",
    "HandedOffConnection",
    "Limits",
    "Owner",
    "State",
    "StreamedConnection",
    "can_hand_off",
]
