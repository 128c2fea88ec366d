"""The interface of a backend: event log, mailboxes, presence and rate windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from ..findings import Finding

#: Takes a user id, and whether the user has come online (``True``) or gone offline
#: (``False``).
Tell = Callable[[str, bool], None]


def tell_nobody(user_id: str, is_online: bool) -> None:
    """Ignore the report. The default for ``tell`` if nobody needs it."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The contents of a mailbox.

    :param entries: events that have not been delivered yet, in log order.
    :param lost: the newest event that the mailbox has dropped before it was delivered,
        because it was full or the event too old; ``None`` if there is none.
    """

    entries: Sequence[Entry] = ()
    lost: Position | None = None


class Receiver(Protocol):
    """Receives the entries of the event log; the hub implements it."""

    def deliver(self, entry: Entry | Control) -> None:
        """Take the next entry of the event log."""

    def restart(self, base: Position) -> None:
        """Start at ``base``; entries before it may be missing.

        Connections that are open at that time are told of the gap.
        """


class Connected(Protocol):
    """Knows who is connected to this process; the registry implements it."""

    def client_count(self) -> int:
        """The number of connections of this process."""

    def connections_by_user(self) -> dict[str, int]:
        """The users connected to this process, each with the number of connections."""

    def take_changes(self) -> dict[str, int]:
        """The users whose number of connections has changed since the last call.

        :returns: the numbers by user id. The first call returns all connected users.
        """

    def take_arrivals(self) -> list[tuple[str, bool]]:
        """Users who got their first or lost their last connection since the last call.

        :returns: pairs of user id and whether the user is connected, in order. The
            first call returns all connected users.
        """

    def is_user_connected(self, user_id: str) -> bool:
        """Whether the user has a connection to this process."""

    def group_users(self, group: str) -> set[str]:
        """The users with a connection to this process that is in the group."""

    def group_members(self) -> set[tuple[str, str]]:
        """All pairs of a group and a user with a connection in it."""

    def take_group_changes(self) -> dict[tuple[str, str], bool]:
        """The pairs that have changed since the last call, and whether they exist now.

        :returns: whether a pair exists, by group and user id. The first call returns
            all pairs.
        """


class RateWindows(Protocol):
    """Counts events in moving windows; a storage of the ``limits`` library is one."""

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count an event, unless the window is full.

        :param limit: the most events in the window.
        :param expiry: the length of the window, in seconds.
        :returns: whether the event was counted.
        :raises BackendError: the backend cannot be reached.
        """

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest event in the window, and the number of its events.

        :returns: the time is in seconds since 1970.
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
        """Start handing the entries of the event log to ``receiver``, in log order.

        :param connected: knows who is connected to this process.
        :param tell: called when a user comes online or goes offline, counted over all
            workers; only one worker calls it each time. It must return at once and not
            raise an error.
        """

    def user_changed(self, user_id: str) -> None:  # noqa: B027 (may do nothing)
        """Note that a connection of the user has opened or closed in this process.

        A backend that asks ``connected`` for changes has nothing to do.
        """

    @abstractmethod
    def wait_ready(self, timeout: float) -> bool:
        """Wait until the receiver has got the entries that the event log already held.

        :param timeout: the longest wait, in seconds.
        :returns: whether it has got them.
        """

    def is_starting(self) -> bool:
        """Whether the first attempt to read the event log has neither ended nor failed.

        ``False`` for a backend that is ready when :meth:`start` returns.
        """
        return False

    @abstractmethod
    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events to the event log, in order.

        :returns: their positions.
        :raises BackendError: the backend did not confirm. The events may be in the
            event log or not. They can be appended again: their nonces prevent
            duplicates.
        """

    def attach(
        self, channels: Sequence[Channel], cursor: Position | None
    ) -> Sequence[Entry]:
        """Make sure that the receiver gets all entries of a connection's channels.

        The backends of this package hand the whole event log to the receiver, so they
        do nothing here. A backend that reads only some channels must also follow the
        ``Membership`` entries, which change the groups of open connections.

        :param cursor: the position to resume from; ``None`` for a new client.
        :returns: the entries that the client has missed and that the receiver was not
            given, in log order.
        :raises BackendError: the backend cannot be reached.
        """
        return ()

    def detach(self, channels: Sequence[Channel]) -> None:  # noqa: B027 (may do nothing)
        """Undo one :meth:`attach`, when a connection has ended."""

    def parse_cursor(self, text: str) -> Position | None:
        """The position of a client's ``Last-Event-ID``; ``None`` if it is not an id.

        :param text: untrusted input from a client.
        """
        return parse_id(text)

    def format_cursor(self, position: Position) -> str:
        """The text of a position, as a client sends it back."""
        return format_id(position)

    @abstractmethod
    def unread(self, user_id: str, after: Position) -> Unread:
        """The user's mailbox after a position.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def acknowledge(self, user_id: str, up_to: Position) -> int:
        """Remove the entries up to and including a position from the user's mailbox.

        :returns: the number of events removed.
        :raises BackendError: the backend cannot be reached.
        """

    def acknowledge_all(self, up_to: Mapping[str, Position]) -> None:
        """Remove events from several mailboxes, each up to and including a position.

        :param up_to: positions by user id.
        :raises BackendError: the backend cannot be reached.
        """
        for user_id, position in up_to.items():
            self.acknowledge(user_id, position)

    @abstractmethod
    def acknowledge_ids(self, user_id: str, positions: Collection[Position]) -> int:
        """Remove single events from the user's mailbox; unknown positions are ignored.

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
        """The number of connections, over all workers.

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
        """The users with a connection to any worker that is in the group.

        :raises BackendError: the backend cannot be reached.
        """

    @abstractmethod
    def rate_windows(self) -> RateWindows:
        """The windows in which rate limits are counted, over all workers.

        :raises ModuleNotFoundError: the package ``limits`` is not installed.
        """

    @abstractmethod
    def health(self) -> dict[str, Any]:
        """The backend's state for operators, as JSON data; never raises.

        :returns: a dict that has at least ``"kind"`` and ``"reachable"``.
        """

    def check(self) -> Iterable[Finding]:
        """Check the place where the event log is kept, for ``flask sse check``.

        Called on a backend that has not been started; never raises.
        """
        return ()

    @abstractmethod
    def stop(self) -> None:
        """Close the backend's connections, and stop its greenlets and threads."""
