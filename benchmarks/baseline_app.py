"""The baseline: a simple generator over a gevent queue for each connection.

Most Flask applications under ``gunicorn -k gevent`` push events in this way. It keeps
no history, sends no heartbeats and has no limit on its queues; all of these would cost
more. The routes are those of ``benchmarks/app.py``.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator

from flask import Flask, Response, request
from gevent.queue import SimpleQueue

app = Flask(__name__)
connections: set[SimpleQueue[bytes]] = set()
by_user: defaultdict[str, set[SimpleQueue[bytes]]] = defaultdict(set)
numbers = itertools.count(1)


def encode(body: str) -> bytes:
    """The event's bytes on the wire, encoded once for all receivers."""
    data = json.dumps({"body": body})
    return f"id: {next(numbers)}\nevent: bench\ndata: {data}\n\n".encode()


@app.get("/events")
def events() -> Response:
    user = request.args.get("user", "")
    queue: SimpleQueue[bytes] = SimpleQueue()
    connections.add(queue)
    by_user[user].add(queue)

    def frames() -> Iterator[bytes]:
        try:
            yield b": connected\n\n"
            while True:
                yield queue.get()
        finally:
            connections.discard(queue)
            by_user[user].discard(queue)
            if not by_user[user]:
                del by_user[user]

    return Response(
        frames(),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


@app.post("/broadcast")
def broadcast() -> tuple[str, int]:
    frame = encode(request.get_data(as_text=True))
    for queue in connections:
        queue.put(frame)
    return "", 204


@app.post("/send/<user>")
def send(user: str) -> tuple[str, int]:
    frame = encode(request.get_data(as_text=True))
    for queue in by_user.get(user, ()):
        queue.put(frame)
    return "", 204


@app.get("/ping")
def ping() -> str:
    return "ok"
