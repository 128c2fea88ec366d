"""``python -m benchmarks.scaling`` as a process: its signals and its exit status."""

from __future__ import annotations

import signal
import sys

from benchmarks.scaling import main


def interrupt(*_: object) -> None:
    """SIGTERM ends the run like Ctrl-C: all servers are stopped first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
