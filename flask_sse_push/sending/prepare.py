"""From what a verb is called with to an event that can go on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from ..config import Config
from ..errors import EventError, PayloadError
from ..events import CONTROL, RESERVED_PREFIX, Event, id_text, plain, to_json
from ..names import Priority
from ..schemas import SchemaRegistry


class SendOptions(TypedDict, total=False):
    """The options of every verb; ``SSEPush.send_to_user`` says what they mean."""

    priority: Priority | Literal["low", "normal", "high", "urgent"]
    store: bool
    id: object
    coalesce: str | None
    rate_limit: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event that has been checked and is still to be sent."""

    event: Event
    priority: Priority
    rate_limit: str | None


def prepare(
    config: Config,
    schemas: SchemaRegistry,
    channel: str,
    name: str,
    data: object,
    *,
    priority: Priority | str = Priority.NORMAL,
    store: bool = True,
    id: object = None,
    coalesce: str | None = None,
    rate_limit: str | None = None,
) -> Prepared:
    """Check everything about an event.

    :raises PayloadError: the data does not fit.
    :raises EventError: the event cannot go on the wire, or an option is none.
    """
    if not isinstance(name, str):
        raise EventError(f"An event's name is text, not {name!r}.")
    name = plain(name)
    if name.startswith(RESERVED_PREFIX):
        raise EventError(
            f"Names that start with {RESERVED_PREFIX!r} are the extension's own; "
            f"call your event something else than {name!r}."
        )
    payload = schemas.prepare(name, data, strict=config.strict_events)
    nonce = ""
    if id is not None:
        id = id_text(id, "event's id")
        payload.setdefault("id", id)
        nonce = f"{channel}\0{id}"
    try:
        text = to_json(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(name, {"_schema": [f"Not JSON: {error}"]}) from error
    if len(text) > config.max_event_bytes // 4:
        _check_size(config, name, text)
    event = Event(
        name=name,
        data=text,
        channel=channel,
        store=store,
        nonce=nonce,
        coalesce=coalesce,
    )
    return Prepared(event, _priority(priority), rate_limit)


def make_removal(user_id: str) -> Event:
    """The control message that closes a user's connections on every worker."""
    return Event(
        name="remove",
        data=to_json({"remove": user_id}),
        channel=CONTROL,
        store=False,
    )


def _check_size(config: Config, name: str, text: str) -> None:
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


def _priority(priority: Priority | str) -> Priority:
    try:
        return Priority(priority)
    except ValueError as error:
        choices = ", ".join(repr(str(known)) for known in Priority)
        raise EventError(
            f"A priority is one of {choices}, not {priority!r}."
        ) from error
