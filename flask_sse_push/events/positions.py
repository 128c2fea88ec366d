"""Places in the event log, and their text on the wire."""

from __future__ import annotations

import re
from typing import Final

#: A place in the event log: milliseconds since 1970, and a number within the
#: millisecond. Positions compare in log order, over all channels.
Position = tuple[int, int]

#: Before every entry.
START: Final[Position] = (0, 0)

_POSITION = re.compile(r"(\d{1,16})-(\d{1,16})", re.ASCII)


def format_id(position: Position) -> str:
    """The id on the wire of the event at a position: ``<ms>-<seq>``."""
    return f"{position[0]}-{position[1]}"


def parse_id(text: object) -> Position | None:
    """The position that an id names, or ``None`` if it is not an id of this package.

    :param text: as a client sent it; nothing is assumed about it.
    """
    match = _POSITION.fullmatch(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None
