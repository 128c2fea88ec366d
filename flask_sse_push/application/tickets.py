"""Tickets: signed texts with which clients without cookies open a user's stream."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from ..delivery.resume import Resume
from ..errors import ConfigError, EventError, SSEPushError
from ..events import START, Position, channel_member, group_channels, user_channel
from .engine import Engine

_SALT = "flask_sse_push.ticket"
# The longest validity, in seconds. A ticket is part of a URL, and URLs are logged.
_MOST_SECONDS = 86_400.0
# Leaves room for the rest of the request line: gunicorn accepts 4,094 bytes.
_MOST_CHARACTERS = 2_000
# The longest wait, in seconds, for a worker that has just started to read the event
# log.
_READY_SECONDS = 2.0

_ASK_ANEW = (
    "Get a new one from the application, which makes it with sse.issue_ticket(), and "
    "open the stream with ?ticket=<the new one>."
)


class TicketError(SSEPushError):
    """Raised if a ticket is not valid. The client that sent it gets the text."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The contents of a ticket, whose signature has been checked.

    :param groups: names of the groups that its streams join.
    :param issued: the newest position in the event log when it was issued.
    :param is_expired: whether it can only resume a stream, and not open a new one.
    """

    user_id: str
    groups: tuple[str, ...]
    issued: Position
    is_expired: bool

    @property
    def not_before(self) -> Position:
        """The position after which its streams get events."""
        return self.issued if self.is_expired else START

    def require_resumed(self, cursor: Position | None) -> None:
        """Check that it may open a stream.

        :param cursor: the position from which the client resumes; ``None`` if it has
            none.
        :raises TicketError: the ticket has expired and cannot open a new stream.
        """
        if self.is_expired and cursor is None:
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")

    def require_own(self, positions: Iterable[Position]) -> None:
        """Check that it may acknowledge the events at these positions.

        :raises TicketError: the ticket has expired, and one of the events is older.
        """
        if self.is_expired and any(position <= self.issued for position in positions):
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")


class Tickets:
    """Issues tickets of one application, and reads them.

    :param secret_keys: returns the application's secret keys, with the one that signs
        at the end; an empty list if it has none.
    :param engine: returns the application's engine in this process.
    """

    def __init__(
        self, secret_keys: Callable[[], list[Any]], engine: Callable[[], Engine]
    ) -> None:
        self._secret_keys = secret_keys
        self._engine = engine

    def issue(
        self,
        user_id: object,
        groups: Iterable[str],
        seconds: float,
        resume_seconds: float,
    ) -> str:
        """Make a ticket.

        :param seconds: how long it opens new streams.
        :param resume_seconds: how long after that it still resumes streams.
        :raises ConfigError: the application has no secret key.
        :raises EventError: an argument is not allowed, or the ticket is too long.
        """
        keys = self._secret_keys()
        if not keys:
            raise ConfigError(
                "The application has no secret key to sign tickets with: set "
                "app.secret_key, or SECRET_KEY in its configuration."
            )
        user = channel_member(user_channel(user_id))
        names = [channel_member(channel) for channel in group_channels(groups)]
        fresh = _seconds("seconds", seconds)
        resume = _seconds("resume_seconds", resume_seconds, least=0)
        said = [user, names, _now_ms(), int(fresh * 1000), int(resume * 1000)]
        text = _serializer(keys).dumps([*said, *self._position()])
        assert isinstance(text, str)
        if len(text) > _MOST_CHARACTERS:
            raise EventError(
                f"A ticket with {len(names)} groups has {len(text)} characters, which "
                "is too long for a URL. Pass fewer groups, or one that includes them."
            )
        return text

    def read(self, text: str) -> Ticket:
        """Check a ticket and read its contents.

        :param text: untrusted input from a client.
        :raises TicketError: the ticket is forged, from another application or expired,
            or the user's clients have been removed since it was issued.
        """
        keys = self._secret_keys()
        try:
            said: Any = _serializer(keys).loads(text) if keys else None
        except BadData:
            said = None
        if said is None:
            raise TicketError(
                "This is not a valid ticket of this application, or it is incomplete. "
                f"{_ASK_ANEW}"
            )
        user_id, groups, issued_ms, fresh_ms, resume_ms, *issued = said
        age = _now_ms() - issued_ms
        if age > fresh_ms + resume_ms:
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")
        ticket = Ticket(user_id, tuple(groups), tuple(issued), age > fresh_ms)
        engine = self._engine()
        # A worker that has just started does not know the removals in the event log.
        engine.backend.wait_ready(_READY_SECONDS)
        if engine.hub.removals.has_after(user_channel(user_id), ticket.issued):
            raise TicketError(
                "The clients of this user have been removed since this ticket was "
                f"issued. {_ASK_ANEW}"
            )
        return ticket

    def resumed(self, last_event_id: str | None) -> Position | None:
        """The position from which a client resumes.

        :param last_event_id: untrusted input from a client.
        :returns: ``None`` if there is no id, or if it is not from this event log, for
            example because it is in the future: such a stream would start with the
            whole mailbox.
        """
        engine = self._engine()
        if not last_event_id:
            return None
        resume = Resume.read(
            last_event_id,
            engine.backend.parse_cursor(last_event_id),
            now=engine.hub.position,
            is_memory=not engine.backend.remote,
        )
        return None if resume.is_lost else resume.cursor

    def _position(self) -> Position:
        """The newest position in the event log that this process knows."""
        engine = self._engine()
        engine.backend.wait_ready(_READY_SECONDS)
        if engine.hub.position == START:
            return (_now_ms(), 0)
        return engine.hub.position


def _serializer(keys: list[Any]) -> URLSafeSerializer:
    return URLSafeSerializer(
        keys,
        salt=_SALT,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _seconds(name: str, value: float, *, least: float = 1.0) -> float:
    if type(value) not in (int, float) or not least <= value <= _MOST_SECONDS:
        raise EventError(
            f"{name} must be a number from {least:.0f} to {_MOST_SECONDS:.0f} (a day), "
            f"not {value!r}."
        )
    return float(value)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
