"""Reads the headers of a request for a stream."""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import NotAcceptable

from ..events import without_mark

MIMETYPE = "text/event-stream"


def require_acceptable(request: Request) -> None:
    """Check that the client accepts an event stream.

    :raises NotAcceptable: it does not (status 406).
    """
    accept = request.environ.get("HTTP_ACCEPT")
    # These three tests are cheaper than parsing the whole header.
    if not accept or MIMETYPE in accept or accept == "*/*":
        return
    if not request.accept_mimetypes[MIMETYPE]:
        raise NotAcceptable(f"This resource is a stream of type {MIMETYPE}.")


def last_event_id(request: Request) -> str | None:
    """The event id to resume from, from the header or ``?lastEventId=``."""
    header: str | None = request.environ.get("HTTP_LAST_EVENT_ID")
    id = header
    # Parsing the query costs 10 µs, so it is done only if needed.
    if not id and "lastEventId=" in request.environ.get("QUERY_STRING", ""):
        id = request.args.get("lastEventId")
    return without_mark(id) if id else None
