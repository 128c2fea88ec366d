"""The application that the server tests run."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, after_this_request, jsonify, request
from gevent.monkey import get_original
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.wsgi import ClosingIterator

from flask_sse_push import SSEPush, signals

sse = SSEPush()
closed: list[str] = []


@sse.user_loader
def load_user() -> str | None:
    return request.args.get("user")


@sse.groups_loader
def load_groups(user_id: str) -> list[str]:
    groups = ["even"] if int(user_id) % 2 == 0 else ["odd"]
    # The database is changed just after it was read.
    if user_id.startswith("91"):
        sse.join(user_id, "club")
    elif user_id.startswith("92"):
        groups.append("club")
        sse.leave(user_id, "club")
    return groups


@sse.authorizer
def may_open(user_id: str | None) -> bool:
    return user_id != "666"


def environment_config() -> dict[str, Any]:
    """The ``SSE_PUSH_*`` environment variables, whose values are JSON or text."""
    config: dict[str, Any] = {}
    for name, text in os.environ.items():
        if name.startswith("SSE_PUSH_"):
            try:
                config[name] = json.loads(text)
            except ValueError:
                config[name] = text
    return config


def create_app() -> Flask:
    """Make it, configured by ``SSE_PUSH_*`` environment variables with JSON values."""
    app = Flask(__name__)
    if level := os.environ.get("TEST_LOG_LEVEL"):
        logging.basicConfig(level=level)
    app.config.update(environment_config())
    sse.init_app(app)

    if path := os.environ.get("PRESENCE_FILE"):
        note_presence(app, path)

    @app.post("/send")
    def send() -> Response:
        return jsonify(id=send_to(**request.get_json()))

    @app.post("/flood")
    def flood() -> Response:
        """Send ``count`` numbered events from ``start``: own, group, all, in turn."""
        order = request.get_json()
        user, start = order["user"], order["start"]
        targets = (f"user:{user}", "group:" + load_groups(user)[0], "all")
        for number in range(start, start + order["count"]):
            send_to(targets[number % 3], "n", {"n": number})
        return jsonify(done=True)

    @app.post("/burst/<user>/<int:count>")
    def burst(user: str, count: int) -> Response:
        """Send one user this many numbered events in one request."""
        for number in range(count):
            sse.send_to_user(user, "n", {"n": number, "text": "x" * 100})
        return jsonify(done=True)

    @app.post("/remove/<user>")
    def remove(user: str) -> Response:
        sse.remove_client(user)
        return jsonify(done=True)

    @app.post("/groups/<user>/<group>")
    def change_group(user: str, group: str) -> Response:
        """Have a user join and leave a group, and tell the group before and between."""
        count = request.get_json()["count"]
        for number in range(count):
            sse.send_to_group(group, "n", {"n": f"out {number}"})
            sse.join(user, group)
            sse.send_to_group(group, "n", {"n": f"in {number}"})
            sse.leave(user, group)
        return jsonify(done=True)

    @app.get("/own")
    def own() -> Response:
        """A stream in a route of the application, with cookies, headers and hooks."""
        response = sse.stream_response("7", groups=["vip"])
        response.set_cookie("seen", "yes")
        response.call_on_close(lambda: closed.append("own"))

        @after_this_request
        def add_header(response: Response) -> Response:
            response.headers["X-Late"] = "added"
            return response

        return response

    @app.get("/headers")
    def headers() -> Response:
        """A stream with the query's ``name=value`` pairs as headers."""
        response = sse.stream_response("7")
        for name, value in request.args.items():
            response.headers[name] = value
        return response

    @app.get("/fork")
    def fork() -> Response:
        """Start a child process that inherits all open files of this process."""
        sleep = get_original("time", "sleep")
        pid = os.fork()
        if not pid:
            sleep(30)
            os._exit(0)
        return jsonify(pid=pid)

    @app.get("/replaced")
    def replaced() -> str:
        """A stream response that is made but never sent."""
        sse.stream_response("7")
        return "something else"

    @app.get("/page")
    def page() -> str:
        return "<script>new EventSource('/sse/stream')</script>"

    @app.get("/state")
    def state() -> dict[str, Any]:
        return {
            "count": sse.get_client_count(),
            "users": sorted(sse.get_connected_users()),
            "even": sorted(sse.get_group_users("even")),
            "closed": closed,
            "threads": threading.active_count(),
            "health": sse.health(),
        }

    @app.get("/ping")
    def ping() -> str:
        return "ok"

    return app


def note_presence(app: Flask, path: str) -> None:
    """Write a line to a file for each signal about a user, in whichever worker."""

    def note(text: str) -> None:
        with Path(path).open("a") as file:
            file.write(f"{text} {os.getpid()}\n")

    signals.user_online.connect(
        lambda app, user_id: note(f"online {user_id}"), app, weak=False
    )
    signals.user_offline.connect(
        lambda app, user_id: note(f"offline {user_id}"), app, weak=False
    )


def send_to(channel: str, event: str, data: Any, **options: Any) -> str | None:
    """Send to a channel, with the verb for its kind."""
    kind, _, name = channel.partition(":")
    if kind == "user":
        return sse.send_to_user(name, event, data, **options).id
    if kind == "group":
        return sse.send_to_group(name, event, data, **options).id
    return sse.broadcast(event, data, **options).id


app = create_app()


def replacing(environ: Any, start_response: Any) -> Any:
    """The application behind middleware that answers every stream with something else.

    Flask's own answer is closed, and never written.
    """
    if environ["PATH_INFO"] == "/sse/stream":
        ClosingIterator(app(environ, _ignore)).close()
        start_response("200 OK", [("Content-Length", "8")])
        return [b"replaced"]
    return app(environ, start_response)


def _ignore(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
    """Take the head of an answer that is not sent."""


#: The application behind middleware that reads the whole body before it answers.
profiled = ProfilerMiddleware(app, stream=io.StringIO())


def wrapped(environ: Any, start_response: Any) -> Any:
    """The application with what monitoring and middleware wrap around it."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        return start_response(status, [*headers, ("X-Wrapped", "yes")], *error)

    return ClosingIterator(app(environ, start))
