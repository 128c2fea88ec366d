"""Reads the whole event log, in order, on a separate connection in each process."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ...errors import BackendError
from ...events import CONTROL, START, Event, Position, format_id, read_entry, to_json
from ...runtime.backoff import Backoff
from ...runtime.concurrency import give_way, sleep
from ..backend import Receiver
from .entries import FIELDS, before, decode, encode, position_of
from .keys import Keys
from .retained import RetainedEvents
from .scripts import load_script
from .server import Redirected, Server, Session

_log = logging.getLogger("flask_sse_push")

# The longest wait of one read for entries, in milliseconds. The answer may take that
# much longer than the answer to another command before the connection counts as dead.
_BLOCK_MS = 2_000
# The most entries of one read.
_MOST_ENTRIES = 1_000
# If two answers come within the first time, the reader pauses for the second time, in
# seconds, so that one read gets more entries: a read costs a worker about 70 µs, and
# each entry in it 5 µs.
_BUSY_SECONDS, _GATHER_SECONDS = 0.005, 0.002
# The number of nonces to remember: more than the number of events that are appended
# between a failed append and its retry.
_MOST_NONCES = 20_000
# Seconds between two commands that remove old entries.
_TRIM_SECONDS = 60.0
# The name of the control entry that marks a start: entries before it may be missing.
_MARKER = "start"

_FIND_PLACE = load_script("find_place")

_StreamEntry = tuple[bytes, list[bytes]]


class Nonces:
    """The newest nonces, to recognize an event that was appended twice.

    :param most: the number of nonces to remember; beyond it, the oldest are forgotten.
    """

    def __init__(self, most: int = _MOST_NONCES) -> None:
        self._most = most
        # A plain dict gets slow if its first key is removed again and again.
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_new(self, nonce: str) -> bool:
        """Remember a nonce, and return whether it was not known yet."""
        if not nonce:
            return True
        if nonce in self._known:
            return False
        self._known[nonce] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return True

    def clear(self) -> None:
        """Forget all nonces."""
        self._known.clear()


class LogReader:
    """Hands the entries of the event log to a receiver, in order, until it is stopped.

    :param size: the number of entries that the event log keeps.
    :param seconds: how much older than the newest entry an entry must be before it is
        removed.
    :param marks_unread: as for :meth:`.Event.at`.
    :param on_connected: called each time the reader has connected.
    :param retained: told about retained events, and about entries that may be missing.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        receiver: Receiver,
        *,
        size: int,
        seconds: float,
        marks_unread: bool,
        on_connected: Callable[[], None],
        retained: RetainedEvents,
    ) -> None:
        self._server = server
        self._key = keys.log
        self._receiver = receiver
        self._on_connected = on_connected
        self._retained = retained
        # A read asks for at most as many entries as the log keeps. If entries were
        # removed before they were read, the read therefore returns this number.
        self._most = min(_MOST_ENTRIES, size)
        self._keep_ms = int(seconds * 1000)
        self._marks_unread = marks_unread
        self._position: Position = START
        self._nonces = Nonces()
        self._backoff = Backoff()
        self._session: Session | None = None
        self._is_stopped = False
        self._next_trim = time.monotonic() + _TRIM_SECONDS
        #: Set when the receiver has got the entries that the log held at the start.
        self.ready = threading.Event()
        self.is_connected = False
        #: Whether an attempt to read has failed since the start.
        self.has_failed = False
        #: The time of the server's last answer, on the monotonic clock.
        self.heard = time.monotonic()

    def run(self) -> None:
        """Read until :meth:`stop`. A failure is logged once, and reading is retried."""
        while not self._is_stopped:
            try:
                session = self._session = self._server.open(_BLOCK_MS / 1000)
                try:
                    self._read_all(session)
                finally:
                    self.is_connected = False
                    session.close()
            except BackendError as error:
                self._note(error)
            except Exception:
                self.has_failed = True
                _log.exception(
                    "An unexpected error occurred while reading the event log "
                    "(SSE_PUSH_BACKEND_URL)"
                )
            if not self._is_stopped:
                sleep(self._backoff.take())

    def stop(self) -> None:
        """Stop reading, at once."""
        self._is_stopped = True
        self.is_connected = False
        if self._session is not None:
            self._session.close()

    def _note(self, error: BackendError) -> None:
        is_redirected = isinstance(error, Redirected)
        self.has_failed |= not is_redirected
        is_news = self._backoff.is_first and not is_redirected
        if is_news and not self._is_stopped:
            _log.warning(
                "The event log (SSE_PUSH_BACKEND_URL) cannot be read, trying again: %s",
                error,
            )

    def _read_all(self, session: Session) -> None:
        self._find_place(session)
        if not self._backoff.is_first and self.ready.is_set():
            _log.info("The event log can be read again")
        self._backoff.reset()
        self.is_connected = True
        self._on_connected()
        while not self._is_stopped:
            heard = self.heard
            entries = self._read(session)
            is_full = len(entries) >= self._most
            # Unread entries may have been removed, because this reader is slow or
            # because somebody has deleted the log.
            is_doubtful = is_full or (not entries and self.ready.is_set())
            if is_doubtful and self._find_place(session):
                continue
            for id, fields in entries:
                self._take(id, fields)
            if not is_full:
                self.ready.set()
            else:
                give_way()
            self._trim(session)
            if entries and self.heard - heard < _BUSY_SECONDS:
                sleep(_GATHER_SECONDS)

    def _read(self, session: Session) -> Sequence[tuple[bytes, list[bytes]]]:
        wait = ("BLOCK", _BLOCK_MS) if self.ready.is_set() else ()
        place = ("STREAMS", self._key, format_id(self._position))
        [answer] = session.call(("XREAD", "COUNT", self._most, *wait, *place))
        self.heard = time.monotonic()
        if not answer:
            return ()
        # The answer is a map from keys to entries with RESP3, a list of pairs with
        # RESP2.
        [entries] = (
            answer.values() if isinstance(answer, dict) else [e for _, e in answer]
        )
        return entries  # type: ignore[no-any-return]

    def _find_place(self, session: Session) -> bool:
        """Check whether entries after the last one that was read have been lost.

        :returns: whether they have. Then reading goes on at the oldest entry left.
        """
        marker = Event(
            channel=CONTROL,
            name=_MARKER,
            data=to_json({"start": format_id(self._position)}),
            store=False,
        )
        arguments: list[str | bytes | int] = [*self._position]
        for field in zip(FIELDS, encode(marker), strict=True):
            arguments.extend(field)
        answer = session.run(_FIND_PLACE, [self._key], arguments)
        self.heard = time.monotonic()
        if not answer:
            return False
        id, found = answer
        base = before(position_of(id))
        if base == self._position:
            return False
        if self._position != START:
            _log.warning(
                "The event log has lost entries after %s; clients are told of the gap",
                format_id(self._position),
            )
        self._position = base
        if not _is_marker(id, found):  # a marker restarts the receiver when it is read
            self._restart(base)
        return True

    def _restart(self, base: Position) -> None:
        # An event that was lost and is appended again is not a duplicate.
        self._nonces.clear()
        self._retained.forget()
        self._receiver.restart(base)

    def _take(self, id: bytes, fields: list[bytes]) -> None:
        self._position = position_of(id)
        try:
            position, event = decode(id, fields)
            if _marks_start(event):
                self._restart(position)
            elif self._nonces.is_new(event.nonce):
                if event.retain is not None:
                    self._retained.note()
                self._receiver.deliver(
                    read_entry(event, position, marks_unread=self._marks_unread)
                )
        except ValueError as error:
            _log.warning("Ignoring entry %r of the event log: %s", id, error)

    def _trim(self, session: Session) -> None:
        if time.monotonic() < self._next_trim:
            return
        self._next_trim = time.monotonic() + _TRIM_SECONDS
        # The age is counted from the last entry read, so that entry is never removed.
        oldest = self._position[0] - self._keep_ms
        if oldest > 0:
            session.call(("XTRIM", self._key, "MINID", "~", oldest))


def _marks_start(event: Event) -> bool:
    return event.channel == CONTROL and event.name == _MARKER


def _is_marker(id: bytes, fields: Sequence[bytes]) -> bool:
    try:
        return _marks_start(decode(id, fields)[1])
    except ValueError:
        return False
