"""Many reconnecting clients in one process, which check the events they receive.

Started with a port and the number of clients. Reads commands from standard input, a
line each: ``drop`` cuts a fifth of the connections; ``finish`` and the JSON of the
totals (channel to number of events) waits for all of them and prints the findings.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import random
import selectors
import socket
import sys
import time
from typing import Any

# Seconds that the last events may take to arrive once everything works again.
PATIENCE = 25


class Client:
    """One stream, which reconnects and resumes whenever it ends."""

    def __init__(self, crowd: Crowd, user: str) -> None:
        self.crowd = crowd
        self.user = user
        self.cursor = ""
        self.retry = 0.2
        self.socket: socket.socket | None = None
        self.buffer = b""
        self.is_open = False
        self.ids: set[str] = set()
        self.numbers: dict[str, list[int]] = collections.defaultdict(list)

    def connect(self) -> None:
        self.buffer, self.is_open = b"", False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", self.crowd.port))
        self.crowd.selector.register(self.socket, selectors.EVENT_WRITE, self)

    def on_ready(self) -> None:
        if self.socket is None:  # just dropped
            return
        try:
            if not self.is_open:
                lines = [f"GET /stream?user={self.user} HTTP/1.1", "Host: x"]
                if self.cursor:
                    lines.append(f"Last-Event-ID: {self.cursor}")
                self.socket.send("\r\n".join([*lines, "", ""]).encode())
                self.is_open = True
                self.crowd.selector.modify(self.socket, selectors.EVENT_READ, self)
                return
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.buffer += data
        *blocks, self.buffer = self.buffer.split(b"\n\n")
        for block in blocks:
            self.dispatch(block)

    def close(self) -> None:
        if self.socket is not None:
            self.crowd.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None
            self.crowd.later(self.retry * random.uniform(0.5, 1.5), self)

    def dispatch(self, block: bytes) -> None:
        name, data, id = "", "", None
        for line in block.decode().splitlines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif field == "id":
                id = value
            elif field == "retry":
                self.retry = int(value) / 1000
        if id is not None:
            self.cursor = id
        if name == "sse-push-gap":
            self.crowd.gaps += 1
        elif name == "n":
            assert id is not None
            if id in self.ids:
                self.crowd.repeats += 1
                return
            self.ids.add(id)
            payload = json.loads(data)
            self.numbers[payload["channel"]].append(payload["n"])
            self.crowd.received += 1


class Crowd:
    """All clients and their event loop."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.waiting: list[tuple[float, Client]] = []
        self.gaps = self.repeats = self.received = self.connects = 0
        self.clients = [Client(self, f"u{number}") for number in range(count)]
        for client in self.clients:
            self.later(random.uniform(0, 1), client)

    def later(self, seconds: float, client: Client) -> None:
        self.waiting.append((time.monotonic() + seconds, client))

    def turn(self) -> None:
        now = time.monotonic()
        due = [client for when, client in self.waiting if when <= now]
        self.waiting = [item for item in self.waiting if item[0] > now]
        for client in due:
            self.connects += 1
            client.connect()
        for key, _ in self.selector.select(0.02):
            if key.data is None:
                self.obey(os.read(0, 65_536).decode())
            else:
                key.data.on_ready()

    def obey(self, text: str) -> None:
        for line in text.splitlines():
            command, _, rest = line.partition(" ")
            if command == "drop":
                for client in random.sample(self.clients, len(self.clients) // 5):
                    client.close()
            elif command == "finish":
                self.finish(json.loads(rest))
            elif not command:
                sys.exit("the test is gone")

    def finish(self, totals: dict[str, int]) -> None:
        end = time.monotonic() + PATIENCE
        expected = {
            client: {c: totals.get(c, 0) for c in ("all", "web", client.user)}
            for client in self.clients
        }
        while time.monotonic() < end and any(
            len(set(client.numbers[channel])) < total
            for client, channels in expected.items()
            for channel, total in channels.items()
        ):
            self.turn()
        findings: dict[str, Any] = dict.fromkeys(("lost", "disordered", "doubled"), 0)
        for client, channels in expected.items():
            for channel, total in channels.items():
                numbers = client.numbers[channel]
                findings["lost"] += total - len(set(numbers) & set(range(total)))
                findings["doubled"] += len(numbers) - len(set(numbers))
                findings["disordered"] += sum(
                    b < a for a, b in itertools.pairwise(numbers)
                )
        findings.update(
            gaps=self.gaps,
            repeats=self.repeats,
            received=self.received,
            connects=self.connects,
        )
        sys.stdout.write(json.dumps(findings) + "\n")
        sys.stdout.flush()
        sys.exit(0)

    def run(self) -> None:
        while not all(client.cursor for client in self.clients):
            self.turn()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        self.selector.register(0, selectors.EVENT_READ, None)
        while True:
            self.turn()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        Crowd(int(sys.argv[1]), int(sys.argv[2])).run()
