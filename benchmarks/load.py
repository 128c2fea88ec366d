"""The load client: many open streams in one loop, each event checked per connection.

One system call and one dictionary look-up per delivery: connections that got the same
bytes share one decoding. While nothing arrives, the loop sleeps instead of blocking in
``epoll_wait``, because waking a blocked client would cost the server CPU at each send.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.requests import RequestConnection
from benchmarks.wire import Mark, ProtocolError, decode, parse_head

NAP_SECONDS = 0.0002
IN_FLIGHT = 64

# Each phase uses its own range of numbers, so that a late event is noticed.
_SPAN = 100_000
_BATCH = 32
_RECEIVE_BYTES = 16384
_CACHED = 4096
# The kernel chooses the port at connect(), by the whole 4-tuple (Linux, ip(7)).
_IP_BIND_ADDRESS_NO_PORT = 24
_PORTS_PER_ADDRESS = 10_000

# First and last number, how many, and all the marks; first is 0 unless the numbers
# follow one another.
_Batch = tuple[int, int, int, tuple[Mark, ...]]
_NOTHING: _Batch = (0, 0, 0, ())


@dataclass
class Tally:
    """Counts of the events of one phase, over all connections."""

    expected: int = 0
    received: int = 0
    doubled: int = 0
    reordered: int = 0
    stray: int = 0
    hung_up: int = 0

    @property
    def lost(self) -> int:
        """Deliveries that did not arrive."""
        return self.expected - self.received

    @property
    def faults(self) -> int:
        """The sum of all counts that should be zero."""
        wrong = self.doubled + self.reordered + self.stray + self.hung_up
        return self.lost + wrong


class Connection:
    """One stream. ``rest`` is None until the response's head is complete."""

    __slots__ = ("head", "missing", "next", "recv", "rest", "sock")

    def __init__(self, sock: socket.socket, first: int) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.head = b""
        self.rest: bytes | None = None
        self.next = first
        self.missing: set[int] | None = None


@dataclass
class Timer:
    """Calls ``action`` with the due time, ``left`` times, ``interval_ns`` apart."""

    interval_ns: int
    left: int
    action: Callable[[int], None]
    due_ns: int = field(default_factory=time.monotonic_ns)

    def run(self, now_ns: int) -> None:
        """Call what is due, late calls included."""
        while self.left and now_ns >= self.due_ns:
            self.left -= 1
            self.action(self.due_ns)
            self.due_ns += self.interval_ns


class LoadClient:
    """Opens streams on one server and checks what they receive.

    :param port: the server's, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams = select.epoll()
        self._control = select.epoll()
        self._requests: dict[int, RequestConnection] = {}
        self._by_fd: dict[int, Connection] = {}
        self._cache: dict[bytes, _Batch] = {}
        self._chunked = False
        self._opened_ever = 0
        self.connections: list[Connection] = []
        self.opened = 0
        self.ended = 0
        self.ends_expected = False
        self.base = 0
        self.tally = Tally()
        self.latencies_ns: list[int] | None = None
        self.busy_ns = 0

    # Connections

    def open(
        self,
        requests: Sequence[bytes],
        *,
        seconds: float = 60.0,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        """Open one connection per request and wait for the heads of the responses.

        :param seconds: bound on the whole.
        :param in_flight: connections that may wait for their head at a time.
        :raises ProtocolError: the time passed, or a response has not status 200.
        """
        deadline = time.monotonic() + seconds
        goal = self.opened + len(requests)
        started = self.opened
        for request in requests:
            self._start(request)
            started += 1
            while started - self.opened >= in_flight:
                if not self._turn(NAP_SECONDS) and time.monotonic() > deadline:
                    raise ProtocolError(f"{self.opened} of {goal} streams opened")
        if not self.run(
            lambda: self.opened >= goal, seconds=deadline - time.monotonic()
        ):
            raise ProtocolError(f"{self.opened} of {goal} streams opened")

    def close(self, keep: int = 0) -> None:
        """Close all connections except the first ``keep``."""
        for connection in self.connections[keep:]:
            self._by_fd.pop(connection.sock.fileno(), None)
            connection.sock.close()
        del self.connections[keep:]

    def shut(self) -> None:
        """Close everything; the client cannot be used afterwards."""
        self.close()
        for requests in self._requests.values():
            requests.close()
        self._streams.close()
        self._control.close()

    def add_requests(self) -> RequestConnection:
        """A keep-alive connection whose answers this client's loop reads."""
        connection = RequestConnection(self._port)
        fd = connection.socket.fileno()
        self._requests[fd] = connection
        self._control.register(fd, select.EPOLLIN)
        return connection

    def drop_requests(self, connection: RequestConnection) -> None:
        """Close a connection that :meth:`add_requests` made."""
        del self._requests[connection.socket.fileno()]
        connection.close()

    def _start(self, request: bytes) -> None:
        sock = socket.socket()
        sock.settimeout(10)
        address = self._opened_ever // _PORTS_PER_ADDRESS
        self._opened_ever += 1
        if address:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.0.{1 + address % 250}", 0))
        sock.connect(("127.0.0.1", self._port))
        sock.sendall(request)
        sock.setblocking(False)
        connection = Connection(sock, self.base + 1)
        self.connections.append(connection)
        self._by_fd[sock.fileno()] = connection
        self._streams.register(sock.fileno(), select.EPOLLIN)

    # Phases

    def begin(self) -> None:
        """Start a phase: a fresh tally and fresh numbers on every connection."""
        self.base += _SPAN
        self.tally = Tally()
        self.busy_ns = 0
        self._cache.clear()
        for connection in self.connections:
            connection.next = self.base + 1
            connection.missing = None

    @property
    def complete(self) -> bool:
        """Whether every delivery expected in this phase has arrived."""
        return self.tally.received >= self.tally.expected

    def run(
        self,
        done: Callable[[], bool],
        *,
        seconds: float,
        timers: Sequence[Timer] = (),
        nap: float = NAP_SECONDS,
    ) -> bool:
        """Run the loop until ``done()``; return whether it was done within ``seconds``.

        :param timers: called from the loop when due.
        :param nap: seconds to sleep when nothing has arrived; 0 spins, which takes
            the nap out of a latency.
        """
        deadline = time.monotonic() + seconds
        while not done():
            now = time.monotonic_ns()
            for timer in timers:
                timer.run(now)
            if not self._turn(nap) and time.monotonic() > deadline:
                return False
        return True

    def _turn(self, nap: float) -> bool:
        busy = False
        if self._requests:
            for fd, _ in self._control.poll(0):
                self._requests[fd].receive()
                busy = True
        # A small batch, so that answers to requests are timed soon after they arrive.
        if ready := self._streams.poll(0, _BATCH):
            started = time.monotonic_ns()
            self._receive(ready)
            self.busy_ns += time.monotonic_ns() - started
            return True
        if not busy and nap:
            time.sleep(nap)
        return busy

    def _receive(self, ready: list[tuple[int, int]]) -> None:
        by_fd, cache, latencies = self._by_fd, self._cache, self.latencies_ns
        received = 0
        for fd, _ in ready:
            connection = by_fd[fd]
            try:
                data = connection.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                self._end(fd, connection)
                continue
            batch = cache.get(data) if connection.rest == b"" else None
            if batch is None:
                batch = self._decode(connection, data)
            first, last, count, marks = batch
            if first == connection.next:
                connection.next = last + 1
                received += count
            elif count:
                self._irregular(connection, marks)
            if latencies is not None:
                now = time.monotonic_ns()
                latencies.extend(now - stamp for _, stamp in marks)
        self.tally.received += received

    def _decode(self, connection: Connection, data: bytes) -> _Batch:
        cachable = connection.rest == b""
        if connection.rest is None:
            data = connection.head + data
            head = parse_head(data)
            if head is None:
                connection.head = data
                return _NOTHING
            if head.status != 200:
                raise ProtocolError(f"a stream was refused: {data[:300]!r}")
            self._chunked = head.chunked
            self.opened += 1
            connection.head = connection.rest = b""
            data = data[head.size :]
        marks, rest = decode(connection.rest + data, chunked=self._chunked)
        connection.rest = rest
        batch = _batch(marks)
        if cachable and not rest and len(self._cache) < _CACHED:
            self._cache[data] = batch
        return batch

    def _irregular(self, connection: Connection, marks: tuple[Mark, ...]) -> None:
        tally = self.tally
        for number, _ in marks:
            if number <= self.base:
                tally.stray += 1
            elif number >= connection.next:
                if number > connection.next:
                    missing = connection.missing or set()
                    missing.update(range(connection.next, number))
                    connection.missing = missing
                connection.next = number + 1
                tally.received += 1
            elif connection.missing and number in connection.missing:
                connection.missing.discard(number)
                tally.reordered += 1
                tally.received += 1
            else:
                tally.doubled += 1

    def _end(self, fd: int, connection: Connection) -> None:
        with contextlib.suppress(KeyError):
            del self._by_fd[fd]
        connection.sock.close()
        self.ended += 1
        if not self.ends_expected:
            self.tally.hung_up += 1


def _batch(marks: tuple[Mark, ...]) -> _Batch:
    numbers = [number for number, _ in marks]
    if not numbers:
        return 0, 0, 0, marks
    first, last = numbers[0], numbers[-1]
    follow = numbers == list(range(first, last + 1))
    return first if follow else 0, last, len(numbers), marks
