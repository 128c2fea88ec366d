"""The states of a connection, and the ways in which a client ends it."""

from __future__ import annotations

from enum import StrEnum


class ConnectionState(StrEnum):
    """The states of a connection."""

    #: Its opening bytes are not loaded yet.
    NEW = "new"
    #: All bytes have been written.
    OPEN = "open"
    #: Bytes wait to be written, because the client reads slowly.
    BEHIND = "behind"
    CLOSED = "closed"


class ClientEnd(StrEnum):
    """How a client has ended its connection."""

    #: With TCP's FIN: the client had received all bytes that TCP has acknowledged.
    CLOSED = "closed"
    #: With a TCP reset, or in an unknown way.
    BROKEN = "broken"
