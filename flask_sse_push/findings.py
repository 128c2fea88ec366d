"""The results of a check of an application and its backend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    #: Something works, but perhaps not as expected.
    WARNING = "warning"
    #: Something does not work, or can lose events.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of checking one thing.

    :param subject: what was checked, in one word, such as ``settings``.
    :param message: what was found, as a sentence.
    :param remedy: what to do about it, as a sentence; empty if nothing is wrong.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ""


def ok(subject: str, message: str) -> Finding:
    """A finding that nothing is wrong."""
    return Finding(Level.OK, subject, message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    """A finding that something is perhaps not as expected."""
    return Finding(Level.WARNING, subject, message, remedy)


def error(subject: str, message: str, remedy: str) -> Finding:
    """A finding that something does not work."""
    return Finding(Level.ERROR, subject, message, remedy)
