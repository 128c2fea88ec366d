"""Where work that needs an event loop is done, in a process that gevent has patched."""

from __future__ import annotations

import threading

from flask_sse_push.runtime.concurrency import current_loop, run_on_loop
from flask_sse_push.runtime.loops import has_loop
from tests.runtime.test_concurrency import run_patched


def test_a_process_that_is_not_patched_needs_no_loop() -> None:
    assert has_loop()
    assert current_loop() is None
    assert run_on_loop(threading.get_ident) == threading.get_ident()


def test_native_threads_share_one_loop() -> None:
    run_patched(
        """
        from flask_sse_push.runtime.concurrency import current_loop, run_on_loop, sleep
        from flask_sse_push.runtime.loops import has_loop
        from flask_sse_push.runtime.native import thread_id

        def work():
            sleep(0.01)
            return thread_id(), has_loop(), current_loop()

        def delegate():
            return thread_id(), has_loop(), current_loop(), run_on_loop(work)

        here = thread_id()
        assert run_on_loop(work) == (here, True, gevent.get_hub().loop)
        answers = [in_native_thread(delegate) for _ in range(3)]
        for thread, has_one, loop, (worker, worker_has_one, _) in answers:
            assert not has_one and loop is None and thread != here
            assert worker_has_one and worker not in (here, thread)
        assert len({answer for *_, answer in answers}) == 1
        """
    )


def test_errors_come_back_to_the_native_thread() -> None:
    run_patched(
        """
        from flask_sse_push.runtime.concurrency import run_on_loop

        def fail():
            raise KeyError("why")

        def delegate():
            try:
                run_on_loop(fail)
            except KeyError as error:
                return error.args

        assert in_native_thread(delegate) == ("why",)
        """
    )


def test_native_threads_work_at_the_same_time() -> None:
    run_patched(
        """
        from flask_sse_push.runtime.concurrency import run_on_loop, sleep

        arrived = []

        def meet():
            arrived.append(None)
            while len(arrived) < 5:
                sleep(0.001)

        pool = gevent.get_hub().threadpool
        jobs = [pool.spawn(run_on_loop, meet) for _ in range(5)]
        for job in jobs:
            job.get(timeout=20)
        """
    )
