"""``python -m benchmarks.scaling``: the cost of workers that share one Valkey.

The workers and Valkey are on one core, the load client and the publishing script on
another; CPU times are exact and for single processes. ``docs/scaling.rst`` explains the
figures and uses them for planning.
"""

from __future__ import annotations

from benchmarks.scaling.command import main

__all__ = ["main"]
