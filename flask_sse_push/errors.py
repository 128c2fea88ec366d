"""The errors this package raises; every message says what to do."""

from __future__ import annotations

from typing import Any


class SSEPushError(Exception):
    """Base of every error this package raises."""


class ConfigError(SSEPushError):
    """Raised when a setting is wrong, an extra is missing or the server is unsuitable.

    The message names the setting to change or the command to run.
    """


class PayloadError(SSEPushError):
    """Raised when the data of an event cannot be sent; nothing was sent.

    :param event: the event's name.
    :param messages: what is wrong. If the data does not match a schema: a list of
        messages for each field name, as marshmallow returns it. If a value has no JSON
        form: a message for its key path, such as ``items[2].price``. The key
        ``_schema`` stands for the data as a whole.
    """

    def __init__(self, event: str, messages: dict[str, Any]) -> None:
        self.event = event
        self.messages = messages
        super().__init__(f"The data of the event {event!r} is not valid: {messages}")


class EventError(SSEPushError, ValueError):
    """Raised when an event cannot be sent: a bad id, name, channel or option."""


class BackendError(SSEPushError):
    """Raised when the backend cannot be reached or answers with an error."""


class OutboxFull(BackendError):
    """Raised when the outbox is full; the event was not sent.

    ``SSE_PUSH_OUTBOX_SIZE`` is the most events that may wait.

    :param count: how many events wait in the outbox.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"The outbox is full: {count} events wait for the event log. Try again "
            "when SSE_PUSH_BACKEND_URL is reachable, or raise SSE_PUSH_OUTBOX_SIZE."
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
