"""A script that publishes from outside of the workers, like Celery or cron.

``python -m benchmarks.script <library> <URL> <how> <prefix> <users> <rate>`` prints
``ready``; a line ``<first number> <events>`` on its standard input makes it publish,
and it says ``done``, again and again until the input ends. ``how`` is ``all``
(broadcasts), ``each`` (one event, one user, in turn) or ``batch`` (one call for all
users); ``rate`` is calls per second, 0 for as fast as they are taken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from benchmarks.process import LOAD_CORE, pin
from benchmarks.wire import marked_body
from flask_sse_push import Publisher

# Sends one body to some users, or to everybody if there are no users.
Send = Callable[[Sequence[str], str], object]


def main() -> None:
    """Publish the events that standard input asks for."""
    library, url, how, prefix, count, rate = sys.argv[1:]
    pin(LOAD_CORE)
    users = [f"{prefix}{number}" for number in range(int(count))]
    send = _flask_sse(url) if library == "flask_sse" else _flask_sse_push(url)
    print("ready", flush=True)
    for line in sys.stdin:
        number, events = map(int, line.split())
        _publish(send, _calls(how, users, number, events), float(rate))
        print("done", flush=True)


def _calls(
    how: str, users: Sequence[str], number: int, events: int
) -> list[tuple[Sequence[str], int]]:
    """The users of each call, and the event's number."""
    if how == "all":
        return [((), number + place) for place in range(events)]
    if how == "batch":
        return [(users, number + place) for place in range(events // len(users))]
    return [
        ([users[place % len(users)]], number + place // len(users))
        for place in range(events)
    ]


def _publish(
    send: Send, calls: Sequence[tuple[Sequence[str], int]], rate: float
) -> None:
    due = time.monotonic_ns()
    for users, number in calls:
        if rate:
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        send(users, marked_body(number, due if rate else time.monotonic_ns()))
        if rate:
            due += int(1e9 / rate)


def _flask_sse_push(url: str) -> Send:
    publisher = Publisher.from_url(url)

    def send(users: Sequence[str], body: str) -> None:
        if users:
            publisher.send_to_users(users, "bench", {"body": body})
        else:
            publisher.broadcast("bench", {"body": body})

    return send


def _flask_sse(url: str) -> Send:
    rival = import_module("benchmarks.flask_sse_app")
    rival.app.config["REDIS_URL"] = url
    rival.app.app_context().push()

    def send(users: Sequence[str], body: str) -> None:
        for channel in users or ["sse"]:
            rival.sse.publish({"body": body}, type="bench", channel=channel)

    return send


if __name__ == "__main__":
    main()
