"""What a request for a stream asks for."""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import NotAcceptable

MIMETYPE = "text/event-stream"


def require_acceptable(request: Request) -> None:
    """Check that the client takes an event stream.

    :raises NotAcceptable: it does not (406).
    """
    accept = request.environ.get("HTTP_ACCEPT")
    # The first three are cheaper than reading the header in full.
    if not accept or MIMETYPE in accept or accept == "*/*":
        return
    if not request.accept_mimetypes[MIMETYPE]:
        raise NotAcceptable(f"This resource is a stream of type {MIMETYPE}.")


def last_event_id(request: Request) -> str | None:
    """The id the client resumes from; the query serves clients without headers."""
    header: str | None = request.environ.get("HTTP_LAST_EVENT_ID")
    return header or request.args.get("lastEventId")
