from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from flask_sse_push import BackendError, EventError, PayloadError, SSEPush
from flask_sse_push.application.state import state_of
from flask_sse_push.events import START
from flask_sse_push.log import MemoryBackend
from flask_sse_push.sending import progress as progress_module
from flask_sse_push.sending.progress import Progress
from flask_sse_push.testing import SSERecorder, StreamReader
from tests.support.clients import eventually

#: A rate so high that no event is held back.
UNBOUNDED = 1e9


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


def test_an_outage_holds_up_the_work_by_a_tenth_at_most(
    app: Flask, sse: SSEPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    tries: list[str] = []

    def send(channels: object, event: object, data: Any, options: object) -> None:
        nonlocal now
        tries.append(data["status"])
        now += 10.0  # as long as a Publisher tries
        raise BackendError("away")

    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now))
    sender = SimpleNamespace(send=send)
    progress: Progress[Any] = Progress(sender, "ada", total=400)  # type: ignore[arg-type]
    with progress:
        for _ in range(400):
            now += 1.0
            progress.advance()
    assert tries == ["running"] * 5 + ["done"]
    assert progress.current == 400


def test_a_block_ends_in_done(sse: SSEPush, recorder: SSERecorder) -> None:
    with sse.progress("ada", total=3, message="Importing", rate=UNBOUNDED) as progress:
        progress.advance()
        progress.update(current=3, message="Nearly there")
    told = [
        (e.data["status"], e.data["current"], e.data["percent"], e.data["message"])
        for e in recorder.sent_to("ada", "progress-update")
    ]
    assert told == [
        ("running", 0, 0.0, "Importing"),
        ("running", 1, 33.3, "Importing"),
        ("running", 3, 100.0, "Nearly there"),
        ("done", 3, 100.0, "Nearly there"),
    ]
    assert {e.data["taskId"] for e in recorder.events} == {progress.task_id}


def test_an_exception_ends_in_failed_and_its_text_is_not_sent(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    def work() -> None:
        with sse.progress("ada", total=3, failed_message="The import failed.") as done:
            done.advance()
            raise RuntimeError("secret")

    with pytest.raises(RuntimeError, match="secret"):
        work()
    last = recorder.events[-1].data
    assert (last["status"], last["current"]) == ("failed", 1)
    assert last["message"] == "The import failed."
    assert "secret" not in json.dumps([e.data for e in recorder.events])


def test_a_failure_without_a_message_sends_none(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with pytest.raises(KeyError), sse.progress("ada", message="Step 1 of 2"):
        raise KeyError
    assert "message" not in recorder.events[-1].data


def test_the_rate_bounds_what_is_between_first_and_last(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with sse.progress("ada", total=1000, rate=1 / 3600) as progress:
        for _ in range(1000):
            progress.advance()
    told = [(e.data["status"], e.data["current"]) for e in recorder.events]
    assert told == [("running", 0), ("done", 1000)]


def test_after_the_pause_the_newest_state_is_sent(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with sse.progress("ada", total=5, rate=50) as progress:
        progress.advance()
        end = time.monotonic() + 10
        while len(recorder.events) == 1 and time.monotonic() < end:
            time.sleep(0.005)
            progress.update(current=4)
        assert recorder.events[-1].data["current"] == 4
    assert recorder.events[-1].data["status"] == "done"


def test_an_iterable_is_counted(sse: SSEPush, recorder: SSERecorder) -> None:
    seen = list(sse.progress("ada", ["a", "b"], task_id="t", rate=UNBOUNDED))
    assert seen == ["a", "b"]
    told = [(e.data["status"], e.data["current"]) for e in recorder.events]
    assert told == [("running", 0), ("running", 1), ("running", 2), ("done", 2)]
    assert {(e.data["total"], e.data["taskId"]) for e in recorder.events} == {(2, "t")}


def test_an_iterable_of_unknown_length_has_no_total(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    assert len(list(sse.progress("ada", iter(range(3))))) == 3
    assert recorder.events[-1].data["current"] == 3
    assert "total" not in recorder.events[-1].data
    assert "percent" not in recorder.events[-1].data


def test_an_exception_in_the_iterable_ends_in_failed(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    def rows() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(sse.progress("ada", rows()))
    assert recorder.events[-1].data["status"] == "failed"


def test_a_loop_left_early_ends_in_failed(sse: SSEPush, recorder: SSERecorder) -> None:
    items = iter(sse.progress("ada", range(3)))
    next(items)
    del items
    eventually(lambda: recorder.events[-1].data["status"] == "failed")


def test_a_loop_may_end_where_nothing_may_be_waited_for(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    # The garbage collector may end one while this thread holds the event log's lock.
    backend = state_of(app).engine.backend
    assert isinstance(backend, MemoryBackend)
    steps = iter(sse.progress("ada", range(3)))
    assert isinstance(steps, Generator)
    next(steps)

    def end() -> None:
        with backend._lock:
            steps.close()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    eventually(lambda: recorder.events[-1].data["status"] == "failed")


def test_within_with_a_loop_may_be_left(sse: SSEPush, recorder: SSERecorder) -> None:
    with sse.progress("ada", range(3)) as progress:
        for item in progress:
            if item == 1:
                break
    assert recorder.events[-1].data["status"] == "done"
    assert recorder.events[-1].data["current"] == 1
    assert len([e for e in recorder.events if e.data["status"] == "done"]) == 1


def test_a_total_that_was_too_small_grows(sse: SSEPush, recorder: SSERecorder) -> None:
    with sse.progress("ada", total=2, rate=UNBOUNDED) as progress:
        progress.advance(3)
        progress.update(total=4)
    assert [e.data["total"] for e in recorder.events] == [2, 3, 4, 4]


def test_running_states_are_ephemeral_and_the_end_is_kept(
    app: Flask, sse: SSEPush
) -> None:
    with sse.progress("ada", total=2, rate=UNBOUNDED) as progress:
        progress.advance()
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        sse.send_to_user("ada", "notification", {"message": "marker"})
        kept = stream.take(2)
    assert kept[0].data["status"] == "done"
    assert kept[1].data["message"] == "marker"


def test_updates_coalesce_by_task(app: Flask, sse: SSEPush) -> None:
    history = state_of(app).engine.hub.history
    with sse.progress("ada", task_id="import-7"):
        pass
    [entry] = history.after(["user:ada"], START)
    assert entry.coalesce == "import-7"


def test_the_work_goes_on_when_an_update_cannot_be_sent(
    app: Flask, sse: SSEPush, recorder: SSERecorder, caplog: pytest.LogCaptureFixture
) -> None:
    sse.limit("progress-update", "1/hour")
    done = list(sse.progress("ada", range(3), rate=UNBOUNDED))
    assert done == [0, 1, 2]
    assert len(recorder.events) == 1
    assert "could not be sent" in caplog.text


def test_bad_data_raises(sse: SSEPush, recorder: SSERecorder) -> None:
    with pytest.raises(PayloadError), sse.progress("ada", message=b"bytes"):  # type: ignore[call-overload]
        pytest.fail("the work must not begin")
    with sse.progress("ada", total=3) as progress:
        # It raises even if the rate holds the event back.
        with pytest.raises(EventError, match="must not be below 0"):
            progress.update(current=-1)
        with pytest.raises(EventError, match="must not be below 0"):
            progress.advance(-1)
    assert recorder.events[-1].data["current"] == 0


def test_a_task_may_start_again(sse: SSEPush, recorder: SSERecorder) -> None:
    with sse.progress("ada", total=3, rate=UNBOUNDED) as progress:
        progress.advance(2)
        progress.update(current=0)
        progress.advance(3)
    assert [e.data["current"] for e in recorder.events] == [0, 2, 0, 3, 3]


def test_it_is_used_once_and_only_inside(sse: SSEPush) -> None:
    progress = sse.progress("ada", total=1)
    with pytest.raises(EventError, match="This progress is not running"):
        progress.advance()
    with pytest.raises(EventError, match="nothing to iterate over"):
        next(iter(progress))
    with progress:
        progress.advance()
    with pytest.raises(EventError, match="This progress is not running"):
        progress.advance()
    with pytest.raises(EventError, match="used only once"):
        progress.__enter__()
    with pytest.raises(EventError, match="above 0"):
        sse.progress("ada", rate=0)
