"""The colours of the example's style sheet: WCAG 2.2, success criterion 1.4.3 (AA)."""

from __future__ import annotations

import re

import pytest

from tests.support.servers import ROOT

CSS = (ROOT / "example/static/shop.css").read_text(encoding="utf-8")
_COLOUR = re.compile(r"--([\w-]+): (#[0-9a-f]{6});")
LIGHT_PART, DARK_PART = CSS.split("prefers-color-scheme: dark", 1)
LIGHT = dict(_COLOUR.findall(LIGHT_PART))
THEMES = {"light": LIGHT, "dark": LIGHT | dict(_COLOUR.findall(DARK_PART))}
#: Each colour of text with what it stands on.
TEXT = [
    *[(text, ground) for text in ("text", "soft") for ground in ("page", "panel")],
    *[("text", "tint"), ("soft", "tint"), ("main", "tint"), ("main", "page")],
    *[("on-main", "main"), ("on-main", "main-hover"), ("main", "panel")],
    *[(tone, f"{tone}-tint") for tone in ("green", "amber", "red", "blue")],
]


def luminance(colour: str) -> float:
    """The relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT)
def test_text_stands_out(theme: str, text: str, ground: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


def test_the_formula_by_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
