"""Answers to clients that cannot be served now."""

from __future__ import annotations

from random import SystemRandom

from flask import Response

from ..events import encode_comment, encode_retry
from .negotiation import MIMETYPE

# EventSource never reconnects after any status except 200. A client that cannot be
# served now therefore gets a stream that ends at once, and reconnects after this time.
_BUSY_RETRY_MS = 5_000
STREAM_HEADERS = {
    # no-transform, because proxies that compress a stream delay its events.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def busy(reason: str) -> Response:
    """A stream that ends at once and makes the client reconnect later.

    :param reason: sent as a comment, for people who read the stream.
    """
    return Response(busy_text(reason), mimetype=MIMETYPE, headers=STREAM_HEADERS)


def busy_text(reason: str) -> bytes:
    """The bytes of the stream that :func:`busy` returns."""
    retry = int(_BUSY_RETRY_MS * SystemRandom().uniform(0.5, 1.5))
    return encode_retry(retry) + encode_comment(reason)
