"""The bytes on the load client's sockets: marked bodies, event frames, HTTP.

Every event's body starts with ``@<number>:<time of publishing>@``, so that a receiver
can check the order and take the time without knowing the server's framing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# With an id of 15 characters and its JSON, a complete frame has 100 bytes.
BODY_BYTES = 48

_MARK = re.compile(rb"@(\d+):(\d+)@")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)

Mark = tuple[int, int]


class ProtocolError(RuntimeError):
    """Raised when a server's answer is not what the measurement expects."""


class Head(NamedTuple):
    """The head of an HTTP response: status, framing and its own size in bytes."""

    status: int
    chunked: bool
    length: int | None
    size: int


def marked_body(number: int, time_ns: int) -> str:
    """The text of one event.

    :param number: its place in the order of events.
    :param time_ns: the monotonic clock when it was published.
    """
    return f"@{number}:{time_ns}@".ljust(BODY_BYTES, "x")


def parse_head(data: bytes) -> Head | None:
    """The response head at the start of ``data``, or None while it is incomplete.

    :raises ProtocolError: it is not an HTTP response.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[: end + 2]
    status = _STATUS.match(head)
    if not status:
        raise ProtocolError(f"not an HTTP response: {head[:200]!r}")
    length = _LENGTH.search(head)
    return Head(
        int(status[1]),
        bool(_CHUNKED.search(head)),
        int(length[1]) if length else None,
        end + 4,
    )


def join_chunks(data: bytes) -> tuple[bytes, int]:
    """The content of the complete chunks in ``data`` and where the rest starts."""
    parts: list[bytes] = []
    position = 0
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].split(b";")[0], 16)
        following = end + 2 + size + 2
        if following > len(data):
            break
        parts.append(data[end + 2 : end + 2 + size])
        position = following
    return b"".join(parts), position


def decode(data: bytes, *, chunked: bool) -> tuple[tuple[Mark, ...], bytes]:
    """The marks of the complete events in ``data``, and the bytes left over.

    Put the left-over bytes before the bytes that arrive next.
    """
    payload, used = join_chunks(data) if chunked else (data, len(data))
    if not payload.endswith(b"\n\n"):
        if chunked:
            return (), data
        used = data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
        payload = data[:used]
    marks = tuple((int(mark[1]), int(mark[2])) for mark in _MARK.finditer(payload))
    return marks, data[used:]
