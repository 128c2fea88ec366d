"""What a check of an installation has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    #: Works, but not as somebody may expect.
    WARNING = "warning"
    #: Does not work, or loses events.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :param subject: what it is about, in one word: ``settings``, ``backend``, …
    :param message: what is so, a whole sentence.
    :param remedy: what to do about it; empty where all is well.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ""


def ok(subject: str, message: str) -> Finding:
    """A finding that all is well."""
    return Finding(Level.OK, subject, message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    """A finding that something may not be as expected."""
    return Finding(Level.WARNING, subject, message, remedy)


def error(subject: str, message: str, remedy: str) -> Finding:
    """A finding that something does not work."""
    return Finding(Level.ERROR, subject, message, remedy)
