"""Reads a stream with Flask's test client, without a server."""

from __future__ import annotations

import codecs
import json
import queue
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from ..events import OPEN
from ..runtime.concurrency import spawn

_OPENING_SECONDS = 5.0
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as a browser would receive it.

    :param data: the decoded JSON; the text itself if it is not JSON.
    :param id: the last event id at that time, which a browser would send to resume.
    :param retry: milliseconds until a browser would reconnect, if the stream said so.
    """

    name: str
    data: Any
    id: str | None
    retry: int | None


class StreamReader:
    """An open stream that is read event by event.

    Comments and ``sse-push-open`` are skipped; the latter sets ``last_event_id``.

    ::

        with StreamReader(app.test_client()) as stream:
            sse.broadcast("maintenance", {"planned": False, "duration": "1 hour"})
            assert stream.next().name == "maintenance"

    The constructor opens the stream: every event that is sent from then on arrives.
    Reading never waits longer than ``timeout``. ``close()``, or the end of a ``with``
    block, closes the connection.

    :param client: a test client, logged in as the user whose stream is opened.
    :param last_event_id: the event id to resume from.
    :param headers: more headers to send.
    :raises AssertionError: the answer is not a stream.
    """

    def __init__(
        self,
        client: FlaskClient,
        path: str = "/sse/stream",
        *,
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        sent = {"Accept": "text/event-stream", **(headers or {})}
        if last_event_id is not None:
            sent["Last-Event-ID"] = last_event_id
        #: What a browser would send to resume, after the events taken so far.
        self.last_event_id: str | None
        #: Flask's test response: status and headers.
        self.response = client.get(path, headers=sent)
        if self.response.mimetype != "text/event-stream":
            body = self.response.get_data(as_text=True)
            self.response.close()
            raise AssertionError(
                f"GET {path} did not return a stream, but {self.response.status}: "
                f"{body[:500]}"
            )
        self._path = path
        self._parser = _Parser()
        self._parser.id = self.last_event_id = last_event_id
        self._events: deque[ReceivedEvent] = deque()
        self._chunks: queue.Queue[bytes | None] = queue.Queue()
        self._is_over = False
        # Iterating over the response blocks, so a separate thread does it.
        spawn(_pass_on, self.response.response, self._chunks)
        # The client has read the first chunk already; it has the cursor of the stream.
        self._pump(_OPENING_SECONDS)
        self.last_event_id = self._parser.opening_id
        if not self._events:
            self.last_event_id = self._parser.id

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def next(self, timeout: float = 2.0) -> ReceivedEvent:
        """The next event.

        :param timeout: seconds to wait for it.
        :raises TimeoutError: no event arrived in that time.
        :raises EOFError: the stream has ended.
        """
        return self.take(1, timeout)[0]

    def take(self, count: int, timeout: float = 2.0) -> list[ReceivedEvent]:
        """The next events.

        :param timeout: seconds to wait for all of them together.
        :raises TimeoutError: fewer events arrived; those can still be taken.
        :raises EOFError: the stream ended before; the events that arrived can still be
            taken.
        """
        end = time.monotonic() + timeout
        while len(self._events) < count:
            if self._is_over:
                raise EOFError(f"{self._path} ended; {self._came(count)}")
            if not self._pump(max(end - time.monotonic(), 0)):
                raise TimeoutError(
                    f"No more events on {self._path} after {timeout} s; "
                    f"{self._came(count)}"
                )
        events = [self._events.popleft() for _ in range(count)]
        self.last_event_id = events[-1].id if self._events else self._parser.id
        return events

    def close(self) -> None:
        """Close the connection, like a browser that leaves the page."""
        self.response.close()

    def _pump(self, timeout: float) -> bool:
        """Wait for a chunk or the end of the stream; return whether one arrived."""
        try:
            chunk = self._chunks.get(timeout=timeout)
        except queue.Empty:
            return False
        if chunk is None:
            self._is_over = True
        else:
            self._events += self._parser.feed(chunk)
        return True

    def _came(self, count: int) -> str:
        names = [event.name for event in self._events]
        return f"of {count} expected events, these arrived: {names}"


def _pass_on(chunks: Iterable[bytes], to: queue.Queue[bytes | None]) -> None:
    try:
        for chunk in chunks:
            to.put(chunk)
    finally:
        to.put(None)


class _Parser:
    """The standard's event stream interpretation (WHATWG HTML, section 9.2.6)."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self.id: str | None = None
        #: The id of the event that the stream opens with.
        self.opening_id: str | None = None
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> Iterator[ReceivedEvent]:
        text = self._rest + self._decode(chunk)
        # A CR at the end may be the first half of a CRLF.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _LINE_END.split(text.removesuffix("\r"))
        self._rest = rest + held
        for line in lines:
            if line:
                self._field(*line.partition(":")[::2])
            else:
                yield from self._dispatch()

    def _field(self, field: str, value: str) -> None:
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self.id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def _dispatch(self) -> Iterator[ReceivedEvent]:
        name, lines = self._name or "message", self._data
        self._name, self._data = "", []
        if name == OPEN:
            self.opening_id = self.opening_id or self.id
        elif lines:
            text = "\n".join(lines)
            try:
                data = json.loads(text)
            except ValueError:
                data = text
            yield ReceivedEvent(name, data, self.id, self.retry)
