"""The errors this package raises; every text says what to do."""

from __future__ import annotations

from typing import Any


class SSEPushError(Exception):
    """Base of every error this package raises."""


class ConfigError(SSEPushError):
    """Raised when a setting is wrong, an extra is missing, or the server cannot work.

    The text names the key or the command that puts it right.
    """


class PayloadError(SSEPushError):
    """Raised when the data of an event cannot be sent as it is; nothing was sent.

    :param event: the event's name.
    :param messages: what is wrong, by field. Where data does not fit a schema: field
        name to a list of texts, as marshmallow gives them. Where a value has no JSON
        form: its key path, such as ``items[2].price``, to one text. ``_schema`` stands
        for the data as a whole.
    """

    def __init__(self, event: str, messages: dict[str, Any]) -> None:
        self.event = event
        self.messages = messages
        super().__init__(f"The data of event {event!r} was refused: {messages}")


class EventError(SSEPushError, ValueError):
    """Raised when an event cannot be put on the wire: a bad id, name or channel."""


class BackendError(SSEPushError):
    """Raised when the backend cannot be reached or answers with an error."""


class OutboxFull(BackendError):
    """Raised when the outbox holds as many events as it may; the event was not sent.

    :param count: events waiting.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"The outbox is full: {count} events wait for the backend. Try again when "
            "it is reachable, or raise SSE_PUSH_OUTBOX_SIZE."
        )


class RateLimitExceeded(SSEPushError):
    """Raised when a rate limit refuses an event; the event was not sent.

    :param limit: the limit, as written in the configuration.
    :param retry_after: seconds until the next event would be accepted.
    """

    def __init__(self, limit: str, retry_after: float) -> None:
        self.limit = limit
        self.retry_after = retry_after
        super().__init__(
            f"The rate limit of {limit} is used up; try again in {retry_after:.1f} s."
        )
