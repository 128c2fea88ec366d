"""Tickets: signed texts that open a user's stream from places without cookies."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from ..delivery.resume import Resume
from ..errors import ConfigError, EventError
from ..events import START, Position, channel_member, group_channels, user_channel
from .engine import Engine

_SALT = "flask_sse_push.ticket"
# A ticket stands in a URL, and URLs in logs.
_MOST_SECONDS = 86_400.0
# What fits into a request line together with the rest: gunicorn takes 4,094 bytes.
_MOST_CHARACTERS = 2_000
# Longest wait, in seconds, for a worker that has just started to have read the log.
_READY_SECONDS = 2.0

_ASK_ANEW = (
    "Ask the application for a new one, which it makes with sse.issue_ticket(), and "
    "open the stream with ?ticket=<the new one>."
)


class TicketError(Exception):
    """Raised when a ticket opens nothing; the text is fit to be shown to its holder."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says, its signature checked.

    :param groups: names of the groups that its streams join.
    :param issued: the place in the event log at which it was issued.
    :param is_expired: whether it opens no new stream any more, and only resumes one.
    """

    user_id: str
    groups: tuple[str, ...]
    issued: Position
    is_expired: bool

    @property
    def not_before(self) -> Position:
        """The place in the log before which its holder gets nothing."""
        return self.issued if self.is_expired else START

    def require_resumed(self, cursor: Position | None) -> None:
        """Check that it opens a stream.

        :param cursor: where the client resumes; ``None`` for one that begins.
        :raises TicketError: it has expired.
        """
        if self.is_expired and cursor is None:
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")

    def require_own(self, positions: Iterable[Position]) -> None:
        """Check that it allows to acknowledge events.

        :raises TicketError: it has expired, and one of them is older than it.
        """
        if self.is_expired and any(position <= self.issued for position in positions):
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")


class Tickets:
    """Issues tickets of one application, and reads them.

    :param secret_keys: gives the application's secret keys, of which the last one
        signs; none where it has none.
    :param engine: gives the running parts of this process.
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

        :raises ConfigError: the application has no secret key.
        :raises EventError: an argument is not allowed.
        """
        keys = self._secret_keys()
        if not keys:
            raise ConfigError(
                "A ticket is signed with the application's secret key, and there is "
                "none: set app.secret_key, or SECRET_KEY in its configuration."
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
                f"A ticket with {len(names)} groups has {len(text)} characters, too "
                "many for a URL: name fewer groups, or one that stands for them."
            )
        return text

    def read(self, text: str) -> Ticket:
        """What a ticket says.

        :param text: nothing is assumed about it.
        :raises TicketError: it is forged, of another application, or too old, or its
            user's clients were removed since.
        """
        keys = self._secret_keys()
        try:
            said: Any = _serializer(keys).loads(text) if keys else None
        except BadData:
            said = None
        if said is None:
            raise TicketError(
                f"This is no ticket of this application, or not all of it. {_ASK_ANEW}"
            )
        user_id, groups, issued_ms, fresh_ms, resume_ms, *issued = said
        age = _now_ms() - issued_ms
        if age > fresh_ms + resume_ms:
            raise TicketError(f"This ticket has expired. {_ASK_ANEW}")
        ticket = Ticket(user_id, tuple(groups), tuple(issued), age > fresh_ms)
        if self._engine().hub.removals.has_after(user_channel(user_id), ticket.issued):
            raise TicketError(
                "The clients of this ticket's user were removed since it was issued. "
                f"{_ASK_ANEW}"
            )
        return ticket

    def resumed(self, last_event_id: str | None) -> Position | None:
        """The position that a client of this log resumes from.

        ``None`` for an id that says nothing here, such as one from the future, with
        which a stream would begin anew.
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
        """The place in the log now, as far as this process knows it."""
        engine = self._engine()
        if engine.hub.position == START:
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
            f"{name} is a number from {least:.0f} to {_MOST_SECONDS:.0f}, a day, not "
            f"{value!r}."
        )
    return float(value)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
