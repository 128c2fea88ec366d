"""The verbs: what an application says to its users, and asks about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, Unpack

from marshmallow import Schema

from ..errors import EventError
from ..events import (
    ALL,
    group_channel,
    id_text,
    parse_id,
    user_channel,
    user_channels,
)
from ..log import Backend
from ..names import Priority
from ..schemas import SchemaRegistry
from .outbox import Receipt
from .prepare import SendOptions


class Verbs(ABC):
    """What an ``SSEPush`` and a ``Publisher`` share."""

    @abstractmethod
    def _dispatch(
        self,
        channels: Sequence[str],
        event: str,
        data: object,
        **options: Unpack[SendOptions],
    ) -> list[Receipt]:
        """Send an event to each of the channels."""

    @abstractmethod
    def _remove_client(self, user_id: str) -> None:
        """Close a user's connections on every worker."""

    @abstractmethod
    def _get_backend(self) -> Backend:
        """The backend to ask."""

    @abstractmethod
    def _get_schemas(self) -> SchemaRegistry:
        """The schemas by event name."""

    def register_schema(self, name: str, schema: type[Schema] | Schema) -> None:
        """Have the data of an event checked by a marshmallow schema.

        :param name: the event's name.
        """
        self._get_schemas().register(name, schema)

    def send_to_user(
        self,
        user_id: object,
        event: str,
        data: object,
        *,
        priority: Priority
        | Literal["low", "normal", "high", "urgent"] = Priority.NORMAL,
        store: bool = True,
        id: object = None,
        coalesce: str | None = None,
        rate_limit: str | None = None,
    ) -> Receipt:
        """Send an event to one user, on all of the user's connections.

        :param user_id: text, a number or a UUID.
        :param event: the event's name, which may have a schema.
        :param data: a mapping, or an object that the event's schema can dump.
        :param priority: which events leave first where they have to wait.
        :param store: ``False`` for what is of no use later: it is kept neither in
            history nor in the mailbox.
        :param id: your own id for the event, also its payload's ``id``: sent twice to
            one receiver, it arrives once.
        :param coalesce: of events with one key only the newest waits for a client that
            is slow to read.
        :param rate_limit: how often this receiver gets events of this name, such as
            ``"5/minute"``; it takes the place of a limit that is configured.
        :raises PayloadError: the data does not fit the schema; nothing was sent.
        :raises EventError: the name or the user id is none; nothing was sent.
        :raises RateLimitExceeded: a rate limit refuses it; nothing was sent.
        :raises OutboxFull: the backend is away and as many events wait as may.
        :raises BackendError: the backend is away, and nothing can wait in a script.
        """
        [receipt] = self._dispatch(
            [user_channel(user_id)],
            event,
            data,
            priority=priority,
            store=store,
            id=id,
            coalesce=coalesce,
            rate_limit=rate_limit,
        )
        return receipt

    def send_to_users(
        self,
        user_ids: Iterable[object],
        event: str,
        data: object,
        **options: Unpack[SendOptions],
    ) -> list[Receipt]:
        """Send an event to several users; the options of :meth:`send_to_user`.

        All ids are checked before the first event is sent.
        """
        return self._dispatch(user_channels(user_ids), event, data, **options)

    def send_to_group(
        self, group: str, event: str, data: object, **options: Unpack[SendOptions]
    ) -> Receipt:
        """Send an event to a group; the options of :meth:`send_to_user`."""
        [receipt] = self._dispatch([group_channel(group)], event, data, **options)
        return receipt

    def broadcast(
        self, event: str, data: object, **options: Unpack[SendOptions]
    ) -> Receipt:
        """Send an event to every connection; the options of :meth:`send_to_user`."""
        [receipt] = self._dispatch([ALL], event, data, **options)
        return receipt

    def get_client_count(self) -> int:
        """Open connections, over all workers.

        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().client_count()

    def get_connected_users(self) -> set[str]:
        """Ids of the users that are connected, as text, over all workers.

        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().connected_users()

    def is_user_connected(self, user_id: object) -> bool:
        """Whether a user is connected, to any worker.

        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().is_user_connected(id_text(user_id))

    def remove_client(self, user_id: object) -> None:
        """Close every connection of a user, on every worker."""
        self._remove_client(id_text(user_id))

    def acknowledge(self, user_id: object, event_id: str) -> int:
        """Remove from a user's mailbox all events up to one.

        :param event_id: an id from the wire or from a receipt.
        :returns: events removed.
        :raises EventError: it is no id of an event.
        :raises BackendError: the backend cannot be reached.
        """
        position = parse_id(event_id)
        if position is None:
            raise EventError(
                f"{event_id!r} is no id of an event: pass one from the wire, or the "
                "id of a receipt that is not queued any more."
            )
        return self._get_backend().acknowledge(id_text(user_id), position)
