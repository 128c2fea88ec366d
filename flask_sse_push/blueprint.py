"""The routes: the stream, acknowledgement, health, and the browser client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request, send_from_directory
from werkzeug.exceptions import HTTPException

from .application.state import Setup, State, current_state
from .application.tickets import Ticket, TicketError
from .delivery.negotiation import last_event_id
from .errors import BackendError, ConfigError, EventError
from .events import START, id_text, without_mark

_CLIENT = Path(__file__).parent / "client"
# The headers that pages of other origins may set. A wildcard does not include
# Authorization (Fetch, 3.3.6).
_ALLOWED_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID")
# Far more than a page needs for the events that it got while it was offline.
_MAX_ACK_BYTES = 64 * 1024
_MAX_ACK_IDS = 1_000
_ACK_BODY = (
    '{"ids": ["<event id>", …]}, or {"id": "<event id>"} for all events up to it'
)

blueprint = Blueprint("sse_push", __name__)


@blueprint.get("/stream")
def stream() -> Response:
    """The stream of the current user, who also gets group events and broadcasts."""
    state = current_state()
    user_id, ticket = authenticate(state)
    if ticket is not None:
        with _refusing():
            ticket.require_resumed(state.tickets.resumed(last_event_id(request)))
        return state.engine.streams.respond(
            user_id, ticket.groups, not_before=ticket.not_before
        )
    groups_loader = state.setup.groups_loader
    if user_id is None or groups_loader is None:
        return state.engine.streams.respond(user_id)

    def load_groups() -> Iterable[str]:
        loaded = groups_loader(user_id)
        if isinstance(loaded, str) or not isinstance(loaded, Iterable):
            raise ConfigError(
                f"groups_loader must return a list of group names, not {loaded!r}."
            )
        return loaded

    return state.engine.streams.respond(user_id, load_groups)


@blueprint.post("/ack")
def acknowledge() -> tuple[Response, int] | Response:
    """Remove events from the current user's mailbox.

    The JSON body has ``ids``, a list of event ids, or ``id``: then all events up to it
    are removed.
    """
    state = current_state()
    user_id, ticket = authenticate(state)
    if user_id is None:
        abort(401, "Only a logged-in user has a mailbox: log in.")
    # A form on another site cannot send JSON, so this also protects against CSRF.
    if not request.is_json:
        abort(415, f"Send {_ACK_BODY} as application/json.")
    backend = state.engine.backend
    ids, is_up_to = _read_acknowledged()
    positions = []
    for id in ids:
        position = backend.parse_cursor(without_mark(id))
        if position is None:
            abort(400, f"{str(id)[:40]!r} is not an event id. Send {_ACK_BODY}.")
        positions.append(position)
    if ticket is not None:
        with _refusing():
            ticket.require_own([START] if is_up_to else positions)
    try:
        if is_up_to:
            removed = backend.acknowledge(user_id, positions[0])
        else:
            removed = backend.acknowledge_ids(user_id, positions)
    except BackendError:
        abort(503, "The mailbox cannot be reached now; try again later.")
    return jsonify(removed=removed)


def _read_acknowledged() -> tuple[list[Any], bool]:
    """The event ids in the body, and whether it means all events up to the one id."""
    if request.content_length is None:
        abort(411, "Send the body with a Content-Length.")
    if request.content_length > _MAX_ACK_BYTES:
        abort(413, f"Send at most {_MAX_ACK_BYTES} bytes, in several requests.")
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or ("id" in body) == ("ids" in body):
        abort(400, f"Send {_ACK_BODY}.")
    if "id" in body:
        return [body["id"]], True
    ids = body["ids"]
    if not isinstance(ids, list):
        abort(400, f"Send {_ACK_BODY}.")
    if len(ids) > _MAX_ACK_IDS:
        abort(413, f"Send at most {_MAX_ACK_IDS} ids in one request.")
    return ids, False


@blueprint.get("/health")
def health() -> tuple[Response, int]:
    """Whether events can be sent: 200 if so, or while the worker starts; else 503.

    Clients that the health authorizer accepts see the whole state of the extension.
    """
    state = current_state()
    may_see_all = state.setup.health_authorizer
    if may_see_all is not None and may_see_all():
        report = state.engine.health()
    else:
        report = state.engine.liveness()
    answer = jsonify(report)
    answer.headers["Cache-Control"] = "no-store"
    return answer, 200 if report["isHealthy"] else 503


@blueprint.get("/client.js")
def client() -> Response:
    """The client for browsers, an ES module."""
    return send_from_directory(_CLIENT, "client.js", max_age=3600)


@blueprint.errorhandler(HTTPException)
def error(failure: HTTPException) -> tuple[Response, int] | HTTPException:
    """Answer errors of these routes with JSON, which programs can read."""
    if failure.response is not None or failure.code is None or failure.code < 400:
        return failure
    answer = jsonify(error=failure.name, message=failure.description)
    for name, value in failure.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer, failure.code


@blueprint.after_request
def allow_origin(answer: Response) -> Response:
    """Add CORS headers for the origins of ``SSE_PUSH_CORS_ORIGINS`` (Fetch, 3.3)."""
    config = current_state().config
    origins = config.cors_origins
    if not origins:
        return answer
    answer.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is not None and (origin in origins or "*" in origins):
        answer.headers["Access-Control-Allow-Origin"] = origin
        if origin in origins:
            answer.headers["Access-Control-Allow-Credentials"] = "true"
        if request.method == "OPTIONS":
            answer.headers["Access-Control-Allow-Methods"] = "GET, POST"
            answer.headers["Access-Control-Allow-Headers"] = ", ".join(
                (*_ALLOWED_HEADERS, *config.cors_headers)
            )
            answer.headers["Access-Control-Max-Age"] = "600"
    return answer


def authenticate(state: State) -> tuple[str | None, Ticket | None]:
    """The id of the user who sent this request, and the ticket that it came with.

    The id is ``None`` if anonymous. Ends the request with 401 if the ticket is not
    valid, and with 401 or 403 if the authorizer refuses it.
    """
    setup = state.setup
    ticket = _ticket(state)
    if ticket is not None:
        user_id: str | None = ticket.user_id
    else:
        user_id = _load_user(setup)
    if setup.authorizer is not None and not setup.authorizer(user_id):
        if user_id is None:
            abort(401, "This stream needs a user: log in.")
        abort(403, "This user is not allowed to open this stream.")
    return user_id, ticket


def _ticket(state: State) -> Ticket | None:
    # Most requests have no ticket, and parsing the query costs 10 µs.
    if "ticket=" not in request.environ.get("QUERY_STRING", ""):
        return None
    text = request.args.get("ticket")
    if text is None:
        return None
    with _refusing():
        return state.tickets.read(text)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """End the request with 401 if a ticket is not valid."""
    try:
        yield
    except TicketError as error:
        abort(401, str(error))


def _load_user(setup: Setup) -> str | None:
    loaded = setup.user_loader() if setup.user_loader is not None else None
    try:
        return None if loaded is None else id_text(loaded)
    except EventError as error:
        raise ConfigError(
            f"user_loader must return the user's id or None, not {loaded!r}. {error}"
        ) from error
