"""Groups that change, through real servers: one process, and two over Redis."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import Stream, call, eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, serve

pytestmark = pytest.mark.server

KINDS = ("gunicorn-gevent", "gunicorn-gevent-streamed", "gunicorn-gthread")
COUNT = 20


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def memory(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def two_workers(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> Iterator[Server]:
    with serve(
        request.param,
        arguments=("-w", "2", "--graceful-timeout", "2"),
        environ={
            "SSE_PUSH_BACKEND_URL": redis_server.url,
            "SSE_PUSH_KEY_PREFIX": request.param,
        },
    ) as server:
        eventually(lambda: len(server.workers()) == 2)
        yield server


@contextlib.contextmanager
def streams_on_each_worker(server: Server, user: str) -> Iterator[list[Stream]]:
    """One stream to each worker."""
    with contextlib.ExitStack() as stack:
        streams = []
        for pid in server.workers():
            others = server.workers() - {pid}
            for other in others:
                os.kill(other, signal.SIGSTOP)
            try:
                stream = stack.enter_context(Stream(server, user=user))
                streams.append(stream.read_opening())
            finally:
                for other in others:
                    os.kill(other, signal.SIGCONT)
        yield streams


def change_and_read(server: Server, streams: list[Stream], user: str) -> None:
    call(server, "POST", f"/groups/{user}/vip", {"count": COUNT})
    end = {"channel": f"user:{user}", "event": "end", "data": {"n": 0}}
    call(server, "POST", "/send", end)
    for stream in streams:
        stream.read_until(lambda s: bool(s.events) and s.events[-1][0] == "end")
        texts = [data["n"] for name, _, data in stream.events if name == "n"]
        assert texts == [f"in {number}" for number in range(COUNT)]


def test_open_streams_join_and_leave_in_order(memory: Server) -> None:
    with Stream(memory, user="3") as stream, Stream(memory, user="4") as other:
        other.read_opening()
        change_and_read(memory, [stream.read_opening()], "3")
        end = {"channel": "all", "event": "end", "data": {"n": 0}}
        call(memory, "POST", "/send", end)
        other.read_until(lambda s: bool(s.events))
        assert [name for name, _, _ in other.events] == ["end"]


def open_while_groups_change(server: Server) -> None:
    """Users 91… join the club, 92… leave it, just after ``groups_loader`` looked."""
    for number in range(5):
        joining, leaving = f"91{number}", f"92{number}"
        with Stream(server, user=joining) as one, Stream(server, user=leaving) as two:
            one.read_opening()
            two.read_opening()
            for channel in ("group:club", f"user:{joining}", f"user:{leaving}"):
                body = {"channel": channel, "event": channel, "data": {}}
                call(server, "POST", "/send", {**body, "priority": "urgent"})
            one.read_until(lambda s: len(s.events) == 2)
            two.read_until(lambda s: len(s.events) == 1)
            assert [name for name, _, _ in one.events] == [
                *("group:club", f"user:{joining}")
            ]
            assert [name for name, _, _ in two.events] == [f"user:{leaving}"]


def test_groups_that_change_while_a_stream_opens(memory: Server) -> None:
    open_while_groups_change(memory)


@pytest.mark.redis
def test_groups_that_change_while_a_stream_opens_on_one_of_two(
    two_workers: Server,
) -> None:
    open_while_groups_change(two_workers)


@pytest.mark.redis
def test_they_do_on_every_worker(two_workers: Server) -> None:
    with streams_on_each_worker(two_workers, "3") as streams:
        assert len(streams) == 2
        change_and_read(two_workers, streams, "3")


@pytest.fixture(params=KINDS)
def noting(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> Iterator[tuple[Server, Path]]:
    """Two workers that note which users come and go in one file."""
    path = tmp_path / "presence"
    path.touch()
    with serve(
        request.param,
        arguments=("-w", "2", "--graceful-timeout", "1"),
        environ={
            "SSE_PUSH_BACKEND_URL": redis_server.url,
            "SSE_PUSH_KEY_PREFIX": f"noting-{tmp_path.name}",
            "SSE_PUSH_HEARTBEAT_SECONDS": "1",
            "SSE_PUSH_PRESENCE_GRACE_SECONDS": "2",
            "PRESENCE_FILE": str(path),
        },
    ) as server:
        eventually(lambda: len(server.workers()) == 2)
        yield server, path


def signalled(path: Path) -> list[str]:
    """What the workers have noted, without their process ids."""
    return [line.rpartition(" ")[0] for line in path.read_text().splitlines()]


@pytest.mark.redis
def test_page_changes_are_no_news_and_two_workers_tell_once(
    noting: tuple[Server, Path],
) -> None:
    server, path = noting
    with streams_on_each_worker(server, "2"):
        eventually(lambda: call(server, "GET", "/state")[1]["even"] == ["2"])
        eventually(lambda: signalled(path) == ["online 2"])
    # Pages that follow each other, each with the next worker that is free.
    for _ in range(6):
        with Stream(server, user="2") as stream:
            stream.read_opening()
    eventually(lambda: len(signalled(path)) >= 2, 15)
    assert signalled(path) == ["online 2", "offline 2"]


@pytest.mark.redis
@pytest.mark.parametrize("noting", ["gunicorn-gevent"], indirect=True)
def test_a_killed_workers_users_go_offline_by_the_other(
    noting: tuple[Server, Path],
) -> None:
    server, path = noting
    with streams_on_each_worker(server, "4"), streams_on_each_worker(server, "6"):
        eventually(lambda: sorted(signalled(path)) == ["online 4", "online 6"])
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
    with Stream(server, user="6") as stream:
        stream.read_opening()
        # The lease of the dead, a look of the living, and the grace.
        eventually(lambda: len(signalled(path)) >= 3, 40)
        assert sorted(signalled(path)) == ["offline 4", "online 4", "online 6"]
