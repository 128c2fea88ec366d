"""The time until all workers know who is connected."""

from __future__ import annotations

import http.client
import json
import time

from benchmarks.scaling.effort import Effort
from benchmarks.scaling.workers import Workers, load_client


def presence(
    workers: Workers, here: int, there: int, effort: Effort
) -> tuple[list[float], list[float]]:
    """Milliseconds until a worker counts clients that came to, or left, another."""
    asking = http.client.HTTPConnection("127.0.0.1", workers.port, timeout=10)

    def clients() -> int:
        asking.request("GET", "/sse/health")
        return int(json.loads(asking.getresponse().read())["connectedClients"])

    with workers.only(here):
        usual = clients()

    def agreed(count: int) -> float:
        begin = time.monotonic()
        while clients() != count:
            time.sleep(0.005)
        return 1000 * (time.monotonic() - begin)

    came, went = [], []
    for number in range(effort.presence_rounds):
        time.sleep(0.3 + 0.017 * number)  # anywhere between two ticks
        with load_client(workers) as client:
            with workers.only(there):
                client.open([workers.stream_request("someone")])
            came.append(agreed(usual + 1))
            time.sleep(0.3 + 0.019 * number)
        went.append(agreed(usual))
    asking.close()
    return came, went
