"""The newest events of keys, in memory: bounded by count, age and bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flask_sse_push.events import ALL, START, Entry, Event, parse_channel
from flask_sse_push.log.retained import Retained


def entry(ms: int, key: str | None, channel: str = "all", data: str = "") -> Entry:
    return Event(data=data, channel=channel, retain=key).at((ms, 0))


def make(size: int = 10, most_bytes: int = 100_000, now: float = 0.0) -> Retained:
    return Retained(size=size, seconds=10, most_bytes=most_bytes, clock=lambda: now)


def test_bytes_are_bounded_over_all_channels() -> None:
    retained = make(most_bytes=5_000)
    for number in range(20):
        retained.keep(entry(number + 1, "key", f"user:{number}", "x" * 500))
    assert len(retained) == 4
    newest = [parse_channel(f"user:{number}") for number in range(16, 20)]
    assert len(retained.after(newest, START)) == 4


def test_an_event_larger_than_all_that_may_be_kept_leaves_nothing_behind() -> None:
    retained = make(most_bytes=100)
    retained.keep(entry(1, "key", data="x" * 500))
    assert len(retained) == 0
    assert retained.after([ALL], START) == []


def test_what_is_too_old_goes() -> None:
    now = [0.0]
    retained = Retained(size=10, seconds=10, most_bytes=100_000, clock=lambda: now[0])
    retained.keep(entry(1_000, "a"))
    retained.keep(entry(5_000, "b"))
    now[0] = 12.0
    assert [e.retain for e in retained.after([ALL], START)] == ["b"]
    now[0] = 20.0
    assert retained.after([ALL], START) == []
    assert len(retained) == 0


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([*"xyz", None]))),
    st.integers(1, 3),
)
def test_it_holds_the_newest_of_the_newest_keys(
    sent: list[tuple[str, str | None]], size: int
) -> None:
    retained = make(size)
    newest: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    for ms, (user, key) in enumerate(sent, 1):
        retained.keep(entry(ms, key, f"user:{user}"))
        if key is not None:
            keys = newest[user]
            keys.pop(key, None)
            keys[key] = ms
            if len(keys) > size:
                del keys[next(iter(keys))]
    for user, keys in newest.items():
        held = retained.after([parse_channel(f"user:{user}")], START)
        assert {e.retain: e.position[0] for e in held} == keys
        assert [e.position[0] for e in held] == sorted(keys.values())
    assert len(retained) == sum(map(len, newest.values()))
