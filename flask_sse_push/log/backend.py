"""What a backend is: the event log, the mailboxes, presence and rate windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..events import (
    START,
    Channel,
    Control,
    Entry,
    Event,
    Position,
    format_id,
    parse_id,
)

#: Takes a user's id, and whether the user has come online or gone offline.
Tell = Callable[[str, bool], None]


def tell_nobody(user_id: str, is_online: bool) -> None:
    """Take what nobody wants to be told."""


class Receiver(Protocol):
    """Takes the entries of the event log: the hub, as a backend sees it."""

    def deliver(self, entry: Entry | Control) -> None:
        """Take the next entry of the event log."""

    def restart(self, base: Position) -> None:
        """Begin at ``base``: nothing is known of what the event log held before.

        Connections that are open at the time are told about the gap.
        """


class Connected(Protocol):
    """Who is connected to this process: the registry, as a backend sees it."""

    def client_count(self) -> int:
        """Connections of this process."""

    def connections_by_user(self) -> dict[str, int]:
        """The users connected to this process, each with the number of connections."""

    def take_changes(self) -> dict[str, int]:
        """Users whose number of connections changed since the last call.

        At the first call: all users that are connected.
        """

    def is_user_connected(self, user_id: str) -> bool:
        """Whether the user has a connection to this process."""

    def group_users(self, group: str) -> set[str]:
        """The users who have a connection of this process in the group."""

    def group_members(self) -> set[tuple[str, str]]:
        """Pairs of group and user, for every group that a user's connection is in."""

    def take_group_changes(self) -> dict[tuple[str, str], bool]:
        """Those pairs that changed since the last call, and whether they still are.

        At the first call: all pairs.
        """


class RateWindows(Protocol):
    """Counts events in moving windows: what is used of a storage of ``limits``."""

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count one more, unless there are ``limit`` in the last ``expiry`` seconds.

        :returns: whether it was counted.
        :raises BackendError: the backend cannot be reached.
        """

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest event in the window, in seconds since 1970, and the
        number of events in it.

        :raises BackendError: the backend cannot be reached.
        """


class Backend(ABC):
    """An ordered event log that every process of the application reads.

    Methods may be called from any greenlet or thread.
    """

    #: Whether appending may wait for a server, so that events go through the outbox.
    remote: bool

    @abstractmethod
    def start(
        self, receiver: Receiver, connected: Connected, tell: Tell = tell_nobody
    ) -> None:
        """Begin to hand the log's entries to ``receiver``, in log order.

        :param connected: whose counts this process contributes to presence.
        :param tell: told who comes online and who goes offline, over all workers: each
            time in one worker only. It returns at once and raises nothing.
        """

    def user_changed(self, user_id: str) -> None:  # noqa: B027 (may do nothing)
        """Note that a connection of the user has opened or closed in this process.

        A backend that asks ``connected`` for changes has nothing to do.
        """

    @abstractmethod
    def wait_ready(self, timeout: float) -> bool:
        """Wait until the receiver has what the log holds from before.

        :param timeout: seconds, at most.
        :returns: whether it has.
        """

    @abstractmethod
    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events to the log, in order.

        :returns: their positions.
        :raises BackendError: the backend did not confirm. The events may be in the
            log or not; when they are appended again, their nonces keep them from
            counting twice.
        """

    def attach(
        self, channels: Sequence[Channel], cursor: Position | None
    ) -> Sequence[Entry]:
        """Make sure that the receiver gets what comes on the channels of a connection.

        A backend that hands on the whole log, as those here do, has nothing to do. One
        that has must follow the log's ``Membership`` entries, too: with them the groups
        of open connections change.

        :param cursor: where the client resumes; ``None`` for one that begins.
        :returns: what the client has missed and the receiver was not given, in order.
        :raises BackendError: the backend cannot be reached.
        """
        return ()

    def detach(self, channels: Sequence[Channel]) -> None:  # noqa: B027 (may do nothing)
        """Undo one :meth:`attach`: a connection has ended."""

    def parse_cursor(self, text: str) -> Position | None:
        """The position that a client's ``Last-Event-ID`` names, ``None`` if none.

        :param text: as the client sent it; nothing is assumed about it.
        """
        return parse_id(text)

    def format_cursor(self, position: Position) -> str:
        """The text of a position, as a client sends it back."""
        return format_id(position)

    @abstractmethod
    def unread(self, user_id: str, after: Position) -> list[Entry]:
        """The user's mailbox after a position, in log order.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def acknowledge(self, user_id: str, up_to: Position) -> int:
        """Remove what the mailbox holds up to a position.

        :returns: the number of events removed.
        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def retained(
        self, channels: Sequence[Channel], after: Position = START
    ) -> list[Entry]:
        """The newest event of each ``retain`` key on the channels, in log order.

        :param after: only those after this position.
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
    def group_users(self, group: str) -> set[str]:
        """The users who have a connection in the group, to any worker.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def rate_windows(self) -> RateWindows:
        """The windows in which rate limits are counted, over all workers.

        :raises ModuleNotFoundError: the package ``limits`` is not installed.
        """

    @abstractmethod
    def health(self) -> dict[str, Any]:
        """What an operator needs, JSON-ready; ``"reachable"`` is always there."""

    @abstractmethod
    def stop(self) -> None:
        """Let go of connections, greenlets and threads."""
