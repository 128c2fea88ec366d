"""Positions in the event log, and their text form, the event id."""

from __future__ import annotations

import re
from typing import Final

#: A position in the event log: milliseconds since 1970, and a number within the
#: millisecond. Positions of all channels together sort in the order of the event log.
Position = tuple[int, int]

#: The position before every entry.
START: Final[Position] = (0, 0)

#: Ends the id of an event that is in a mailbox and that clients must acknowledge.
UNREAD_MARK: Final = "m"

_POSITION = re.compile(r"(\d{1,16})-(\d{1,16})", re.ASCII)


def format_id(position: Position) -> str:
    """The id of the event at a position, as clients see it: ``<ms>-<seq>``."""
    return f"{position[0]}-{position[1]}"


def without_mark(id: object) -> str:
    """An event id without the mark that it may have.

    :param id: the id as a client sent it; ``""`` is returned if it is not text.
    """
    return id.removesuffix(UNREAD_MARK) if isinstance(id, str) else ""


def parse_id(text: object) -> Position | None:
    """The position of an event id, or ``None`` if the text is not an event id.

    :param text: untrusted input from a client.
    """
    match = _POSITION.fullmatch(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None
