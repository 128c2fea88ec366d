"""Converts events into entries of a Redis stream, and entries into events."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, parse_id

# The names of the fields are defined only here; scripts get them as arguments.
_CHANNEL, _NAME, _DATA = b"c", b"e", b"d"
NONCE, _KEEP, _COALESCE, RETAIN = b"n", b"s", b"k", b"r"
#: The names of the fields. Each entry has all of them, in this order.
FIELDS = (_CHANNEL, _NAME, _DATA, NONCE, _KEEP, _COALESCE, RETAIN)

# The last sequence number within a millisecond: the numbers have at most 16 digits.
_LAST_IN_MS = 10**16 - 1


# The values of the field that says where an event is kept, by (store, mailbox): "0" for
# nowhere, "h" for the history only, "1" for the history and a mailbox.
_KEPT = {
    (False, False): "0",
    (False, True): "0",
    (True, False): "h",
    (True, True): "1",
}


def encode(event: Event) -> tuple[str, ...]:
    """The values of an event's fields, in the order of ``FIELDS``."""
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
    """The position and event of an entry, which any program may have written.

    :param id: the id of the entry.
    :param fields: names and values of its fields, alternating.
    :raises ValueError: the entry is not an event of this package.
    """
    position = parse_id(id.decode())
    if position is None:
        raise ValueError("the id is not the id of an event")
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
    """The last position before the given one."""
    ms, seq = position
    return (ms, seq - 1) if seq else (ms - 1, _LAST_IN_MS)


def position_of(id: bytes) -> Position:
    """The position of an entry with this id."""
    ms, _, seq = id.partition(b"-")
    return int(ms), int(seq)
