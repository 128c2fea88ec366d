"""Measured processes: started on one core; CPU time, memory; stopped by their ids."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = 1
ROOT = Path(__file__).resolve().parent.parent

# The kernel's encoding of "CPU time of process p, scheduler's own count": exact to
# the nanosecond, all threads, and current even while the process runs on another
# core (glibc's clock_getcpuclockid() computes the same number).
_CPUCLOCK_SCHED = 2
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_MEMORY = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class StartError(RuntimeError):
    """Raised when a measured server does not start; contains its output."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open files to the hard limit, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(core: int) -> None:
    """Keep this process on one core, where the machine has that many.

    The parent's core does not matter: a child may use another one.
    """
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {core})


def _settle_in() -> None:
    # Runs in the child before exec: sets its core, and SIGTERM if the parent is killed.
    pin(SERVER_CORE)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def cpu_ns(pid: int) -> int:
    """CPU time the process has used, user and system, in nanoseconds."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def waited_ns(pid: int) -> int:
    """Time the process was ready to run while others had its core, in nanoseconds.

    The scheduler's own count; 0 where the kernel does not give it.
    """
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return 0


def core_busy_ns(core: int) -> int:
    """Time the core was not idle since boot, to the scheduler's tick."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            ticks = [int(field) for field in fields[:8]]
            busy = sum(ticks) - ticks[3] - ticks[4]
            return busy * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return 0


class Process:
    """A started program with all its children, pinned to the server's core.

    :param arguments: the command line.
    :param environment: added to this process's own.
    :param pipe: whether to keep its standard input and output.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        pipe: bool = False,
    ) -> None:
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        stream = subprocess.PIPE if pipe else subprocess.DEVNULL
        self.popen = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=stream,
            stdout=stream,
            stderr=self._log,
            preexec_fn=_settle_in,
        )

    def log(self) -> str:
        """The program's standard error output so far."""
        # Not seek() and read(): the program shares the file's position.
        descriptor = self._log.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode(errors="replace")

    def wait_for(self, pattern: str, *, seconds: float = 20.0) -> re.Match[str]:
        """Wait until the log matches ``pattern``.

        :raises StartError: the program ended, or the time passed.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.log()):
                return match
            if self.popen.poll() is not None:
                break
            time.sleep(0.02)
        raise StartError(f"no {pattern!r} from the server:\n{self.log()[-4000:]}")

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        found = [self.popen.pid]
        for pid in found:
            with contextlib.suppress(FileNotFoundError):
                path = Path(f"/proc/{pid}/task/{pid}/children")
                found.extend(int(child) for child in path.read_text().split())
        return found

    def cores(self) -> set[int]:
        """The cores that the processes may run on."""
        cores: set[int] = set()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                cores |= os.sched_getaffinity(pid)
        return cores

    def cpu_ns(self) -> int:
        """CPU time used by all the processes, in nanoseconds."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += cpu_ns(pid)
        return total

    def waited_ns(self) -> int:
        """Time the processes were ready to run while others had their core."""
        return sum(waited_ns(pid) for pid in self.pids())

    def settled_cpu_ns(self, *, quiet: float = 0.03, most: float = 3.0) -> int:
        """CPU time when the processes have become idle.

        :param quiet: seconds with less than 3 % use after which they count as idle.
        :param most: seconds after which the reading is taken anyway.
        """
        deadline = time.monotonic() + most
        last = self.cpu_ns()
        while time.monotonic() < deadline:
            time.sleep(quiet)
            now = self.cpu_ns()
            if now - last < quiet * 3e7:
                return now
            last = now
        return last

    def memory_bytes(self, pids: Sequence[int] = ()) -> int:
        """Memory of all the processes: proportional set size, shared pages once.

        :param pids: of these only.
        """
        total = 0
        for pid in pids or self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                if match := _MEMORY.search(text):
                    total += int(match[1]) * 1024
        return total

    def stop(self, *, seconds: float = 6.0) -> None:
        """Stop the program with SIGTERM, and after ``seconds`` with SIGKILL."""
        # A pidfd always refers to the same process, even if its id is reused.
        handles = []
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        self.popen.wait(seconds)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._log.close()


def wait_for_quiet_core(*, seconds: float) -> None:
    """Wait until the server's core is under 10 % busy, or the time has passed.

    :param seconds: bound on the wait; 0 does not look at all.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        start, busy = time.monotonic_ns(), core_busy_ns(SERVER_CORE)
        time.sleep(0.4)
        if core_busy_ns(SERVER_CORE) - busy < (time.monotonic_ns() - start) // 10:
            return
