"""The verbs that send an event to a user, several users, a group or everybody."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from ..errors import EventError
from ..events import ALL, group_channel, user_channel, user_channels
from ..names import EventName
from .options import SendKeywords, SendOptions, with_options
from .receipt import Receipt
from .sender import Outgoing, Sender


class SendingVerbs(ABC):
    """The verbs that send; all of them use one :class:`Sender`."""

    @abstractmethod
    def _get_sender(self) -> Sender:
        """The sender to use now."""

    @with_options
    def send_to_user(
        self,
        user_id: object,
        event: str,
        data: object,
        **options: Unpack[SendKeywords],
    ) -> Receipt:
        """Send an event to one user, on all of the user's connections.

        :param user_id: text, a number or a UUID.
        :param event: the event's name, which may have a schema.
        :param data: a mapping; an object that the event's schema or the application's
            JSON provider can convert, a pydantic model or an attrs object; or, for an
            event without a schema, text or ``Markup``, which is sent unchanged.
        :param priority: which events leave first when several wait in the outbox.
        :param store: ``False`` for an event that is useless later: neither the history
            nor the mailbox keeps it.
        :param mailbox: whether the event waits in the user's mailbox until it has been
            delivered. ``False`` keeps it only in the history, so that a client whose
            connection was lost can still resume with it. ``None`` follows
            ``SSE_PUSH_MAILBOX_EVENTS``.
        :param id: your own id for the event (text, a number or a UUID), also its
            payload's ``id``. If an event is sent twice with the same id to the same
            user, group or everybody, it arrives once.
        :param coalesce: while events wait for a slow client, a newer one replaces an
            older one of the same channel with the same key.
        :param retain: key of a state, such as ``"score"``: every new stream gets the
            newest event of each key on its channels.
        :param rate_limit: how often this user or group may get events of this name,
            such as ``"5/minute"``; it replaces a configured limit.
        :raises PayloadError: the data does not match the schema, or a value has no JSON
            form; nothing was sent.
        :raises EventError: the name, the user id or an option is not allowed; nothing
            was sent.
        :raises RateLimitExceeded: a rate limit refuses the event; nothing was sent.
        :raises OutboxFull: the backend cannot be reached and the outbox is full.
        :raises BackendError: the backend cannot be reached, and there is no outbox, as
            in a ``Publisher``.
        """
        channel = user_channel(user_id)
        checked = SendOptions.from_keywords(options)
        [receipt] = self._get_sender().send([channel], event, data, checked)
        return receipt

    @with_options
    def send_to_users(
        self,
        user_ids: Iterable[object],
        event: str,
        data: object,
        **options: Unpack[SendKeywords],
    ) -> list[Receipt]:
        """Send an event to several users, with the options of :meth:`send_to_user`.

        All ids are checked before the first event is sent.
        """
        channels = user_channels(user_ids)
        checked = SendOptions.from_keywords(options)
        return self._get_sender().send(channels, event, data, checked)

    @with_options
    def send_to_group(
        self, group: str, event: str, data: object, **options: Unpack[SendKeywords]
    ) -> Receipt:
        """Send an event to a group, with the options of :meth:`send_to_user`."""
        channel = group_channel(group)
        checked = SendOptions.from_keywords(options)
        [receipt] = self._get_sender().send([channel], event, data, checked)
        return receipt

    @with_options
    def broadcast(
        self, event: str, data: object, **options: Unpack[SendKeywords]
    ) -> Receipt:
        """Send an event to everybody, with the options of :meth:`send_to_user`."""
        checked = SendOptions.from_keywords(options)
        [receipt] = self._get_sender().send([ALL], event, data, checked)
        return receipt

    @with_options
    def send_batch(
        self,
        notifications: Iterable[tuple[object, object] | Mapping[str, Any]],
        event: str = EventName.NOTIFICATION,
        batch_id: str | None = None,
        **options: Unpack[SendKeywords],
    ) -> list[Receipt]:
        """Send one event to each of many users, all with the same ``batchId``.

        Data that is not a mapping, or whose schema has no ``batch_id``, gets no
        ``batchId``. All events are checked, and counted against rate limits, before the
        first is sent.

        :param notifications: pairs of user id and data; or mappings, whose ``user_id``
            (or ``userId``) names the user and whose other keys are the data.
        :param batch_id: text; by default, 32 random hexadecimal digits.
        :param options: those of :meth:`send_to_user`, except ``id``.
        :raises PayloadError: the data of one event does not match the schema; none was
            sent.
        :raises RateLimitExceeded: a rate limit refuses one event; none was sent.
        """
        checked = SendOptions.from_keywords(options)
        if checked.id is not None:
            raise EventError("The events of a batch cannot share one id: leave id out.")
        sender = self._get_sender()
        batch_id = uuid.uuid4().hex if batch_id is None else batch_id
        takes_id = sender.schemas.takes(event, "batchId")
        outgoing: list[Outgoing] = []
        for notification in notifications:
            user_id, data = _addressed(notification)
            if takes_id and isinstance(data, Mapping) and "batch_id" not in data:
                data = {"batchId": batch_id, **data}
            outgoing.append(sender.check(user_channel(user_id), event, data, checked))
        return sender.send_checked(outgoing)


def _addressed(
    notification: tuple[object, object] | Mapping[str, Any],
) -> tuple[object, object]:
    if isinstance(notification, Mapping):
        data = dict(notification)
        for key in ("user_id", "userId"):
            if key in data:
                return data.pop(key), data
        raise EventError(
            f"An item of the batch has no user_id: {notification}. Add the key, or "
            "pass a pair of user id and data."
        )
    return notification
