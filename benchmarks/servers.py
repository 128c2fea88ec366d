"""The measured servers: how to start, query and publish to each."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from benchmarks.process import ROOT, Process, StartError
from benchmarks.requests import RequestConnection, request_bytes

HERE = Path(__file__).resolve().parent
NCHAN_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"),
)
HISTORY_EVENTS = 256
MOST_CONNECTIONS = 20_000


class Publisher(Protocol):
    """Sends events; ``outstanding`` counts those the server has not accepted yet."""

    @property
    def outstanding(self) -> int:
        """Events sent and not yet answered."""

    def broadcast(self, body: str) -> None:
        """Send one event to everybody."""

    def send(self, user: str, body: str) -> None:
        """Send one event to one user."""


class Server:
    """A server that can be measured.

    ``views`` says whether it answers ``/ping`` and sends to single users.
    """

    name = ""
    title = ""
    views = True

    def __init__(self) -> None:
        self.process: Process | None = None
        self.port = 0

    def unavailable(self) -> str | None:
        """The reason why it cannot run on this machine, or ``None``."""
        return None

    def start(self, directory: Path) -> None:
        """Start it; files it needs go to ``directory``.

        :raises StartError: it did not start.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it, by its own process ids."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    @property
    def running(self) -> Process:
        """The started process."""
        if self.process is None:
            raise StartError(f"{self.name} is not running")
        return self.process

    def stream_request(self, user: str) -> bytes:
        """The request that opens a stream for ``user``."""
        return request_bytes(
            "GET", f"/events?user={user}", headers={"Accept": "text/event-stream"}
        )

    def publish_request(self, path: str, body: str) -> bytes:
        """The request that publishes ``body``."""
        return request_bytes("POST", path, body)

    def publisher(self, connection: RequestConnection | None) -> Publisher:
        """A publisher that uses ``connection``."""
        if connection is None:
            raise StartError(f"{self.name} is published to over HTTP")
        return HTTPPublisher(self, connection)


class HTTPPublisher:
    """Publishes with POST requests over one keep-alive connection."""

    def __init__(self, server: Server, connection: RequestConnection) -> None:
        self._server = server
        self._connection = connection

    @property
    def outstanding(self) -> int:
        """Requests not yet answered."""
        return self._connection.outstanding

    def broadcast(self, body: str) -> None:
        """POST /broadcast."""
        self._connection.send(self._server.publish_request("/broadcast", body))

    def send(self, user: str, body: str) -> None:
        """POST /send/<user>."""
        self._connection.send(self._server.publish_request(f"/send/{user}", body))


class Gunicorn(Server):
    """A Flask application of this directory under gunicorn's gevent worker."""

    def __init__(self, name: str, title: str, module: str) -> None:
        super().__init__()
        self.name = name
        self.title = title
        self._module = module

    def start(self, directory: Path) -> None:
        """``gunicorn -k gevent -w 1`` on a free port."""
        self.process = Process(
            [
                *(sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1"),
                *("--worker-connections", str(MOST_CONNECTIONS)),
                *("--bind", "127.0.0.1:0", "--keep-alive", "3600"),
                *("-c", "benchmarks/gunicorn_conf.py", "--graceful-timeout", "2"),
                f"benchmarks.{self._module}:app",
            ],
            environment={
                "SSE_PUSH_HISTORY_SIZE": str(HISTORY_EVENTS),
                "SSE_PUSH_MAX_CONNECTIONS": str(MOST_CONNECTIONS),
                "SSE_PUSH_MAX_CONNECTIONS_PER_USER": "1000",
            },
        )
        found = self.process.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")
        self.port = int(found[1])
        self.process.wait_for("Booting worker")


class Nchan(Server):
    """nginx with its push module: one worker, a channel for each user and for all."""

    name = "nchan"
    title = "nchan (nginx)"

    def unavailable(self) -> str | None:
        """Whether nginx or the module is missing."""
        if shutil.which("nginx", path=_system_path()) is None:
            return "nginx is not installed (Debian: nginx-light)"
        if not any(module.exists() for module in NCHAN_MODULES):
            return "the module is not installed (Debian: libnginx-mod-nchan)"
        return None

    def start(self, directory: Path) -> None:
        """nginx with its own configuration, independent of the system's nginx."""
        module = next(module for module in NCHAN_MODULES if module.exists())
        self.port = _free_port()
        temporary = " ".join(
            f"{kind}_temp_path {directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        buffer = (
            f"nchan_message_buffer_length {HISTORY_EVENTS}; nchan_message_timeout 5m;"
        )
        configuration = directory / "nginx.conf"
        configuration.write_text(
            f"""\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr notice;
load_module {module};
# nginx ends idle keep-alive connections when few of these are left.
events {{ worker_connections {2 * MOST_CONNECTIONS}; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  keepalive_timeout 1h;
  nchan_shared_memory_size 512M;
  {temporary}
  server {{
    listen 127.0.0.1:{self.port} backlog=2048;
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id "user_$arg_user" "all";
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 15;
    }}
    location = /broadcast {{ nchan_publisher; nchan_channel_id all; {buffer} }}
    location ~ ^/send/(.+)$ {{
      nchan_publisher; nchan_channel_id "user_$1"; {buffer}
    }}
    location = /ping {{ return 200 "ok"; }}
  }}
}}
"""
        )
        nginx = shutil.which("nginx", path=_system_path()) or "nginx"
        self.process = Process([nginx, "-p", str(directory), "-c", str(configuration)])
        self.process.wait_for(r"start worker process \d+")

    def publish_request(self, path: str, body: str) -> bytes:
        """nchan sends messages unchanged, so the publisher makes the JSON."""
        return request_bytes(
            "POST",
            path,
            json.dumps({"body": body}),
            {"X-EventSource-Event": "bench"},
        )


class SendLoop(Server):
    """The lower bound: a loop in C around send(), compiled when it starts."""

    name = "sendloop"
    title = "send() loop in C"
    views = False

    def unavailable(self) -> str | None:
        """Whether there is no C compiler."""
        return None if shutil.which("cc") else "there is no C compiler (cc)"

    def start(self, directory: Path) -> None:
        """Compile and start."""
        program = directory / "sendloop"
        subprocess.run(
            ["cc", "-O2", "-o", str(program), str(HERE / "sendloop.c")],
            check=True,
            timeout=60,
            cwd=ROOT,
        )
        self.process = Process([str(program)], pipe=True)
        if self.process.popen.stdout is None:
            raise StartError("no pipe from the program")
        self.port = int(self.process.popen.stdout.readline())

    def publisher(self, connection: RequestConnection | None) -> Publisher:
        """A publisher that writes lines to the program."""
        return PipePublisher(self)


class PipePublisher:
    """Publishes with one line on a program's standard input."""

    outstanding = 0

    def __init__(self, server: Server) -> None:
        stdin = server.running.popen.stdin
        if stdin is None:
            raise StartError("no pipe to the program")
        self._stdin = stdin

    def broadcast(self, body: str) -> None:
        """Write the line."""
        self._stdin.write(body.encode() + b"\n")
        self._stdin.flush()

    def send(self, user: str, body: str) -> None:
        """The loop does not support single users."""
        raise NotImplementedError


def _free_port() -> int:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _system_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin"
