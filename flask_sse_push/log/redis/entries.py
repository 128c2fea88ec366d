"""Events as entries of a stream: the names of the fields, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, parse_id

# The only place that spells the names of the fields; scripts are told them.
_CHANNEL, _NAME, _DATA = b"c", b"e", b"d"
NONCE, _KEEP, _COALESCE, RETAIN = b"n", b"s", b"k", b"r"
#: The names of the fields, all of which an entry has, in this order.
FIELDS = (_CHANNEL, _NAME, _DATA, NONCE, _KEEP, _COALESCE, RETAIN)

# More entries than one millisecond can have; ids hold no more than 16 digits.
_LAST_IN_MS = 10**16 - 1


# Where an event is kept: nowhere, in the history, or also in a mailbox.
_KEPT = {
    (False, False): "0",
    (False, True): "0",
    (True, False): "h",
    (True, True): "1",
}


def encode(event: Event) -> tuple[str, ...]:
    """What the fields of an event hold, in the order of their names."""
    return (
        event.channel,
        event.name,
        event.data,
        event.nonce,
        _KEPT[event.store, event.mailbox],
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
    contents = dict(zip(fields[::2], fields[1::2], strict=False))
    kept = contents.get(_KEEP)
    try:
        event = Event(
            name=contents[_NAME].decode(),
            data=contents[_DATA].decode(),
            channel=contents[_CHANNEL].decode(),
            store=kept != b"0",
            mailbox=kept == b"1",
            nonce=contents.get(NONCE, b"").decode(),
            coalesce=contents.get(_COALESCE, b"").decode() or None,
            retain=contents.get(RETAIN, b"").decode() or None,
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
