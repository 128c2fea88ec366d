"""The table that one run prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.figures import ConnectFigures, Figures

_Value = float | None

_ROWS: list[tuple[str, Callable[[Figures], _Value], int]] = [
    ("CPU µs/delivery, paced", lambda row: row.paced_us, 2),
    ("CPU µs/delivery, burst", lambda row: row.burst_us, 2),
    ("  each sent after the last answer", lambda row: row.burst_waiting_us, 2),
    ("ms until all have a broadcast", lambda row: row.paced_all_ms, 1),
    ("latency of a send p50, ms", lambda row: row.latency_p50_ms, 2),
    ("latency of a send p99, ms", lambda row: row.latency_p99_ms, 2),
    ("CPU µs/send, all connections", lambda row: row.send_us, 0),
    ("CPU µs/send, few connections", lambda row: row.send_few_us, 0),
    ("/ping during broadcasts p50, ms", lambda row: row.ping_p50_ms, 2),
    ("/ping during broadcasts p99, ms", lambda row: row.ping_p99_ms, 2),
    ("KiB/idle connection", lambda row: row.memory_kib, 2),
    ("CPU µs/connect", lambda row: row.connect_us, 0),
    ("lost", lambda row: sum(each.lost for each in row.tallies.values()), 0),
    ("doubled", lambda row: sum(each.doubled for each in row.tallies.values()), 0),
    ("reordered", lambda row: sum(each.reordered for each in row.tallies.values()), 0),
    ("stray", lambda row: sum(each.stray for each in row.tallies.values()), 0),
    ("hung up", lambda row: sum(each.hung_up for each in row.tallies.values()), 0),
    ("load client busy, %", lambda row: 100 * row.load_share, 0),
    (
        "delayed by others, most, %",
        lambda row: 100 * max(row.delayed.values(), default=0),
        1,
    ),
]


def render(results: Sequence[Figures], connects: Sequence[ConnectFigures]) -> str:
    """Both tables as text."""
    lines: list[str] = []
    if results:
        rows = [["", *(figures.title for figures in results)]]
        for label, value, digits in _ROWS:
            rows.append([label, *(_cell(value(each), digits) for each in results)])
        lines += columns(rows)
    if connects:
        lines += ["", f"CPU per connect, {connects[0].count} connects:"]
        rows = [
            [each.title, f"{each.us:.0f} µs", f"{each.tally.faults} faults"]
            for each in connects
        ]
        lines += columns(rows)
    return "\n".join(lines)


def _cell(value: _Value, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, in columns; the first is a row's label."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
