"""Sends from native threads, in a process that gevent has patched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import ROOT

pytestmark = pytest.mark.redis

_SENDS = 1_000
# A connection that is busy just then may be opened beside those of before.
_SLACK = 4

_APPLICATION = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
import gevent
from flask import Flask
from flask_sse_push import Priority, SSEPush
from flask_sse_push.application.state import state_of

start_thread = gevent.monkey.get_original("_thread", "start_new_thread")
allocate_lock = gevent.monkey.get_original("_thread", "allocate_lock")

app = Flask("app")
app.config.update(SSE_PUSH_BACKEND_URL=sys.argv[1], SSE_PUSH_KEY_PREFIX=sys.argv[2])
sse = SSEPush(app)

def send(number):
    # Through the outbox, past it, and a question to the server.
    sse.broadcast("e", {"n": number})
    sse.broadcast("e", {"n": number}, priority=Priority.URGENT)
    sse.is_user_connected("nobody")

def in_pool(number):
    gevent.get_hub().threadpool.apply(send, (number,))

def in_plain_thread(number):
    done = []
    def run():
        try:
            send(number)
            done.append(None)
        except BaseException as error:
            done.append(error)
    start_thread(run, ())
    while not done:
        gevent.sleep(0.0005)
    if done[0] is not None:
        raise done[0]

def send_many(count):
    outbox = state_of(app).engine.outbox
    for number in range(count):
        (in_pool if number % 2 else in_plain_thread)(number)
        if not number % 4:  # so that many drains start, and some find company
            assert outbox.flush(10)
    assert outbox.flush(10)
"""


def _count(server: RedisServer, process: subprocess.Popen[str]) -> tuple[int, int]:
    """Connections to the server, and descriptors of the process."""
    descriptors = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    return len(server.client.client_list()), descriptors


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_connections_and_descriptors_stay_level(
    server: RedisServer, prefix: str
) -> None:
    script = f"""
send_many(40)
print("warm", flush=True)
input()
send_many({_SENDS})
print("done", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", _APPLICATION + script, server.url, prefix],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "warm\n"
            connections, descriptors = _count(server, process)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
            more_connections, more_descriptors = _count(server, process)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert more_connections <= connections + _SLACK
    assert more_descriptors <= descriptors + _SLACK
    log = server.command("XRANGE", f"{{{prefix}}}:log", "-", "+")
    sent = [fields for _, fields in log if fields[b"c"] == b"all"]
    assert len(sent) == 2 * (40 + _SENDS)


def test_a_fork_makes_its_own_connections(server: RedisServer, prefix: str) -> None:
    script = """
import os
from flask_sse_push import Publisher

publisher = Publisher.from_url(sys.argv[1], key_prefix=sys.argv[2])
here = os.getpid()

def publish():
    publisher.broadcast("e", {"child": os.getpid() != here})

for _ in range(2):  # on connections just opened, then on those of the pools
    publish()
    gevent.get_hub().threadpool.apply(publish)
child = os.fork()
for _ in range(20):
    publish()
    gevent.get_hub().threadpool.apply(publish)
if not child:
    publisher.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publisher.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", _APPLICATION + script, server.url, prefix],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = server.command("XRANGE", f"{{{prefix}}}:log", "-", "+")
    data = [fields[b"d"] for _, fields in log]
    assert sum(b'"child":true' in one for one in data) == 40
    assert sum(b'"child":false' in one for one in data) == 44
    eventually(lambda: len(server.client.client_list()) == 1)
