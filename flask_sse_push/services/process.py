"""What the operating system knows about this process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_IMPORTED = time.monotonic()


def uptime_seconds() -> float:
    """Give the seconds since this process started, to the system's clock tick.

    Linux counts from the process's own start (proc(5), ``starttime``): in a forked
    worker, from the fork. Elsewhere, from when this module was first imported.
    """
    try:
        stat = Path("/proc/self/stat").read_text(errors="replace")
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        start_ticks = int(stat.rpartition(")")[2].split()[19])
        started = start_ticks / os.sysconf("SC_CLK_TCK")
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        uptime = time.monotonic() - _IMPORTED
    return round(max(uptime, 0.0), 3)


def memory_usage() -> dict[str, int]:
    """Give the memory of this process in bytes.

    :returns: ``rss`` (in memory now) and ``vms`` (address space) where ``/proc`` tells
        them, ``peakRss`` (most ever in memory) where ``getrusage(2)`` does.
    """
    usage: dict[str, int] = {}
    try:
        pages = Path("/proc/self/statm").read_text().split()
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        usage["rss"] = int(pages[1]) * page_bytes
        usage["vms"] = int(pages[0]) * page_bytes
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return usage
    # In KiB, but in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    usage["peakRss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return usage
