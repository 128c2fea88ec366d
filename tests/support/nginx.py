"""nginx before the server of a test, configured as the documentation shows."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.support.redis_server import free_port
from tests.support.servers import LIFETIME, ROOT

CONFIGURATION = ROOT / "docs/deploy/nginx.conf"
_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin"


def nginx_command() -> str:
    """The program; without it, skip the test."""
    found = shutil.which("nginx", path=_PATH)
    if found is None:
        pytest.skip("nginx is not installed (apt install nginx-light)")
    return found


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=shop.example", "-keyout", str(key)),
            *("-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate, key


def _replace(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{CONFIGURATION.name} has no single {old!r}"
    return text.replace(old, new)


def _site(nginx: str, port: int, upstream: str, folder: Path) -> str:
    """The documented file with this machine's addresses and certificate."""
    certificate, key = _certificate(folder)
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = _replace(text, "server 127.0.0.1:8000;", f"server {upstream};")
    text = _replace(text, "listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = _replace(text, "/etc/ssl/shop.example/fullchain.pem", str(certificate))
    text = _replace(text, "/etc/ssl/shop.example/privkey.pem", str(key))
    shown = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", shown.stderr)
    assert found is not None
    if tuple(map(int, found.groups())) < (1, 25, 1):
        # The directive is newer than this nginx.
        text = _replace(text, "http2 on;", "")
    return text


@contextlib.contextmanager
def nginx_before(upstream: str, folder: Path) -> Iterator[int]:
    """Run nginx before a server until the block ends; gives its port.

    :param upstream: ``host:port`` of the server.
    :param folder: for its files.
    """
    nginx = nginx_command()
    port = free_port()
    (folder / "site.conf").write_text(_site(nginx, port, upstream, folder))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        "daemon off;\n"
        "worker_processes 1;\n"
        # Only root may choose, and its workers could not read the folder otherwise.
        + ("user root;\n" if os.geteuid() == 0 else "")
        + f"pid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log notice;\n"
        "events { worker_connections 256; }\n"
        "http {\n  access_log off;\n"
        + "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        + "  include site.conf;\n}\n"
    )
    log = folder / "error.log"
    log.touch()
    process = subprocess.Popen(
        [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.alarm(LIFETIME),  # noqa: PLW1509 (no threads)
    )
    try:
        _wait_for_port(process, port, log)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    assert "[warn]" not in log.read_text(), log.read_text()


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not start:\n{log.read_text()}")


def connect(port: int, timeout: float = 10.0) -> HTTPSConnection:
    """A TLS connection to nginx, whose certificate nobody has signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
