"""Connections: open streams, and the two ways in which they write to a client."""

from __future__ import annotations

from typing import Final

from ...runtime.concurrency import is_cooperative
from .base import Connection, Limits, Owner, Receivers
from .batch import Batch
from .handed_off import HandedOffConnection
from .states import ClientEnd, ConnectionState
from .streamed import StreamedConnection
from .threaded import ThreadedConnection

#: The names of the carriers.
CARRIERS: Final = (HandedOffConnection.carrier, StreamedConnection.carrier)

__all__ = [
    "CARRIERS",
    "Batch",
    "ClientEnd",
    "Connection",
    "ConnectionState",
    "HandedOffConnection",
    "Limits",
    "Owner",
    "Receivers",
    "StreamedConnection",
    "handed_off_class",
]


def handed_off_class() -> type[HandedOffConnection]:
    """The class to use for handed-off connections in this process."""
    return HandedOffConnection if is_cooperative() else ThreadedConnection
