"""The options that every sending verb takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, TypeVar

from ..errors import EventError
from ..events import id_text, retain_key
from ..names import Priority

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


class SendKeywords(TypedDict, total=False):
    """The options as keywords of a verb; :class:`SendOptions` explains them."""

    priority: Priority | Literal["low", "normal", "high", "urgent"]
    store: bool
    mailbox: bool | None
    id: object
    coalesce: str | None
    retain: str | None
    rate_limit: str | None


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How an event is sent.

    :param priority: which events leave first when several wait in the outbox.
    :param store: ``False`` for an event that is useless later: neither the history nor
        the mailbox keeps it.
    :param mailbox: whether the event waits in the user's mailbox until it has been
        delivered. ``False`` keeps it only in the history, so that a client whose
        connection was lost can still resume with it. ``None`` follows
        ``SSE_PUSH_MAILBOX_EVENTS``.
    :param id: your own id for the event (text, a number or a UUID), also its payload's
        ``id``. If an event is sent twice with the same id to the same user, group or
        everybody, it arrives once.
    :param coalesce: while events wait for a slow client, a newer one replaces an older
        one of the same channel with the same key.
    :param retain: key of a state, such as ``"score"``: every new stream gets the newest
        event of each key on its channels.
    :param rate_limit: how often this user or group may get events of this name, such as
        ``"5/minute"``; it replaces a configured limit.
    :raises EventError: a value is not allowed.
    """

    priority: Priority = Priority.NORMAL
    store: bool = True
    mailbox: bool | None = None
    id: str | None = None
    coalesce: str | None = None
    retain: str | None = None
    rate_limit: str | None = None

    @classmethod
    def from_keywords(cls, keywords: SendKeywords) -> SendOptions:
        """The options that a verb was called with.

        :raises EventError: a value is not allowed.
        :raises TypeError: an option is unknown.
        """
        return cls(**keywords) if keywords else _DEFAULTS  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if type(self.priority) is not Priority:
            object.__setattr__(self, "priority", _priority(self.priority))
        if self.id is not None:
            object.__setattr__(self, "id", id_text(self.id, "event id"))
        if self.retain is not None:
            object.__setattr__(self, "retain", retain_key(self.retain))
            if not self.store:
                raise EventError(
                    "retain= keeps the event for new streams, but store=False keeps it "
                    "nowhere. Leave one of them out."
                )


_DEFAULTS = SendOptions()


def with_options(verb: _Verb) -> _Verb:
    """Give a verb a signature with all options, for ``help()`` and the docs."""
    signature = inspect.signature(verb)
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters += [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
        for field in fields(SendOptions)
    ]
    verb.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return verb


def _priority(priority: object) -> Priority:
    try:
        return Priority(priority)  # type: ignore[arg-type]
    except ValueError as error:
        choices = ", ".join(repr(str(known)) for known in Priority)
        raise EventError(
            f"priority must be one of {choices}, not {priority!r}."
        ) from error
