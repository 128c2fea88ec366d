"""Plots of one run: ``python -m benchmarks.plots FIGURES.json DIRECTORY``.

Writes one SVG file for each figure, to be included in a page: text and bars have the
colour of the text around them, so they are readable on light and dark backgrounds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

_WIDTH = 360
_TOP = 30
_ROW = 36
_BAR = 12
_VALUE = 64
_ACCENT = "#3b82f6"


class Bar(NamedTuple):
    """One bar; ``is_ours`` highlights it."""

    label: str
    value: float
    is_ours: bool


class Plot(NamedTuple):
    """One plot that compares the servers.

    :param key: the figure's name in the JSON.
    :param digits: decimals of the values.
    """

    file: str
    key: str
    title: str
    unit: str
    digits: int


PLOTS = [
    Plot("paced", "paced_us", "CPU per delivery, one broadcast at a time", "µs", 1),
    Plot("burst", "burst_us", "CPU per delivery, 40 events in a burst", "µs", 2),
    Plot("memory", "memory_kib", "Memory of an idle connection", "KiB", 2),
    Plot("latency", "latency_p99_ms", "An event to one user: p99", "ms", 2),
    Plot("ping", "ping_p99_ms", "A request during broadcasts: p99", "ms", 1),
]


def svg(title: str, bars: Sequence[Bar], unit: str, digits: int) -> str:
    """A plot with one bar below each label, and the value after it."""
    height = _TOP + _ROW * len(bars)
    most = max(bar.value for bar in bars)
    values = [f"{bar.value:,.{digits}f} {unit}" for bar in bars]
    told = ", ".join(
        f"{bar.label} {value}" for bar, value in zip(bars, values, strict=True)
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' role="img" aria-label={quoteattr(f"{title}: {told}")}'
        ' font-family="inherit" font-size="12.5" fill="currentColor">',
        f'<text x="0" y="14" font-weight="600">{escape(title)}</text>',
    ]
    for place, (bar, value) in enumerate(zip(bars, values, strict=True)):
        top = _TOP + _ROW * place
        length = max(1.0, (_WIDTH - _VALUE) * bar.value / most)
        look = f'fill="{_ACCENT}"' if bar.is_ours else 'fill-opacity="0.35"'
        lines += [
            f'<text x="0" y="{top + 10}">{escape(bar.label)}</text>',
            f'<rect x="0" y="{top + 15}" width="{length:.1f}" height="{_BAR}" {look}/>',
            f'<text x="{length + 6:.1f}" y="{top + 25.5}">{value}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the figures and write the plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots")
    parser.add_argument(
        "figures", type=Path, help="a file written by python -m benchmarks --json"
    )
    parser.add_argument("directory", type=Path, help="the directory for the SVG files")
    options = parser.parse_args(arguments)
    figures = json.loads(options.figures.read_text())
    for plot in PLOTS:
        bars = [
            Bar(server["title"], server[plot.key], server["name"] == "push")
            for server in figures["servers"]
            if server[plot.key] is not None
        ]
        _write(options.directory / plot.file, svg(plot.title, bars, *plot[3:]))
    bars = [
        Bar(kind["title"], kind["us"], kind["title"].startswith("stream"))
        for kind in figures["connects"]
    ]
    _write(options.directory / "connects", svg("CPU per connect", bars, "µs", 0))


def _write(path: Path, text: str) -> None:
    path.with_suffix(".svg").write_text(text)


if __name__ == "__main__":
    main()
