"""The verbs about users: who is connected, disconnecting, acknowledging events."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..errors import EventError
from ..events import (
    Membership,
    Removal,
    channel_member,
    group_channel,
    id_text,
    without_mark,
)
from ..log import Backend
from .sender import Sender


class UserVerbs(ABC):
    """The verbs about users, their connections and their mailboxes."""

    @abstractmethod
    def _get_sender(self) -> Sender:
        """The sender to use now."""

    @abstractmethod
    def _get_backend(self) -> Backend:
        """The backend to use now."""

    def get_client_count(self) -> int:
        """The number of open connections, over all workers.

        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().client_count()

    def get_connected_users(self) -> set[str]:
        """The ids of the connected users, as text, over all workers.

        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().connected_users()

    def is_user_connected(self, user_id: object) -> bool:
        """Whether a user is connected to any worker.

        :param user_id: text, a number or a UUID.
        :raises EventError: the user id is not allowed.
        :raises BackendError: the backend cannot be reached.
        """
        return self._get_backend().is_user_connected(id_text(user_id))

    def remove_client(self, user_id: object) -> None:
        """Close every connection of a user, on every worker.

        This also makes all earlier tickets of the user invalid.

        :param user_id: text, a number or a UUID.
        :raises EventError: the user id is not allowed.
        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached, and there is no outbox.
        """
        self._get_sender().send_control(Removal.event(id_text(user_id)))

    def join(self, user_id: object, group: str) -> None:
        """Add the open connections of a user to a group, on every worker.

        They get all events that are sent to the group from now on. Update your database
        first: later connections join the groups that ``groups_loader`` returns.

        :raises EventError: the user id or the name of the group is not allowed.
        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached, and there is no outbox.
        """
        self._change_group(user_id, group, joins=True)

    def leave(self, user_id: object, group: str) -> None:
        """Remove the open connections of a user from a group, on every worker.

        They still get all events that were sent to the group before, and none that are
        sent later. Update your database first: later connections join the groups that
        ``groups_loader`` returns.

        :raises EventError: the user id or the name of the group is not allowed.
        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached, and there is no outbox.
        """
        self._change_group(user_id, group, joins=False)

    def get_group_users(self, group: str) -> set[str]:
        """The ids of the users with an open connection in a group, over all workers.

        Only your database knows the members who are not connected.

        :raises EventError: the name of the group is not allowed.
        :raises BackendError: the backend cannot be reached.
        """
        name = channel_member(group_channel(group))
        return self._get_backend().group_users(name)

    def _change_group(self, user_id: object, group: str, *, joins: bool) -> None:
        name = channel_member(group_channel(group))
        change = Membership.event(id_text(user_id), name, joins=joins)
        self._get_sender().send_control(change, keeps_place=True)

    def acknowledge(self, user_id: object, event_id: str) -> int:
        """Remove all events up to and including one from a user's mailbox.

        :param event_id: the id of an event that a client received, or of a receipt.
        :returns: the number of events removed.
        :raises EventError: ``event_id`` is not the id of an event.
        :raises BackendError: the backend cannot be reached.
        """
        backend = self._get_backend()
        position = backend.parse_cursor(without_mark(event_id))
        if position is None:
            raise EventError(
                f"{event_id!r} is not the id of an event: pass the id of an event that "
                "a client received, or of a receipt that is not queued any more."
            )
        return backend.acknowledge(id_text(user_id), position)
