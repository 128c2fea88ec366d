"""The native event loop: sockets that are ready, from any thread, in every process."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from flask_sse_push.runtime.eventloop import READ, WRITE, event_loop
from tests.support.clients import eventually

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_a_socket_that_can_be_read_is_told_of(pair: Pair) -> None:
    ours, theirs = pair
    received: list[bytes] = []
    watcher = event_loop().io(ours.fileno(), READ)
    watcher.start(lambda: received.append(ours.recv(100)))
    theirs.send(b"one")
    eventually(lambda: received == [b"one"])
    theirs.shutdown(socket.SHUT_WR)
    eventually(lambda: b"" in received)
    watcher.close()


def test_one_socket_has_a_reader_and_a_writer(pair: Pair) -> None:
    ours, theirs = pair
    received: list[bytes] = []
    writable = threading.Event()
    reader = event_loop().io(ours.fileno(), READ)
    reader.start(lambda: received.append(ours.recv(100)))
    writer = event_loop().io(ours.fileno(), WRITE)

    def on_writable() -> None:
        writer.stop()
        writable.set()

    writer.start(on_writable)
    assert writable.wait(10)
    theirs.send(b"one")
    eventually(lambda: received == [b"one"])
    reader.close()
    writer.close()


def test_a_watcher_that_has_stopped_is_silent(pair: Pair) -> None:
    ours, theirs = pair
    called = threading.Event()
    watcher = event_loop().io(ours.fileno(), READ)
    watcher.start(called.set)
    watcher.stop()
    watcher.stop()
    theirs.send(b"one")
    other, far = socket.socketpair()
    with other, far:
        # Whatever was told of the first has been told when the second is.
        seen = threading.Event()
        second = event_loop().io(other.fileno(), READ)
        second.start(seen.set)
        far.send(b"two")
        assert seen.wait(10)
        second.close()
    assert not called.is_set()


def test_a_callback_that_fails_is_logged_and_the_loop_goes_on(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pair
    calls: list[int] = []
    watcher = event_loop().io(ours.fileno(), READ)

    def fail_once() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ValueError("once")
        ours.recv(100)

    watcher.start(fail_once)
    theirs.send(b"one")
    eventually(lambda: len(calls) == 2)
    watcher.close()
    assert "An unexpected error occurred while serving a socket" in caplog.text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_has_a_loop_of_its_own(pair: Pair) -> None:
    ours, theirs = pair
    event_loop()
    pid = os.fork()
    if not pid:
        seen = threading.Event()
        event_loop().io(ours.fileno(), READ).start(seen.set)
        theirs.send(b"one")
        os._exit(os.EX_OK if seen.wait(10) else os.EX_SOFTWARE)
    assert os.waitpid(pid, 0)[1] == 0
