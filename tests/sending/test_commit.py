from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import String, create_engine, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.pool import StaticPool

from flask_sse_push import ConfigError, PayloadError, RateLimitExceeded, SSEPush
from flask_sse_push.signals import event_failed, event_published
from flask_sse_push.testing import SSERecorder, StreamReader


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(String, primary_key=True)
    status: Mapped[str] = mapped_column(String)


@pytest.fixture
def sessions() -> Iterator[sessionmaker[Session]]:
    engine = create_engine("sqlite://", poolclass=StaticPool)

    # SQLAlchemy's documentation recommends this for SAVEPOINT with sqlite3.
    @event.listens_for(engine, "connect")
    def take_over(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    Base.metadata.create_all(engine)
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    with sessions() as session:
        yield session


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


def place(sse: SSEPush, session: Session, order_id: str) -> None:
    """Insert an order and send ada an event, as a view does."""
    order = Order(order_id=order_id, status="confirmed")
    session.add(order)
    sse.after_commit(session).send_to_user("ada", "order-update", order)


def told(recorder: SSERecorder) -> list[str]:
    return [sent.data["orderId"] for sent in recorder.sent_to("ada", "order-update")]


def test_events_leave_when_the_transaction_commits(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    place(sse, session, "1")
    place(sse, session, "2")
    session.flush()
    assert recorder.events == []
    session.commit()
    assert told(recorder) == ["1", "2"]


def test_once_per_commit(sse: SSEPush, session: Session, recorder: SSERecorder) -> None:
    place(sse, session, "1")
    session.commit()
    session.commit()
    assert told(recorder) == ["1"]
    place(sse, session, "2")
    session.commit()
    assert told(recorder) == ["1", "2"]


def test_a_rollback_drops_them(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    place(sse, session, "1")
    session.rollback()
    session.commit()
    assert recorder.events == []
    place(sse, session, "2")
    session.commit()
    place(sse, session, "3")
    session.rollback()
    assert told(recorder) == ["2"]


def test_a_commit_that_fails_drops_them(
    sse: SSEPush, sessions: sessionmaker[Session], recorder: SSERecorder
) -> None:
    with sessions() as first:
        place(sse, first, "1")
        first.commit()
    with sessions() as second:
        place(sse, second, "1")
        with pytest.raises(IntegrityError):
            second.commit()
        second.rollback()
        place(sse, second, "2")
        second.commit()
    assert told(recorder) == ["1", "2"]


def test_closing_the_session_drops_them(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    place(sse, session, "1")
    session.close()
    session.commit()
    assert recorder.events == []


def test_a_savepoint_that_is_rolled_back_drops_its_own(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    place(sse, session, "1")
    savepoint = session.begin_nested()
    place(sse, session, "2")
    savepoint.rollback()
    place(sse, session, "3")
    session.commit()
    assert told(recorder) == ["1", "3"]


def test_a_savepoint_that_is_released_waits_for_what_is_around_it(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    with session.begin_nested():
        place(sse, session, "1")
        with session.begin_nested():
            place(sse, session, "2")
        outer = session.begin_nested()
        with session.begin_nested():
            place(sse, session, "3")
        outer.rollback()
    assert recorder.events == []
    session.commit()
    assert told(recorder) == ["1", "2"]


def test_a_savepoint_inside_a_flush_is_part_of_the_one_around_it(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    def after_flush(session: Session, context: object) -> None:
        with session.begin_nested():
            sse.after_commit(session).broadcast("notification", {"message": "Hi"})

    event.listen(session, "after_flush", after_flush)
    outer = session.begin_nested()
    session.add(Order(order_id="1", status="confirmed"))
    session.flush()
    outer.rollback()
    session.commit()
    assert recorder.events == []
    session.add(Order(order_id="2", status="confirmed"))
    session.commit()
    assert len(recorder.broadcasts()) == 1


def test_released_savepoints_fall_with_the_transaction(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    with session.begin_nested():
        place(sse, session, "1")
    session.rollback()
    session.commit()
    assert recorder.events == []


def test_it_may_be_used_before_the_transaction_begins_and_inside_a_flush(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    def on_insert(mapper: object, connection: object, order: Order) -> None:
        sse.after_commit(session).send_to_user("ada", "order-update", order)

    sse.after_commit(session).broadcast("notification", {"message": "first"})
    with session.begin():
        event.listen(Order, "after_insert", on_insert)
        try:
            session.add(Order(order_id="1", status="confirmed"))
            session.flush()
        finally:
            event.remove(Order, "after_insert", on_insert)
        assert recorder.events == []
    assert [e.name for e in recorder.events] == ["notification", "order-update"]


def test_every_verb_and_its_options(
    app: Flask, sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    later = sse.after_commit(session)
    note = {"message": "Hi"}
    later.send_to_user(1, "notification", note, store=False, id="n-1")
    later.send_to_users([2, 3], "notification", note)
    later.send_to_group("admins", "notification", note)
    later.broadcast("notification", note)
    session.commit()
    channels = [event.channel for event in recorder.events]
    assert channels == ["user:1", "user:2", "user:3", "group:admins", "all"]
    assert recorder.events[0].data["id"] == "n-1"
    sse.user_loader(lambda: 1)
    with StreamReader(app.test_client(), last_event_id="1-0") as stream:
        names = [event.name for event in stream.take(2)]
    assert names == [
        "sse-push-gap",
        "notification",
    ]  # of the broadcast, not of the first event


def test_what_is_wrong_raises_now(
    sse: SSEPush, session: Session, recorder: SSERecorder
) -> None:
    later = sse.after_commit(session)
    with pytest.raises(PayloadError):
        later.send_to_users([1, 2], "order-update", {"order_id": "1"})
    later.send_to_user("ada", "notification", {"message": "Hi"}, rate_limit="1/hour")
    with pytest.raises(RateLimitExceeded):
        later.send_to_user("ada", "notification", {"message": "!"}, rate_limit="1/hour")
    session.commit()
    assert [event.data["message"] for event in recorder.events] == ["Hi"]


def test_a_scoped_session_is_asked_each_time(
    sse: SSEPush, sessions: sessionmaker[Session], recorder: SSERecorder
) -> None:
    scope = ["first request"]
    session = scoped_session(sessions, scopefunc=lambda: scope[0])
    later = sse.after_commit(session)
    later.broadcast("notification", {"message": "first"})
    scope[0] = "second request"
    later.broadcast("notification", {"message": "second"})
    session.commit()
    assert [event.data["message"] for event in recorder.events] == ["second"]
    session.remove()
    scope[0] = "first request"
    session.commit()
    assert [event.data["message"] for event in recorder.events] == ["second", "first"]
    session.remove()


def test_an_error_after_the_commit_does_not_break_it(
    app: Flask, sse: SSEPush, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: Flask, **kwargs: object) -> None:
        raise ZeroDivisionError

    sse.user_loader(lambda: None)
    place(sse, session, "1")
    place(sse, session, "2")
    with event_published.connected_to(fail, sender=app):
        session.commit()
    assert len(caplog.records) == 2
    says = "A receiver of the signal sse-push-event-published raised an error"
    assert says in caplog.text
    assert len(session.scalars(select(Order)).all()) == 2


def test_what_cannot_be_sent_after_the_commit_is_told(
    app: Flask, sse: SSEPush, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[Exception] = []

    def note(sender: Flask, error: Exception, **kwargs: object) -> None:
        failed.append(error)

    place(sse, session, "1")
    # The memory backend refuses to send if the server runs several processes.
    multiprocess = {"wsgi.multiprocess": True}
    with (
        event_failed.connected_to(note, sender=app),
        app.test_request_context(environ_overrides=multiprocess),
    ):
        session.commit()
    [error] = failed
    assert isinstance(error, ConfigError)
    assert "could not be sent after the commit" in caplog.text


def test_receivers_may_use_the_session(
    app: Flask, sse: SSEPush, session: Session
) -> None:
    counts = []

    def count(sender: Flask, **kwargs: object) -> None:
        counts.append(len(session.scalars(select(Order)).all()))

    place(sse, session, "1")
    with event_published.connected_to(count, sender=app):
        session.commit()
    assert counts == [1]


def test_it_takes_sessions_only(sse: SSEPush) -> None:
    with pytest.raises(ConfigError, match="Session or scoped_session"):
        sse.after_commit("session")  # type: ignore[arg-type]


def test_missing_sqlalchemy_is_named() -> None:
    script = """
        import sys
        sys.modules["sqlalchemy"] = sys.modules["sqlalchemy.orm"] = None
        from flask import Flask
        from flask_sse_push import ConfigError, SSEPush
        app = Flask("app")
        sse = SSEPush(app)
        sse.broadcast("n", {})
        try:
            sse.after_commit(object())
        except ConfigError as error:
            assert "pip install 'flask_sse_push[sqlalchemy]'" in str(error), error
        else:
            raise AssertionError("no ConfigError")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
