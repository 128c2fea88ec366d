"""The tests' own page: a click arrives where it is meant to."""

from __future__ import annotations

import pytest

from tests.support.browser import Page

pytestmark = pytest.mark.browser


def test_a_click_follows_an_element_that_moves(page: Page) -> None:
    page.run(
        """
        window.clicked = 0;
        window.missed = 0;
        const button = document.createElement("button");
        button.style.position = "absolute";
        button.onclick = (event) => {
          clicked += 1;
          event.stopPropagation();
        };
        document.body.append(button);
        document.documentElement.onclick = () => (missed += 1);
        let moves = 0;
        // Within a click's first steps it moves away, later it stays longer.
        (function move() {
          moves += 1;
          button.style.left = `${(moves % 5) * 90}px`;
          setTimeout(move, moves % 4 ? 1 : 60);
        })();
        """
    )
    for count in range(1, 11):
        page.click("button")
        assert page.run("clicked") == count
    assert page.run("missed") == 0
