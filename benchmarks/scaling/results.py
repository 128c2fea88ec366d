"""The results of a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Table:
    """One part of the results.

    :param faults: lost, doubled, reordered and stray events and ended streams.
    """

    title: str
    rows: list[list[str]]
    figures: dict[str, Any]
    faults: int = 0
