"""The event log in Redis or Valkey, which all processes and machines share."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from ...config import Config
from ...errors import BackendError
from ...events import START, Channel, Entry, Event, Position
from ...findings import Finding
from ...runtime.concurrency import spawn
from ..backend import (
    Backend,
    Connected,
    RateWindows,
    Receiver,
    Tell,
    Unread,
    tell_nobody,
)
from .fitness import check_server
from .keys import Keys
from .log import Log
from .mailbox import Mailbox
from .online import Online
from .presence import Presence
from .reader import LogReader
from .retained import RetainedEvents
from .server import Server
from .windows import RedisWindows

__all__ = ["RedisBackend"]


class RedisBackend(Backend):
    """The backend that keeps the event log in one stream of a Redis or Valkey server.

    It opens no connection before one is needed. A command waits at most one second for
    a connection and one second for its answer, unless the URL has the options
    ``socket_connect_timeout`` and ``socket_timeout``.

    :raises ConfigError: the URL is wrong.
    """

    remote = True

    def __init__(self, config: Config) -> None:
        self._config = config
        self._server = Server(config.backend_url)
        self._keys = Keys(config.key_prefix)
        self._log = Log(
            self._server,
            self._keys,
            size=config.log_size,
            mailbox_size=config.mailbox_size,
            mailbox_seconds=config.mailbox_seconds,
            retained_size=config.retained_size,
            retained_seconds=config.retained_seconds,
        )
        self._retained = RetainedEvents(
            self._server, self._keys, config.retained_seconds
        )
        self._mailbox = Mailbox(
            self._server,
            self._keys,
            seconds=config.mailbox_seconds,
            marks_unread=config.marks_unread,
        )
        worker = uuid4().hex
        online = Online(self._server, self._keys, worker, config.presence_grace_seconds)
        self._presence = Presence(self._server, self._keys, worker, online)
        self._reader: LogReader | None = None

    def start(
        self, receiver: Receiver, connected: Connected, tell: Tell = tell_nobody
    ) -> None:
        self._reader = LogReader(
            self._server,
            self._keys,
            receiver,
            size=self._config.log_size,
            seconds=self._config.history_seconds,
            marks_unread=self._config.marks_unread,
            on_connected=self._presence.forget,
            retained=self._retained,
        )
        spawn(self._reader.run)
        spawn(self._presence.run, connected, tell)

    def wait_ready(self, timeout: float) -> bool:
        return self._reader is not None and self._reader.ready.wait(timeout)

    def is_starting(self) -> bool:
        reader = self._reader
        return reader is not None and not (reader.ready.is_set() or reader.has_failed)

    def append(self, events: Sequence[Event]) -> list[Position]:
        return self._log.append(events)

    def unread(self, user_id: str, after: Position) -> Unread:
        return self._mailbox.unread(user_id, after)

    def acknowledge(self, user_id: str, up_to: Position) -> int:
        return self._mailbox.acknowledge({user_id: up_to})

    def acknowledge_all(self, up_to: Mapping[str, Position]) -> None:
        self._mailbox.acknowledge(up_to)

    def acknowledge_ids(self, user_id: str, positions: Collection[Position]) -> int:
        return self._mailbox.acknowledge_ids(user_id, positions)

    def retained(
        self, channels: Sequence[Channel], after: Position = START
    ) -> list[Entry]:
        return self._retained.after(channels, after)

    def client_count(self) -> int:
        return self._presence.client_count()

    def connected_users(self) -> set[str]:
        return self._presence.connected_users()

    def is_user_connected(self, user_id: str) -> bool:
        return self._presence.is_user_connected(user_id)

    def group_users(self, group: str) -> set[str]:
        return self._presence.group_users(group)

    def rate_windows(self) -> RateWindows:
        return RedisWindows(self._server, self._keys)

    def health(self) -> dict[str, Any]:
        report: dict[str, Any] = {"kind": "redis", "reachable": False}
        reader = self._reader
        if reader is not None:
            report["lagMs"] = int((time.monotonic() - reader.heard) * 1000)
            if not reader.is_connected:
                return report
        try:
            [length] = self._server.call(("XLEN", self._keys.log))
            report["logLength"] = length
            report["workers"] = self._presence.worker_count()
        except BackendError:
            return report
        report["reachable"] = True
        return report

    def check(self) -> Iterable[Finding]:
        return check_server(self._server, self._keys, self._config.backend_url)

    def stop(self) -> None:
        if self._reader is not None:
            self._reader.stop()
        self._presence.stop()
        self._server.close()
