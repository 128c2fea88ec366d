"""Connections: open streams, and the two ways in which they write to a client."""

from __future__ import annotations

from .base import Batch, Connection, ConnectionState, Limits, Owner
from .handed_off import HandedOffConnection, can_hand_off
from .streamed import StreamedConnection

__all__ = [
    "Batch",
    "Connection",
    "ConnectionState",
    "HandedOffConnection",
    "Limits",
    "Owner",
    "StreamedConnection",
    "can_hand_off",
]
