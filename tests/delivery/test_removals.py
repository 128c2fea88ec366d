"""Whose connections were removed of late."""

from __future__ import annotations

from flask_sse_push.delivery.removals import Removals
from flask_sse_push.events import Removal, user_channel

ADA, BOB, EVE = map(user_channel, ["ada", "bob", "eve"])


def test_the_newest_removal_of_a_user_counts() -> None:
    removals = Removals()
    removals.note(Removal((5, 0), ADA))
    removals.note(Removal((7, 0), ADA))
    assert removals.has_after(ADA, (6, 0))
    assert not removals.has_after(ADA, (7, 0))
    assert not removals.has_after(BOB, (1, 0))


def test_what_is_forgotten_counts_for_everybody() -> None:
    removals = Removals(most=2)
    removals.note(Removal((5, 0), ADA))
    removals.note(Removal((6, 0), BOB))
    removals.note(Removal((7, 0), ADA))
    assert not removals.has_after(EVE, (4, 0))
    removals.note(Removal((8, 0), EVE))
    assert removals.has_after(BOB, (5, 9))
    assert removals.has_after(user_channel("new"), (5, 9))
    assert not removals.has_after(user_channel("new"), (6, 0))
    assert removals.has_after(ADA, (6, 5))
