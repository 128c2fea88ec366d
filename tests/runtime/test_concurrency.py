"""Greenlets together with native threads, in processes patched by gevent."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.support.servers import ROOT

_PREPARE = """
from gevent import monkey
monkey.patch_all()
import time
import gevent
from flask import Flask
from flask_sse_push import SSEPush
from flask_sse_push.application.state import state_of

app = Flask("app")
sse = SSEPush(app)

def in_native_thread(function):
    return gevent.get_hub().threadpool.apply(function)

def eventually(check):
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, "the condition did not become true"
        gevent.sleep(0.01)
"""


def run_patched(script: str) -> None:
    """Run a script after ``_PREPARE``; the test passes if its assertions do."""
    done = subprocess.run(
        [sys.executable, "-c", _PREPARE + textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_outbox_made_in_a_native_thread_sends() -> None:
    run_patched(
        """
        from flask_sse_push.log import MemoryBackend
        from flask_sse_push.config import Config
        from flask_sse_push.events import Event
        from flask_sse_push.names import Priority
        from flask_sse_push.sending.outbox import Outbox

        log = MemoryBackend(Config())
        outbox = in_native_thread(lambda: Outbox(log.append, 10, print))
        put = lambda: outbox.put(Event(), Priority.NORMAL, None)
        receipts = [put(), in_native_thread(put)]
        assert all(receipt.wait(20) for receipt in receipts), len(outbox)
        """
    )


def test_a_sequence_started_in_a_native_thread_sends_every_step() -> None:
    run_patched(
        """
        steps = [{"n": number} for number in range(3)]
        start = lambda: sse.sequence("ada", "n", steps, pause=0.01)
        sequence = in_native_thread(start)
        assert sequence.wait(20), sequence
        assert len(sequence.receipts) == 3, sequence
        """
    )


def test_greenlets_may_all_be_the_first_to_need_a_rate_limit() -> None:
    # If a greenlet blocks the whole process, a watcher inside it would block, too.
    run_patched(
        """
        import faulthandler

        faulthandler.dump_traceback_later(20, exit=True)
        limit = {"rate_limit": "1000/second"}
        send = lambda number: sse.send_to_user(number, "n", {"n": number}, **limit)
        senders = [gevent.spawn(send, number) for number in range(5)]
        gevent.joinall(senders, raise_error=True)
        assert len(state_of(app).engine.hub.history) == 5
        """
    )


def test_a_burst_in_one_go_leaves_in_turns_with_what_its_client_reads() -> None:
    # All run on one event loop, so the system's scheduler has no influence.
    run_patched(
        """
        import gevent.socket
        from flask_sse_push.delivery.connections import (
            HandedOffConnection,
            Limits,
            StreamedConnection,
        )
        from flask_sse_push.delivery.resume import Resume
        from flask_sse_push.events import user_channel

        class Response:
            def start_response(self, status, headers):
                pass

            def force_close(self):
                pass

        COUNT = 20_000
        hub = state_of(app).engine.hub
        limits = Limits(pending_bytes=1024 * 1024, vanished_ms=30_000)
        placement = (hub, limits, user_channel("ada"), ())
        near, far = gevent.socket.socketpair()
        environ = {"gunicorn.socket": near, "SERVER_PROTOCOL": "HTTP/1.1"}
        handed_off = HandedOffConnection(
            *placement, environ, Response().start_response, "200 OK", []
        )
        streamed = StreamedConnection(*placement)
        received = {handed_off: bytearray(), streamed: bytearray()}

        def read(connection, chunks):
            for chunk in chunks:
                received[connection] += chunk

        for connection in received:
            hub.register(connection, Resume(hub.position))
        gevent.spawn(read, handed_off, iter(lambda: far.recv(1 << 20), b""))
        gevent.spawn(read, streamed, streamed)
        for number in range(COUNT):
            sse.send_to_user("ada", "n", {"n": number, "text": "x" * 100})
        last = f'"n":{number},'.encode()
        eventually(lambda: all(
            last in body[-1000:] or not connection.is_open
            for connection, body in received.items()
        ))
        counts = [body.count(b"event: n\\n") for body in received.values()]
        assert counts == [COUNT, COUNT], counts
        """
    )
