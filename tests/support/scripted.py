"""A web server whose stream sends exactly the bytes that a test chooses.

It can misbehave: statuses that end an EventSource, repeated ids, events without an id,
a stream that breaks off.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_STEP_SECONDS = 20.0


@dataclass
class Request:
    """A request for the stream, or an acknowledgement."""

    method: str
    query: dict[str, list[str]]
    headers: Message
    body: Any = None

    @property
    def last_event_id(self) -> str | None:
        """The header of that name."""
        return self.headers.get("Last-Event-ID")


@dataclass
class Answer:
    """The answer to one request for the stream.

    :param body: sent at once; then the stream stays open, unless ``ends``.
    """

    body: str = ""
    status: int = 200
    ends: bool = False
    more: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def send(self, text: str) -> None:
        """Send more on the open stream."""
        self.more.put(text)

    def end(self) -> None:
        """End the open stream."""
        self.more.put(None)


class ScriptedServer:
    """Serves files, ``/sse/stream`` and ``/sse/ack``; any other POST gets a text.

    Each request for the stream takes the next of the ``answers``; HEAD gets the status
    of the last one taken.

    :param files: path to text, served as JavaScript; ``/`` is an empty page.
    :param port: 0 for any.
    """

    def __init__(self, files: Mapping[str, str], *, port: int = 0) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        self.acknowledged: queue.Queue[Request] = queue.Queue()
        #: The statuses of the next acknowledgements; then 200.
        self.acknowledge_statuses: deque[int] = deque()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._given: list[Answer] = []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", port), _handler(self, dict(files))
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(
        self, body: str = "", *, status: int = 200, ends: bool = False
    ) -> Answer:
        """Set the answer to the next request for the stream."""
        answer = Answer(body, status, ends)
        self._answers.put(answer)
        return answer

    def next_request(self) -> Request:
        """Wait for the next request for the stream, and return it."""
        return self.requests.get(timeout=_STEP_SECONDS)

    def next_acknowledgement(self) -> Request:
        """Wait for the next acknowledgement, and return it."""
        return self.acknowledged.get(timeout=_STEP_SECONDS)

    def take_answer(self) -> Answer:
        """Take the next answer; without one, an open stream that sends nothing."""
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            answer = Answer()
        self._given.append(answer)
        return answer

    def last_status(self) -> int:
        """The status of the last answer given."""
        return self._given[-1].status if self._given else 200

    def close(self) -> None:
        """End every stream and the server."""
        for answer in self._given:
            answer.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_STEP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _handler(
    script: ScriptedServer, files: dict[str, str]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/sse/stream":
                self._note()
                self._stream(script.take_answer())
            elif url.path in files:
                self._text(files[url.path], "text/javascript")
            else:
                self._text("<!doctype html><title>test</title>", "text/html")

        def do_HEAD(self) -> None:
            self._note()
            self.send_response(script.last_status())
            self.end_headers()

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            if urlsplit(self.path).path != "/sse/ack":
                self._text("token", "text/plain")
                return
            script.acknowledged.put(self._request(json.loads(text)))
            statuses = script.acknowledge_statuses
            self.send_response(statuses.popleft() if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _note(self) -> None:
            script.requests.put(self._request())

        def _request(self, body: Any = None) -> Request:
            query = parse_qs(urlsplit(self.path).query)
            return Request(self.command, query, self.headers, body)

        def _text(self, text: str, mimetype: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{mimetype}; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def _stream(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            # Chromium does not report the stream as open before a byte of the body.
            self.wfile.write((answer.body or ":\n\n").encode())
            if answer.ends or answer.status != 200:
                return
            while (text := answer.more.get()) is not None:
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
