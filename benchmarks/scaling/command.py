"""The command line, and the parts in the order they run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.process import LOAD_CORE, pin, raise_descriptor_limit
from benchmarks.scaling.effort import Effort
from benchmarks.scaling.foreign import foreign
from benchmarks.scaling.latency import latency
from benchmarks.scaling.reconnects import reconnects
from benchmarks.scaling.results import Table
from benchmarks.scaling.start import start
from benchmarks.scaling.throughput import throughput
from benchmarks.scaling.valkey import Valkey
from benchmarks.table import columns

Part = Callable[[Valkey, Effort], Table]

# The parts of the measurement, by name.
PARTS: dict[str, Part] = {
    "throughput": throughput,
    "foreign": foreign,
    "reconnects": reconnects,
    "start": start,
    "latency": latency,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all parts, each with a Valkey of its own; 1 when events went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument(
        "--only", metavar="PARTS", help=f"measure only these: {','.join(PARTS)}"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to FILE"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    raise_descriptor_limit()
    pin(LOAD_CORE)
    effort = Effort.quick() if options.quick else Effort()
    tables: dict[str, Table] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        with Valkey() as valkey:
            table = tables[name] = PARTS[name](valkey, effort)
        print("\n".join([table.title, *columns(table.rows), ""]), flush=True)
    if options.json:
        report = {name: asdict(table) for name, table in tables.items()}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(table.faults for table in tables.values()) else 0
