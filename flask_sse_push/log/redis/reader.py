"""Reading the log: each process reads all of it, in order, on its own connection."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from ...events import CONTROL, START, Position, format_id, read_entry, to_json
from ...runtime.backoff import Backoff
from ...runtime.concurrency import give_way, sleep
from ..backend import Receiver
from .entries import before, decode, position_of
from .keys import Keys
from .retained import RetainedEvents
from .server import Connection, Script, Server, redirection

_log = logging.getLogger("flask_sse_push")

# Milliseconds a read waits for entries. A connection that is dead without a word is
# given up that much later than a command's would be.
_BLOCK_MS = 2_000
# Entries in one read.
_MOST_ENTRIES = 1_000
# Where answers follow each other that quickly, the next waits so long for more to come:
# a read costs a worker some 70 µs, an entry in it 5.
_BUSY_SECONDS, _GATHER_SECONDS = 0.005, 0.002
# Nonces remembered: more than other publishers append between two tries of one.
_MOST_NONCES = 20_000
# Seconds between two looks for entries that are too old.
_TRIM_SECONDS = 60.0
# The name of the control entry before which nothing is known.
_MARKER = "start"

# KEYS: the log. ARGV: the last position read, as milliseconds and number, and the
# marker's data. Answers nothing when the entry at the position is still there: all
# after it is, too. Else the first entry after it, which is a marker made now where
# there is none. Whoever comes second finds the marker of the first. A marker leaves
# room for a position between itself and the last one read.
_FIND_PLACE = Script("""
local at = ARGV[1] .. "-" .. ARGV[2]
if #redis.call("XRANGE", KEYS[1], at, at) > 0 then return {} end
local after = redis.call("XRANGE", KEYS[1], "(" .. at, "+", "COUNT", 1)
if after[1] then return after[1] end
local fields = {"c", "control", "e", "start", "d", ARGV[3], "n", "", "s", "0", "k", ""}
local now = redis.call("TIME")
local id = "*"
if now[1] * 1000 + now[2] / 1000 <= ARGV[1] + 1 then
  id = string.format("%.0f-1", ARGV[1] + 1)
end
local made = redis.pcall("XADD", KEYS[1], id, unpack(fields))
if type(made) == "table" then
  made = redis.call("XADD", KEYS[1], "*", unpack(fields))
end
return {made, fields}
""")


_StreamEntry = tuple[bytes, list[bytes]]


class Nonces:
    """The nonces of late; the oldest are forgotten."""

    def __init__(self, most: int = _MOST_NONCES) -> None:
        self._most = most
        # A plain dict gets slow where the first of many goes time and again.
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_new(self, nonce: str) -> bool:
        """Whether a nonce was not seen before; now it was."""
        if not nonce:
            return True
        if nonce in self._known:
            return False
        self._known[nonce] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return True

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


class LogReader:
    """Hands the log to a receiver, in order, for as long as it is not stopped.

    :param seconds: age from which entries may be trimmed, counted from the newest.
    :param on_connected: called each time it has connected.
    :param retained: told where events are retained and where some may be missing.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        receiver: Receiver,
        *,
        size: int,
        seconds: float,
        on_connected: Callable[[], None],
        retained: RetainedEvents,
    ) -> None:
        self._server = server
        self._key = keys.log
        self._receiver = receiver
        self._on_connected = on_connected
        self._retained = retained
        # As long as no more is asked for than the log keeps, a read that overtook the
        # trimming is a full one.
        self._most = min(_MOST_ENTRIES, size)
        self._keep_ms = int(seconds * 1000)
        self._position: Position = START
        self._nonces = Nonces()
        self._backoff = Backoff()
        self._connection: Connection | None = None
        self._is_stopped = False
        self._next_trim = time.monotonic() + _TRIM_SECONDS
        #: Set when the receiver has what the log held at the start.
        self.ready = threading.Event()
        self.is_connected = False
        #: When the server was last heard, on the monotonic clock.
        self.heard = time.monotonic()

    def run(self) -> None:
        """Read until :meth:`stop`; what goes wrong is logged once and tried again."""
        while not self._is_stopped:
            try:
                self._connection = self._server.open(_BLOCK_MS / 1000)
                self._read_all(self._connection)
            except (RedisError, OSError) as error:
                self._server.follow(error)
                self._note(error)
            except Exception:
                _log.exception("Reading the log failed")
            self._let_go()
            if not self._is_stopped:
                sleep(self._backoff.take())

    def stop(self) -> None:
        """Stop reading, at once."""
        self._is_stopped = True
        self._let_go()

    def _let_go(self) -> None:
        self.is_connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _note(self, error: Exception) -> None:
        is_news = self._backoff.is_first and redirection(error) is None
        if is_news and not self._is_stopped:
            text = self._server.translate(error)
            _log.warning("The log cannot be read; trying on: %s", text)

    def _read_all(self, connection: Connection) -> None:
        self._find_place(connection)
        if not self._backoff.is_first and self.ready.is_set():
            _log.info("The log can be read again")
        self._backoff.reset()
        self.is_connected = True
        self._on_connected()
        while not self._is_stopped:
            heard = self.heard
            entries = self._read(connection)
            is_full = len(entries) >= self._most
            # Trimmed while it lagged, or emptied by somebody?
            is_doubtful = is_full or (not entries and self.ready.is_set())
            if is_doubtful and self._find_place(connection):
                continue
            for id, fields in entries:
                self._take(id, fields)
            if not is_full:
                self.ready.set()
            else:
                give_way()
            self._trim(connection)
            if entries and self.heard - heard < _BUSY_SECONDS:
                sleep(_GATHER_SECONDS)

    def _read(self, connection: Connection) -> Sequence[tuple[bytes, list[bytes]]]:
        wait = ("BLOCK", _BLOCK_MS) if self.ready.is_set() else ()
        answer = _ask(
            connection,
            "XREAD",
            "COUNT",
            self._most,
            *wait,
            "STREAMS",
            self._key,
            format_id(self._position),
        )
        self.heard = time.monotonic()
        if not answer:
            return ()
        # RESP3 has a map from keys to entries, RESP2 a list of pairs.
        [entries] = (
            answer.values() if isinstance(answer, dict) else [e for _, e in answer]
        )
        return entries  # type: ignore[no-any-return]

    def _find_place(self, connection: Connection) -> bool:
        """Make sure that nothing between here and the next entry has been lost.

        :returns: whether it has; reading goes on at what there is.
        """
        marker = to_json({"start": format_id(self._position)})
        rest = (1, self._key, *self._position, marker)
        try:
            answer = _ask(connection, "EVALSHA", _FIND_PLACE.digest, *rest)
        except NoScriptError:
            answer = _ask(connection, "EVAL", _FIND_PLACE.text, *rest)
        self.heard = time.monotonic()
        if not answer:
            return False
        id, fields = answer
        base = before(position_of(id))
        if base == self._position:
            return False
        if self._position != START:
            _log.warning(
                "Entries of the log after %s are lost; clients are told of the gap",
                format_id(self._position),
            )
        self._position = base
        if not _is_marker(fields):  # which is about to be read, and says the same
            self._restart(base)
        return True

    def _restart(self, base: Position) -> None:
        # A retry of what was lost is no repeat.
        self._nonces.clear()
        self._retained.forget()
        self._receiver.restart(base)

    def _take(self, id: bytes, fields: list[bytes]) -> None:
        self._position = position_of(id)
        try:
            position, event = decode(id, fields)
            if event.channel == CONTROL and event.name == _MARKER:
                self._restart(position)
            elif self._nonces.is_new(event.nonce):
                if event.retain is not None:
                    self._retained.note()
                self._receiver.deliver(read_entry(event, position))
        except ValueError as error:
            _log.warning("Entry %r of the event log is no event: %s", id, error)

    def _trim(self, connection: Connection) -> None:
        if time.monotonic() < self._next_trim:
            return
        self._next_trim = time.monotonic() + _TRIM_SECONDS
        # By the log's own clock, and never the entry this reader stands on.
        oldest = self._position[0] - self._keep_ms
        if oldest > 0:
            _ask(connection, "XTRIM", self._key, "MINID", "~", oldest)


def _ask(connection: Connection, *command: str | bytes | int | float) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _is_marker(fields: Sequence[bytes]) -> bool:
    texts = dict(zip(fields[::2], fields[1::2], strict=False))
    return texts.get(b"c") == CONTROL.encode() and texts.get(b"e") == _MARKER.encode()
