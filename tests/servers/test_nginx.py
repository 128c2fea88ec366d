"""The nginx configuration of the documentation, in front of real servers."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flask_sse_push.config import Config
from tests.support.clients import call, eventually
from tests.support.nginx import CONFIGURATION, connect, nginx_before
from tests.support.servers import ROOT, serve

pytestmark = pytest.mark.server


def read_until(response: HTTPResponse, part: bytes) -> bytes:
    """Read lines up to one that contains this."""
    seen = b""
    while part not in seen:
        line = response.readline()
        assert line, f"the stream ended after {seen!r}"
        seen += line
    return seen


def test_events_pass_at_once_and_a_client_that_leaves_is_noticed(
    tmp_path: Path,
) -> None:
    with serve("gunicorn-gevent") as server:
        assert isinstance(server.address, tuple)
        host, port = server.address
        with nginx_before(f"{host}:{port}", tmp_path) as proxy:
            connection = connect(proxy)
            connection.request("GET", "/sse/stream?user=2")
            response = connection.getresponse()
            assert response.status == 200
            read_until(response, b"id: ")
            # Each event has to arrive before the next is sent.
            for number in range(20):
                order = {"channel": "user:2", "event": "n", "data": {"n": number}}
                assert call(server, "POST", "/send", order)[0] == 200
                read_until(response, b'data: {"n":%d,' % number)
            assert call(server, "GET", "/state")[1]["count"] == 1
            response.close()
            connection.close()
            eventually(lambda: call(server, "GET", "/state")[1]["count"] == 0)


class Counting(BaseHTTPRequestHandler):
    """Answers every request, and notes the headers and the connections."""

    protocol_version = "HTTP/1.1"
    headers_seen: list[dict[str, str]]
    connections: list[object]

    def setup(self) -> None:
        super().setup()
        self.connections.append(self.client_address)

    def do_GET(self) -> None:
        self.headers_seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def counting_server() -> Iterator[tuple[type[Counting], str]]:
    class Handler(Counting):
        headers_seen: list[dict[str, str]] = []  # noqa: RUF012
        connections: list[object] = []  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Handler, f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("path", ["/sse/stream", "/ping"])
def test_connections_to_the_application_are_used_again(
    tmp_path: Path, path: str
) -> None:
    with counting_server() as (seen, address):
        with nginx_before(address, tmp_path) as proxy:
            for _ in range(10):
                connection = connect(proxy)
                connection.request("GET", path, headers={"Host": "shop.example"})
                assert connection.getresponse().read() == b"ok"
                connection.close()
        assert len(seen.connections) == 1
    for headers in seen.headers_seen:
        assert "Connection" not in headers
        assert headers["Host"] == "shop.example"
        assert headers["X-Forwarded-Proto"] == "https"
        assert headers["X-Forwarded-For"] == "127.0.0.1"


def test_nginx_waits_longer_than_a_heartbeat() -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    found = re.search(r"proxy_read_timeout (\d+)s;", text)
    assert found is not None
    assert int(found[1]) > Config().heartbeat_seconds


def test_the_page_shows_this_file_and_nginx_closes_idle_connections_first() -> None:
    page = (ROOT / "docs/deploy.rst").read_text(encoding="utf-8")
    text = CONFIGURATION.read_text(encoding="utf-8")
    [ours] = re.findall(r"\bkeepalive_timeout (\d+)s;", text)
    [gunicorns] = re.findall(r"--keep-alive (\d+) app:app", page)
    assert int(ours) < int(gunicorns)
    assert ".. literalinclude:: deploy/nginx.conf" in page
