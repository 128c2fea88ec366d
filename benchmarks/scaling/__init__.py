"""``python -m benchmarks.scaling``: what workers cost that share one Valkey.

The workers and Valkey are on one core, the load client and the publishing script on
another; CPU times are of single processes and exact. ``docs/scaling.rst`` explains
the figures and plans with them.
"""

from __future__ import annotations

from benchmarks.scaling.command import main

__all__ = ["main"]
