"""What a backend is: the log, the mailbox, and who is connected anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from ..events import Entry, Event, Position


class Receiver(Protocol):
    """The hub, as a backend sees it."""

    def deliver(self, entry: Entry) -> None:
        """Take the next entry of the log."""

    def restart(self, base: Position) -> None:
        """Begin at ``base``: nothing is known of what the log held before.

        Connections open at the time are told of the gap.
        """

    def client_count(self) -> int:
        """Connections of this process."""

    def connections_by_user(self) -> dict[str, int]:
        """The users connected to this process, each with their connections."""

    def take_changes(self) -> dict[str, int]:
        """Users with more or fewer connections than at the last call, and how many.

        At the first call: all that are connected.
        """

    def is_user_connected(self, user_id: str) -> bool:
        """Whether the user has a connection to this process."""


class Backend(ABC):
    """An ordered log of events that every process of the application reads.

    Methods may be called from any greenlet or thread.
    """

    #: Whether appending may wait for a server, so that events go through the outbox.
    remote: bool

    @abstractmethod
    def start(self, receiver: Receiver) -> None:
        """Begin to hand the log's entries to ``receiver``, in log order."""

    @abstractmethod
    def wait_ready(self, timeout: float) -> bool:
        """Wait until the receiver has what the log holds from before.

        :param timeout: seconds, at most.
        :returns: whether it has.
        """

    @abstractmethod
    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events to the log, in order; returns their positions.

        :raises BackendError: the backend did not confirm. The events may be in the
            log or not; appended once more, their nonce keeps them from counting twice.
        """

    @abstractmethod
    def unread(self, user_id: str, after: Position) -> list[Entry]:
        """The user's mailbox after a position, in log order.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def acknowledge(self, user_id: str, up_to: Position) -> int:
        """Remove what the mailbox holds up to a position; returns how many.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def client_count(self) -> int:
        """Connections over all workers.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def connected_users(self) -> set[str]:
        """The users connected to any worker.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def is_user_connected(self, user_id: str) -> bool:
        """Whether the user has a connection to any worker.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def health(self) -> dict[str, Any]:
        """What an operator needs, JSON-ready; ``"reachable"`` is always there."""

    @abstractmethod
    def stop(self) -> None:
        """Let go of connections, greenlets and threads."""
