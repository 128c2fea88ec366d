"""Groups that change: open connections join and leave in log order."""

from __future__ import annotations

import gc
import threading
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_sse_push.config import Config
from flask_sse_push.delivery.hub import Hub
from flask_sse_push.delivery.membership import Watch
from flask_sse_push.delivery.resume import Resume
from flask_sse_push.events import (
    Event,
    Membership,
    Position,
    format_id,
    group_channel,
    parse_id,
    user_channel,
)
from tests.delivery.test_hub import Recording, now
from tests.support.clients import eventually


class Log:
    """A hub, and what comes to it."""

    def __init__(self) -> None:
        self.hub = Hub(Config(heartbeat_seconds=60), lambda ended: None)
        start = now()
        self._numbers = count(1)
        self._start = start
        self.hub.restart((start, 0))

    def next(self) -> Position:
        return (self._start + next(self._numbers), 0)

    def send(self, channel: str = "group:g") -> Position:
        position = self.next()
        event = Event(name="x", data="d", channel=channel)
        self.hub.deliver(event.at(position))
        return position

    def change(self, *, joins: bool, user: str = "1", group: str = "g") -> None:
        channels = user_channel(user), group_channel(group)
        self.hub.deliver(Membership(self.next(), *channels, joins))

    def open(
        self,
        *groups: str,
        user: str | None = "user:1",
        cursor: Position | None = None,
        watch: Watch | None = None,
    ) -> Recording:
        connection = Recording(self.hub, user, groups)
        text = None if cursor is None else format_id(cursor)
        resume = Resume.read(
            text, parse_id(text), now=self.hub.position, is_memory=True
        )
        self.hub.register(connection, resume, watch=watch)
        return connection

    def settle(self, *connections: Recording) -> None:
        """Wait until all that was sent has been fanned out, and end the streams."""
        last = self.send("all")
        for connection in connections:
            eventually(lambda c=connection: last in c.got)  # type: ignore[misc]
            connection.got.remove(last)
            connection.close("gone")


@pytest.fixture
def log() -> Log:
    return Log()


def test_what_is_sent_before_a_leave_comes_and_nothing_after(log: Log) -> None:
    member, other = log.open("group:g"), log.open("group:g", user="user:2")
    gate = member.gate = threading.Event()
    before = log.send()
    log.change(joins=False)
    after = log.send()
    own = log.send("user:1")
    gate.set()
    log.settle(member, other)
    assert member.got == [before, own]
    assert other.got == [before, after]
    assert member.groups == ()


def test_what_is_sent_after_a_join_comes_and_nothing_before(log: Log) -> None:
    first, second = log.open("group:h"), log.open()
    anonymous = log.open(user=None)
    log.send()
    log.change(joins=True)
    after = log.send()
    log.settle(first, second, anonymous)
    assert first.got == second.got == [after]
    assert anonymous.got == []


def test_joining_and_leaving_twice_is_joining_and_leaving_once(log: Log) -> None:
    connection = log.open("group:h")
    for _ in range(2):
        log.change(joins=True)
    sent = [log.send(), log.send("group:h")]
    for _ in range(2):
        log.change(joins=False)
    log.send()
    log.settle(connection)
    assert connection.got == sent
    assert not log.hub.registry.has_any(group_channel("g"))
    assert not log.hub.registry.has_any(group_channel("h"))


def test_a_join_that_comes_while_a_stream_is_being_opened_counts(log: Log) -> None:
    watch = log.hub.watch(user_channel("1"))
    # groups_loader has looked before the database was changed.
    log.change(joins=True)
    connection = log.open(watch=watch)
    sent = log.send()
    log.settle(connection)
    assert connection.got == [sent]


def test_a_leave_that_comes_while_a_stream_is_being_opened_counts(log: Log) -> None:
    keep = log.open("group:g", user="user:2")
    watch = log.hub.watch(user_channel("1"))
    log.change(joins=False)
    connection = log.open("group:g", "group:h", watch=watch)
    log.send()
    log.settle(connection, keep)
    assert connection.got == []
    assert len(keep.got) == 1


def test_what_came_before_groups_loader_looked_is_its_to_say(log: Log) -> None:
    keep = log.open(user="user:2")
    keep.gate = threading.Event()
    # These are still to be obeyed when the connection opens.
    log.send("user:2")
    log.change(joins=False)
    connection = log.open("group:g", watch=log.hub.watch(user_channel("1")))
    sent = log.send()
    keep.gate.set()
    log.settle(connection, keep)
    assert connection.got == [sent]


def test_a_stream_that_resumes_while_its_groups_change_gets_its_part(log: Log) -> None:
    cursor = log.hub.position
    before = log.send()
    watch = log.hub.watch(user_channel("1"))
    log.change(joins=False)
    between = log.send()
    log.change(joins=True, group="h")
    later = log.send("group:h")
    connection = log.open("group:g", cursor=cursor, watch=watch)
    log.send()
    log.settle(connection)
    assert connection.got == [before, later]
    assert between not in connection.got


def test_a_resumed_stream_gets_what_its_groups_were_sent_meanwhile(log: Log) -> None:
    connection = log.open()
    log.change(joins=True)
    seen = log.send()
    log.settle(connection)
    missed = log.send()
    # The database says that the user is in the group.
    again = log.open("group:g", cursor=seen, watch=log.hub.watch(user_channel("1")))
    log.settle(again)
    assert missed in again.got
    log.change(joins=False)
    sent = log.send()
    # And now that the user is not.
    last = log.open(cursor=missed, watch=log.hub.watch(user_channel("1")))
    log.settle(last)
    assert sent not in last.got


def test_a_stream_that_is_never_opened_is_not_watched_for_ever(log: Log) -> None:
    watch = log.hub.watch(user_channel("1"))
    assert len(log.hub._watches._watches) == 1
    assert log.hub.watch(None) is None
    del watch
    gc.collect()
    assert len(log.hub._watches._watches) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("gh")),
        st.tuples(st.just("change"), st.sampled_from("gh"), st.booleans()),
        st.tuples(st.just("watch"), st.booleans()),
        st.tuples(st.just("open")),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_whatever_changes_a_connection_gets_what_its_user_is_in_for(
    steps: list[tuple[Any, ...]],
) -> None:
    log = Log()
    # What the database says, and what each group was sent.
    members: set[str] = set()
    due: list[Position] = []
    opening: tuple[Watch | None, list[str]] | None = None
    connection: Recording | None = None
    for step in steps:
        if step[0] == "send":
            position = log.send(f"group:{step[1]}")
            if connection is not None and step[1] in members:
                due.append(position)
        elif step[0] == "change":
            # As it is documented: first the database, then the call. groups_loader may
            # look between the two.
            (members.add if step[2] else members.discard)(step[1])
            log.change(joins=step[2], group=step[1])
        elif step[0] == "watch" and opening is None:
            watch = log.hub.watch(user_channel("1"))
            opening = (watch, [f"group:{name}" for name in members])
        elif step[0] == "open" and opening is not None and connection is None:
            connection = log.open(*opening[1], watch=opening[0])
    if connection is not None:
        log.settle(connection)
        assert connection.got == due


def test_who_is_in_a_group(log: Log) -> None:
    registry = log.hub.registry
    assert registry.take_group_changes() == {}
    first, second = log.open("group:g", "group:h"), log.open("group:g")
    anonymous = log.open("group:g", user=None)
    other = log.open(user="user:2")
    assert registry.group_users("g") == {"1"}
    assert registry.group_members() == {("g", "1"), ("h", "1")}
    assert registry.take_group_changes() == {("g", "1"): True, ("h", "1"): True}
    first.close("gone")
    # The user is still in one of them, with another connection.
    assert registry.take_group_changes() == {("g", "1"): True, ("h", "1"): False}
    log.change(joins=True, user="2")
    log.change(joins=False, user="1")
    eventually(lambda: registry.group_users("g") == {"2"})
    assert registry.take_group_changes() == {("g", "1"): False, ("g", "2"): True}
    log.settle(second, anonymous, other)
    assert registry.take_group_changes() == {("g", "2"): False}
    assert registry.group_members() == set()


def test_the_first_to_ask_for_changes_is_told_everything(log: Log) -> None:
    connection = log.open("group:g")
    assert log.hub.registry.take_group_changes() == {("g", "1"): True}
    log.settle(connection)
