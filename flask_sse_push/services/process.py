"""The uptime and the memory of this process, as the operating system reports them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_IMPORTED = time.monotonic()


def uptime_seconds() -> float:
    """The seconds since this process started, accurate to the system's clock tick.

    On Linux this is the process's own start time (proc(5), ``starttime``); a forked
    worker starts with the fork. Elsewhere it is the first import of this module.
    """
    try:
        stat = Path("/proc/self/stat").read_text(errors="replace")
        # The command name, in parentheses, may itself contain spaces and parentheses.
        start_ticks = int(stat.rpartition(")")[2].split()[19])
        started = start_ticks / os.sysconf("SC_CLK_TCK")
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        uptime = time.monotonic() - _IMPORTED
    return round(max(uptime, 0.0), 3)


def memory_usage() -> dict[str, int]:
    """The memory of this process, in bytes.

    :returns: ``rss`` (resident memory) and ``vms`` (address space) if ``/proc`` is
        available, and ``peakRss`` (the highest ``rss``) if ``getrusage(2)`` is.
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
    # ru_maxrss is in KiB, but in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    usage["peakRss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return usage
