"""From what a verb is called with to an event that can go on the wire."""

from __future__ import annotations

from .config import Config
from .errors import EventError, PayloadError
from .events import CONTROL, RESERVED_PREFIX, Event, to_json, user_text
from .schemas import SchemaRegistry


def make_event(
    config: Config,
    schemas: SchemaRegistry,
    channel: str,
    name: str,
    data: object,
    *,
    store: bool = True,
    id: str | None = None,
    coalesce: str | None = None,
) -> Event:
    """Check everything about an event.

    :raises PayloadError: the data does not fit.
    :raises EventError: the event cannot go on the wire.
    """
    if name.startswith(RESERVED_PREFIX):
        raise EventError(
            f"Names that start with {RESERVED_PREFIX!r} are the extension's own; "
            f"call your event something else than {name!r}."
        )
    payload = schemas.prepare(name, data, strict=config.strict_events)
    nonce = ""
    if id is not None:
        id = user_text(id)
        payload.setdefault("id", id)
        nonce = f"{channel}\0{id}"
    try:
        text = to_json(payload)
    except (TypeError, ValueError) as error:
        raise PayloadError(name, {"_schema": [f"Not JSON: {error}"]}) from error
    if len(text) > config.max_event_bytes // 4:
        size = len(text.encode(errors="replace"))
        if size > config.max_event_bytes:
            raise PayloadError(
                name,
                {
                    "_schema": [
                        f"{size} bytes of JSON, but SSE_PUSH_MAX_EVENT_BYTES is "
                        f"{config.max_event_bytes}. Send a reference to fetch."
                    ]
                },
            )
    return Event(
        name=str(name),
        data=text,
        channel=channel,
        store=store,
        nonce=nonce,
        coalesce=coalesce,
    )


def make_removal(user_id: str) -> Event:
    """The control message that closes a user's connections on every worker."""
    return Event(
        name="remove",
        data=to_json({"remove": user_id}),
        channel=CONTROL,
        store=False,
    )
