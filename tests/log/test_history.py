"""The history: which entries are kept, and that every loss shows as a gap."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flask_sse_push.events import START, Entry, Position, parse_channel
from flask_sse_push.log import history as history_module
from flask_sse_push.log.history import History

CHANNELS = ("all", "user:1", "user:2", "group:a")


def make(size: int = 100, seconds: float = 60.0, most_bytes: int = 10**6) -> History:
    return History(
        size=size, seconds=seconds, most_bytes=most_bytes, clock=lambda: 1000.0
    )


def entry(ms: int, channel: str = "all", seq: int = 0, size: int = 10) -> Entry:
    return Entry((ms, seq), parse_channel(channel), b"x" * size)


def positions(entries: list[Entry]) -> list[Position]:
    return [entry.position for entry in entries]


def test_what_is_newer_than_the_cursor_comes_in_log_order() -> None:
    history = make()
    for ms, channel in ((999_991, "user:1"), (999_992, "all"), (999_993, "user:1")):
        history.add(entry(ms, channel))
    found = history.after(("all", "user:1", "group:none"), (999_991, 0))
    assert positions(found) == [(999_992, 0), (999_993, 0)]


def test_a_full_channel_lets_its_oldest_go_and_leaves_the_others_alone() -> None:
    history = make(size=2)
    history.add(entry(999_990, "user:1"))
    for ms in (999_991, 999_992, 999_993):
        history.add(entry(ms))
    assert positions(history.after(("all",), START)) == [(999_992, 0), (999_993, 0)]
    assert history.floor(("all",)) == (999_991, 0)
    assert history.floor(("user:1",)) == START
    assert history.floor(("user:1", "all")) == (999_991, 0)


def test_age_lets_go_and_the_floor_outlives_the_channel() -> None:
    history = make(seconds=1.0)
    history.add(entry(998_000, "user:1"))
    history.add(entry(999_500, "user:2"))
    assert len(history) == 1
    assert history.floor(("user:1",)) == (998_000, 0)
    history.add(entry(999_600, "user:1"))
    assert history.floor(("user:1",)) == (998_000, 0)


def test_however_much_is_too_old_one_call_lets_go_of_a_part_only() -> None:
    now = 1000.0
    history = History(size=10_000, seconds=60.0, most_bytes=10**9, clock=lambda: now)
    for number in range(10_000):
        history.add(entry(999_000, seq=number))
    now = 2000.0
    lengths = [len(history)]
    while lengths[-1]:
        history.expire()
        lengths.append(len(history))
        assert 0 < lengths[-2] - lengths[-1] <= 1_000


def test_bytes_bound_all_channels_together_and_the_oldest_go_first() -> None:
    history = make(most_bytes=3_000)
    for number in range(10):
        history.add(entry(999_000 + number, f"user:{number}", size=500))
    assert history.bytes <= 3_000
    assert len(history) == 3
    assert history.floor(("user:6",)) == (999_006, 0)
    assert history.floor(("user:7",)) == START


def test_an_entry_larger_than_the_bound_is_not_kept() -> None:
    history = make(most_bytes=100)
    history.add(entry(999_000))
    assert len(history) == 0
    assert history.floor(("all",)) == (999_000, 0)


def test_acknowledged_entries_are_no_loss() -> None:
    history = make()
    for ms in (999_001, 999_002, 999_003):
        history.add(entry(ms, "user:1"))
    assert history.discard("user:1", (999_002, 0)) == 2
    assert history.discard("user:1", (999_002, 0)) == 0
    assert history.discard("user:none", (999_002, 0)) == 0
    assert history.floor(("user:1",)) == START
    assert positions(history.after(("user:1",), START)) == [(999_003, 0)]


def test_single_entries_are_discarded_and_with_them_what_was_lost_before() -> None:
    history = make(size=3)
    for number in range(1, 5):
        history.add(entry(999_000 + number, "user:1"))
    history.add(entry(999_009, "user:2"))
    assert history.floor(("user:1",)) == (999_001, 0)
    assert history.discard_each("user:1", [(999_001, 0), (1, 0)]) == 0
    assert history.floor(("user:1",)) == (999_001, 0)
    assert history.discard_each("user:1", [(999_003, 0), (999_009, 0)]) == 1
    assert history.floor(("user:1",)) == START
    left = [(999_002, 0), (999_004, 0)]
    assert positions(history.after(("user:1",), START)) == left
    assert history.discard_each("user:1", left) == 2
    assert history.discard_each("user:1", left) == 0
    assert positions(history.after(("user:2",), START)) == [(999_009, 0)]


def test_floors_that_are_forgotten_raise_the_floor_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "_MOST_FLOORS", 2)
    history = make(seconds=1.0)
    for number in (1, 2, 3):
        history.add(entry(998_000 + number, f"user:{number}"))
    history.add(entry(999_500))
    # Of user 1 nothing is known any more: no floor may be lower than what is forgotten.
    for user, floor in ((1, 998_001), (2, 998_002), (3, 998_003), (9, 998_001)):
        assert history.floor((f"user:{user}",)) == (floor, 0)


def test_reset_forgets_everything_and_says_so() -> None:
    history = make()
    history.add(entry(999_001))
    history.reset((999_500, 0))
    assert len(history) == history.bytes == 0
    assert history.floor(("all", "user:1")) == (999_500, 0)


class Forgetting(RuleBasedStateMachine):
    """Compare with a full history: a resume loses no entry without a gap."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.history = History(
            size=4, seconds=50.0, most_bytes=5_000, clock=lambda: self.now
        )
        self.all: list[Entry] = []

    @rule(
        channel=st.sampled_from(CHANNELS),
        step=st.integers(0, 5),
        size=st.integers(0, 900),
    )
    def add(self, channel: str, step: int, size: int) -> None:
        self.now += step
        last = self.all[-1].position if self.all else START
        now = int(self.now * 1000)
        position = (now, 0) if now > last[0] else (last[0], last[1] + 1)
        added = Entry(position, parse_channel(channel), b"x" * size)
        self.all.append(added)
        self.history.add(added)

    @rule(step=st.integers(0, 80))
    def wait(self, step: int) -> None:
        self.now += step
        self.history.expire()

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        for channels in (CHANNELS, *((name,) for name in CHANNELS)):
            floor = self.history.floor(channels)
            for cursor in (START, *(known.position for known in self.all)):
                expected = [
                    known.position
                    for known in self.all
                    if known.channel in channels and known.position > cursor
                ]
                held = positions(self.history.after(channels, cursor))
                if cursor >= floor:
                    assert held == expected
                else:
                    assert held == [p for p in expected if p in set(held)]
                    assert held != expected

    @invariant()
    def the_bounds_hold(self) -> None:
        assert self.history.bytes <= 5_000
        assert all(len(self.history.after((name,), START)) <= 4 for name in CHANNELS)


TestForgetting = Forgetting.TestCase
TestForgetting.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None
)
