"""Events as entries of a stream: seven plain fields, always the same."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, parse_id

# More entries than one millisecond can have; ids hold no more than 16 digits.
_LAST_IN_MS = 10**16 - 1


def encode_fields(event: Event) -> tuple[str, str, str, str, str, str, str]:
    """The values of an event's fields, in the order they are written."""
    return (
        event.channel,
        event.name,
        event.data,
        event.nonce,
        "1" if event.store else "0",
        event.coalesce or "",
        event.retain or "",
    )


def decode(id: bytes, fields: Sequence[bytes]) -> tuple[Position, Event]:
    """An entry of a stream. Anybody may have written it: nothing is assumed.

    :raises ValueError: it is no event.
    """
    position = parse_id(id.decode())
    if position is None:
        raise ValueError("the id cannot be read")
    texts = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        event = Event(
            name=texts[b"e"].decode(),
            data=texts[b"d"].decode(),
            channel=texts[b"c"].decode(),
            store=texts.get(b"s") != b"0",
            nonce=texts.get(b"n", b"").decode(),
            coalesce=texts.get(b"k", b"").decode() or None,
            retain=texts.get(b"r", b"").decode() or None,
        )
    except KeyError as error:
        raise ValueError(f"the field {error} is missing") from error
    return position, event


def before(position: Position) -> Position:
    """The last position before one."""
    ms, seq = position
    return (ms, seq - 1) if seq else (ms - 1, _LAST_IN_MS)


def position_of(id: bytes) -> Position:
    """The position an id of a stream names."""
    ms, _, seq = id.partition(b"-")
    return int(ms), int(seq)
