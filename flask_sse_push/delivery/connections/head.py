"""Parses the head of a response that a server wrote, and encodes that of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from werkzeug.http import http_date

# Headers about framing and the connection (RFC 9110, section 7.6.1). A handed-off
# stream replaces them: it ends when its connection closes.
_FRAMING: Final = frozenset(
    (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def parse_head(head: bytes) -> tuple[str, list[tuple[str, str]]] | None:
    """The status and headers that a server wrote; ``None`` if they are incomplete."""
    lines, end, _ = head.partition(b"\r\n\r\n")
    first, *rest = lines.decode("latin-1").split("\r\n")
    protocol, _, status = first.partition(" ")
    if not end or not protocol.startswith("HTTP/"):
        return None
    fields = [line.partition(":") for line in rest]
    return status, [(name, value.strip()) for name, _, value in fields]


def encode_head(
    protocol: str, status: str, headers: Iterable[tuple[str, str]]
) -> bytes:
    """The head of a stream that ends when its connection closes.

    :param protocol: ``HTTP/1.0`` or ``HTTP/1.1``.
    :param status: such as ``"200 OK"``.
    :param headers: those of the response; the headers about framing are replaced.
    """
    fields = "".join(
        [
            f"{name}: {value}\r\n"
            for name, value in headers
            if name.lower() not in _FRAMING
        ]
    )
    date = _date(int(time.time()))
    head = f"{protocol} {status}\r\nDate: {date}\r\nConnection: close\r\n{fields}\r\n"
    return head.encode("latin-1")


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return http_date(seconds)
