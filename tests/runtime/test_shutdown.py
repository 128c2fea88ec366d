"""The end of a process stops what runs in it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.support.servers import ROOT


def test_one_that_cannot_be_stopped_does_not_keep_the_others_running() -> None:
    script = """
        import os
        from flask_sse_push.runtime.shutdown import stop_at_exit

        class Worker:
            def stop(self):
                print("stopped")

        class Stuck(Worker):
            def stop(self):
                raise OSError("no way")

        workers = [Worker(), Stuck(), Worker()]
        for worker in workers:
            stop_at_exit(worker)
        if os.fork() == 0:
            raise SystemExit  # these workers are its parent's
        os.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert done.stdout == "stopped\nstopped\n"
    assert "could not be stopped cleanly" in done.stderr
    assert "no way" in done.stderr
