"""One suite for all backends: memory, and a real Redis or Valkey server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from flask_sse_push.config import Config
from flask_sse_push.errors import ConfigError, EventError
from flask_sse_push.events import (
    ALL,
    CONTROL,
    START,
    Event,
    Membership,
    Removal,
    encode,
    format_id,
    parse_channel,
)
from flask_sse_push.log import Backend, make_backend, memory
from tests.support.clients import eventually
from tests.support.receiver import Recorder
from tests.support.redis_server import RedisServer

_prefixes = (f"t{number}" for number in count())


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


Start = Callable[..., tuple[Backend, Recorder]]


@pytest.fixture(
    params=["memory", *(pytest.param(p, marks=pytest.mark.redis) for p in ("2", "3"))]
)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Makes backends, each with its receiver, and stops them at the end."""
    config = Config()
    if request.param != "memory":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = f"{server.url}?protocol={request.param}"
        config = Config(backend_url=url, key_prefix=next(_prefixes))
    backends: list[Backend] = []

    def make(**options: Any) -> tuple[Backend, Recorder]:
        backend, receiver = make_backend(replace(config, **options)), Recorder()
        backend.start(receiver, receiver, receiver.tell)
        backends.append(backend)
        assert backend.wait_ready(5)
        return backend, receiver

    yield make
    for backend in backends:
        backend.stop()


def to_user(user: str, text: str, name: str = "e", **options: Any) -> Event:
    options = {"mailbox": options.get("store", True), **options}
    return Event(name=name, data=text, channel=f"user:{user}", **options)


def texts(backend: Backend, user: str) -> list[str]:
    """The data of the events in a user's mailbox."""
    frames = [entry.frame.decode() for entry in backend.unread(user, START).entries]
    return [frame.split("data: ")[1].split("\n")[0] for frame in frames]


def frames_end_with(receiver: Recorder, first_line: str) -> bool:
    return bool(receiver.frames) and receiver.frames[-1].decode().startswith(first_line)


def test_a_receiver_is_told_where_the_log_begins(start: Start) -> None:
    backend, receiver = start()
    [base] = receiver.restarts
    [position] = backend.append([Event(data="1")])
    assert START < base < position


def test_positions_grow_and_are_the_entries_own(start: Start) -> None:
    backend, receiver = start()
    positions = backend.append([Event(data=str(n)) for n in range(20)])
    positions += backend.append([Event(data=str(n)) for n in range(20, 40)])
    assert positions == sorted(set(positions))
    eventually(lambda: len(receiver.entries) == 40)
    assert [entry.position for entry in receiver.entries] == positions
    assert receiver.texts == [str(n) for n in range(40)]


def test_an_entry_is_the_event_on_the_wire(start: Start) -> None:
    backend, receiver = start()
    event = Event(
        name="näme", data='{"a":"é\u2028\n"}', channel="group:ä b", coalesce="key"
    )
    [position] = backend.append([event])
    eventually(lambda: receiver.entries)
    [entry] = receiver.entries
    assert entry.channel == "group:ä b"
    assert entry.coalesce == "key"
    assert entry.store
    assert entry.frame == encode(event.name, event.data, format_id(position))


def test_a_nonce_counts_once(start: Start) -> None:
    backend, receiver = start()
    backend.append([Event(data="1", nonce="a"), Event(data="2", nonce="b")])
    backend.append([Event(data="1", nonce="a"), Event(data="3", nonce="c")])
    eventually(lambda: "3" in receiver.texts)
    assert receiver.texts == ["1", "2", "3"]


def test_memory_knows_so_many_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_NONCES", 2)
    backend = memory.MemoryBackend(Config())
    first, second, third = backend.append([Event(nonce=nonce) for nonce in "abc"])
    assert backend.append([Event(nonce="b"), Event(nonce="c")]) == [second, third]
    assert backend.append([Event(nonce="a")]) > [third]
    assert first < second


def test_events_without_a_nonce_are_all_new(start: Start) -> None:
    backend, receiver = start()
    backend.append([Event(data="1"), Event(data="1")])
    eventually(lambda: receiver.texts == ["1", "1"])


def test_the_mailbox_keeps_a_users_events_in_order(start: Start) -> None:
    backend, _ = start()
    backend.append([to_user("1", "a"), to_user("2", "b"), Event(data="all")])
    backend.append([to_user("1", "c"), to_user("1", "d")])
    assert texts(backend, "1") == ["a", "c", "d"]
    assert texts(backend, "2") == ["b"]
    assert texts(backend, "3") == []


def test_the_mailbox_gives_what_comes_after_a_position(start: Start) -> None:
    backend, receiver = start()
    positions = backend.append([to_user("1", text) for text in "abc"])
    newer = backend.unread("1", positions[0]).entries
    assert [e.position for e in newer] == positions[1:]
    eventually(lambda: len(receiver.entries) == 3)
    unread = backend.unread("1", START).entries
    assert [e.frame for e in unread] == [e.frame for e in receiver.entries]


def test_the_mailbox_is_bounded(start: Start) -> None:
    backend, _ = start(mailbox_size=3)
    backend.append([to_user("1", str(n)) for n in range(10)])
    assert texts(backend, "1") == ["7", "8", "9"]


def test_a_mailbox_holds_a_repeated_event_once(start: Start) -> None:
    backend, _ = start()
    for _ in range(2):
        backend.append([to_user("1", "a", nonce="n"), to_user("1", "b", nonce="m")])
    assert texts(backend, "1") == ["a", "b"]


def test_acknowledging_removes_up_to_and_including(start: Start) -> None:
    backend, _ = start()
    positions = backend.append([to_user("1", text) for text in "abcd"])
    backend.append([to_user("2", "other")])
    assert backend.acknowledge("1", positions[1]) == 2
    assert texts(backend, "1") == ["c", "d"]
    assert backend.acknowledge("1", positions[1]) == 0
    assert backend.acknowledge("1", (positions[-1][0] + 1, 0)) == 2
    assert texts(backend, "1") == []
    assert texts(backend, "2") == ["other"]
    assert backend.acknowledge("nobody", positions[-1]) == 0


def test_single_events_are_acknowledged(start: Start) -> None:
    backend, _ = start()
    positions = backend.append([to_user("1", text) for text in "abcde"])
    backend.append([to_user("2", "other")])
    assert backend.acknowledge_ids("1", [positions[3], positions[1]]) == 2
    assert texts(backend, "1") == ["a", "c", "e"]
    unknown = (positions[4][0] + 1, 0)
    assert backend.acknowledge_ids("1", [positions[1], positions[0], unknown]) == 1
    assert backend.acknowledge_ids("1", []) == 0
    assert backend.acknowledge_ids("2", positions) == 0
    assert backend.acknowledge_ids("nobody", positions) == 0
    assert texts(backend, "1") == ["c", "e"]
    assert backend.acknowledge("1", positions[4]) == 2
    backend.append([to_user("1", "f")])
    assert texts(backend, "1") == ["f"]


def test_a_single_acknowledged_event_takes_its_repeat_along(start: Start) -> None:
    backend, _ = start()
    [first] = backend.append([to_user("1", "a", nonce="n")])
    backend.append([to_user("1", "a", nonce="n"), to_user("1", "b", nonce="m")])
    assert backend.acknowledge_ids("1", [first]) == 1
    assert texts(backend, "1") == ["b"]


def test_ids_say_what_is_to_be_acknowledged_where_a_page_has_to(start: Start) -> None:
    events = [
        Event(data="all"),
        to_user("1", "own"),
        Event(data="group", channel="group:g"),
        to_user("1", "passing", store=False),
    ]
    for acknowledge, size, marks in [
        ("explicit", 100, ["", "m", "", ""]),
        ("delivered", 100, [""] * 4),
        ("explicit", 0, [""] * 4),
    ]:
        backend, receiver = start(acknowledge=acknowledge, mailbox_size=size)
        receiver.entries.clear()
        ids = [format_id(position) for position in backend.append(events)]
        expected = [f"id: {id}{mark}" for id, mark in zip(ids, marks, strict=True)]
        *_, last = expected
        eventually(partial(frames_end_with, receiver, last))
        got = [frame.decode().split("\n")[0] for frame in receiver.frames[-4:]]
        assert got == expected
        entries = backend.unread("1", START).entries
        unread = [entry.frame.decode().split("\n")[0] for entry in entries]
        if size:
            assert unread[-1] == expected[1]


def test_an_acknowledged_event_takes_its_repeat_along(start: Start) -> None:
    backend, _ = start()
    [first] = backend.append([to_user("1", "a", nonce="n")])
    backend.append([to_user("1", "a", nonce="n"), to_user("1", "b", nonce="m")])
    assert backend.acknowledge("1", first) == 1
    assert texts(backend, "1") == ["b"]


def test_ephemeral_events_are_in_no_mailbox(start: Start) -> None:
    backend, receiver = start()
    backend.append([to_user("1", "a", store=False), to_user("1", "b")])
    assert texts(backend, "1") == ["b"]
    eventually(lambda: len(receiver.entries) == 2)
    assert [entry.store for entry in receiver.entries] == [False, True]


def retained(backend: Backend, *channels: str) -> list[str]:
    """The data of the events that a stream on these channels begins with."""
    entries = backend.retained([parse_channel(channel) for channel in channels])
    frames = [entry.frame.decode() for entry in entries]
    return [frame.split("data: ")[1].split("\n")[0] for frame in frames]


def test_the_newest_event_of_each_key_is_retained(start: Start) -> None:
    backend, receiver = start()
    state = [
        Event(data="1-0", channel="group:g", retain="score"),
        Event(data="red", channel="group:g", retain="é"),
        Event(data="closed", channel="all", retain="score"),
        Event(data="not kept", channel="group:g"),
        Event(data="2-0", channel="group:g", retain="score"),
        to_user("g", "own", retain="score", name="price"),
    ]
    positions = backend.append(state)
    assert retained(backend, "group:g") == ["red", "2-0"]
    assert retained(backend, "all", "user:g", "group:g") == [
        *("red", "closed", "2-0", "own")
    ]
    assert retained(backend, "group:h", "user:h") == []
    channel = parse_channel("group:g")
    [entry] = backend.retained([channel], positions[1])
    eventually(lambda: len(receiver.entries) == 6)
    assert entry.position == positions[4]
    assert entry.frame == receiver.entries[4].frame
    assert (entry.channel, entry.retain) == (channel, "score")
    assert [entry.retain for entry in receiver.entries[:4]] == [
        *("score", "é", "score", None)
    ]


def test_what_is_retained_is_bounded_and_the_oldest_goes(start: Start) -> None:
    backend, _ = start(retained_size=3)
    keys = ["a", "b", "c", "a", "d", "e"]
    backend.append(
        [Event(data=f"{key}{n}", retain=key) for n, key in enumerate(keys, 1)]
    )
    assert retained(backend, "all") == ["a4", "d5", "e6"]


def test_what_is_retained_grows_old(start: Start) -> None:
    backend, _ = start(retained_seconds=0.3)
    backend.append([Event(data="a", retain="a")])
    eventually(lambda: retained(backend, "all") == [])
    backend.append([Event(data="b", retain="b")])
    assert retained(backend, "all") == ["b"]


def test_a_repeated_event_is_retained_as_it_came_first(start: Start) -> None:
    backend, _ = start()
    first = Event(data="1", nonce="n", retain="key")
    [position] = backend.append([first])
    backend.append([first])
    assert [e.position for e in backend.retained([ALL])] == [position]
    backend.append([Event(data="2", nonce="m", retain="key")])
    # Its answer was lost; meanwhile somebody else has sent something newer.
    backend.append([first])
    assert retained(backend, "all") == ["2"]


def test_without_mailboxes_nothing_is_kept(start: Start) -> None:
    backend, _ = start(mailbox_size=0)
    backend.append([to_user("1", "a")])
    assert texts(backend, "1") == []


@pytest.mark.parametrize("user", ["a:b", "{x}", " ", "é\U0001f600", "*", "1:mailbox:2"])
def test_any_user_id_has_a_mailbox_of_its_own(start: Start, user: str) -> None:
    backend, _ = start()
    backend.append([to_user(user, "a")])
    assert texts(backend, user) == ["a"]
    assert texts(backend, user + ":") == []


def test_who_is_connected(start: Start) -> None:
    backend, receiver = start()
    assert (backend.client_count(), backend.connected_users()) == (0, set())
    receiver.users = {"1": 2, "é": 1}
    receiver.anonymous = 3
    assert backend.client_count() == 6
    assert backend.connected_users() == {"1", "é"}
    assert backend.is_user_connected("é")
    assert not backend.is_user_connected("2")


def test_who_is_in_a_group(start: Start) -> None:
    backend, receiver = start()
    assert backend.group_users("g") == set()
    receiver.users = {"1": 2, "é\0": 1}
    receiver.groups = {("g", "1"), ("g", "é\0"), ("g\0", "2"), ("g:h", "1")}
    assert backend.group_users("g") == {"1", "é\0"}
    assert backend.group_users("g\0") == {"2"}
    assert backend.group_users("h") == set()


def set_users(backend: Backend, receiver: Recorder, *users: str) -> None:
    changed = set(users) ^ set(receiver.users)
    receiver.users = dict.fromkeys(users, 1)
    for user in changed:
        backend.user_changed(user)


def test_it_tells_who_comes_and_who_goes(start: Start) -> None:
    backend, receiver = start(presence_grace_seconds=0.1)
    set_users(backend, receiver, "1", "é ")
    eventually(lambda: len(receiver.told) == 2)
    assert sorted(receiver.told) == [("1", True), ("é ", True)]
    receiver.users["1"] = 2
    backend.user_changed("1")
    set_users(backend, receiver, "1")
    eventually(lambda: len(receiver.told) == 3)
    set_users(backend, receiver)
    eventually(lambda: len(receiver.told) == 4)
    set_users(backend, receiver, "1")
    eventually(lambda: len(receiver.told) == 5)
    assert receiver.told[2:] == [("é ", False), ("1", False), ("1", True)]


def test_who_comes_back_within_the_grace_has_not_gone(start: Start) -> None:
    backend, receiver = start(presence_grace_seconds=3.0)
    other, _ = start(presence_grace_seconds=3.0) if backend.remote else (backend, None)
    set_users(backend, receiver, "1", "2")
    eventually(lambda: len(receiver.told) == 2)
    eventually(lambda: other.is_user_connected("1"))
    set_users(backend, receiver, "2")
    eventually(lambda: not other.is_user_connected("1"))
    set_users(backend, receiver, "1", "2")
    eventually(lambda: other.is_user_connected("1"))
    # Who leaves later is told of later: by then all is known of the first, too.
    set_users(backend, receiver, "1")
    eventually(lambda: len(receiver.told) > 2)
    assert receiver.told[2:] == [("2", False)]


def test_a_removal_arrives_in_its_turn(start: Start) -> None:
    backend, receiver = start()
    events = [Event(data="before"), Removal.event("ä b"), Event(data="after")]
    positions = backend.append(events)
    eventually(lambda: len(receiver.entries) == 2)
    [removal] = receiver.removals
    assert removal.user == "user:ä b"
    assert removal.position == positions[1]
    assert receiver.texts == ["before", "after"]


def test_joins_and_leaves_arrive_in_their_turn(start: Start) -> None:
    backend, receiver = start()
    user, group = 'ä "b"', "g\0:h"
    positions = backend.append(
        [
            Event(data="before"),
            Membership.event(user, group, joins=True),
            Event(data="between"),
            Membership.event(user, group, joins=False),
            Event(data="after"),
        ]
    )
    eventually(lambda: len(receiver.entries) == 3)
    joined, left = receiver.memberships
    assert (joined.user, joined.group) == (f"user:{user}", f"group:{group}")
    assert (left.user, left.group) == (joined.user, joined.group)
    assert (joined.joins, left.joins) == (True, False)
    assert [joined.position, left.position] == [positions[1], positions[3]]
    assert receiver.texts == ["before", "between", "after"]


@pytest.mark.parametrize("data", ["", "1", "{}", '["1"]', '["1", 2]', '["", "g"]'])
def test_a_join_that_names_nobody_is_refused(data: str) -> None:
    event = Event(name="join", data=data, channel=CONTROL, store=False)
    with pytest.raises(EventError):
        Membership.read(event, START)


def test_health_is_json_and_reachable(start: Start) -> None:
    backend, _ = start()
    health = backend.health()
    assert health["reachable"] is True
    assert health["kind"] in ("memory", "redis")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    for name in list(__import__("sys").modules):
        if name.startswith("flask_sse_push.log.redis"):
            monkeypatch.delitem(__import__("sys").modules, name)
    with pytest.raises(ConfigError, match=r"flask_sse_push\[redis\]") as caught:
        make_backend(Config(backend_url="redis://:secret@host"))
    assert "secret" not in str(caught.value)


def test_a_mailbox_tells_of_what_it_let_go(start: Start) -> None:
    backend, _ = start(mailbox_size=3)
    positions = backend.append([to_user("1", str(n)) for n in range(3)])
    assert backend.unread("1", START).lost is None
    positions += backend.append([to_user("1", str(n)) for n in range(3, 5)])
    assert backend.unread("1", START).lost == positions[1]
    assert backend.unread("1", positions[0]).lost == positions[1]
    assert backend.unread("1", positions[1]).lost is None
    assert backend.unread("2", START).lost is None


def test_what_was_acknowledged_is_no_loss(start: Start) -> None:
    backend, _ = start(mailbox_size=3)
    positions = backend.append([to_user("1", str(n)) for n in range(5)])
    backend.acknowledge("1", positions[0])
    assert backend.unread("1", START).lost == positions[1]
    backend.acknowledge("1", positions[1])
    assert backend.unread("1", START).lost is None
    assert texts(backend, "1") == ["2", "3", "4"]


def test_a_mailbox_that_was_emptied_in_time_has_lost_nothing(start: Start) -> None:
    backend, _ = start(mailbox_size=3)
    for number in range(10):
        [position] = backend.append([to_user("1", str(number))])
        backend.acknowledge("1", position)
    assert backend.unread("1", START).lost is None


def test_events_that_grew_too_old_are_a_loss(start: Start) -> None:
    backend, _ = start(mailbox_seconds=0.5)
    [position] = backend.append([to_user("1", "old")])
    eventually(lambda: backend.unread("1", START).lost == position)
    assert not backend.unread("1", START).entries


def test_several_mailboxes_are_acknowledged_at_once(start: Start) -> None:
    backend, _ = start()
    users = [str(n) for n in range(450)]
    first = {u: backend.append([to_user(u, "a"), to_user(u, "b")])[0] for u in users}
    backend.acknowledge_all(first)
    assert all(texts(backend, user) == ["b"] for user in users)


def test_an_event_can_be_kept_without_a_mailbox(start: Start) -> None:
    backend, receiver = start()
    backend.append([to_user("1", "a", mailbox=False), to_user("1", "b")])
    eventually(lambda: len(receiver.entries) == 2)
    assert texts(backend, "1") == ["b"]
    assert [entry.mailbox for entry in receiver.entries] == [False, True]
    assert all(entry.store for entry in receiver.entries)
