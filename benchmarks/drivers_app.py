"""An application that waits for a database, for ``python -m benchmarks.drivers``.

``DRIVER`` is one of :data:`QUERIES`, ``DATABASE_URL`` a PostgreSQL server and
``SQLITE_FILE`` a database that somebody else has locked.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import gevent
from flask import Flask

from flask_sse_push import SSEPush

SECONDS = 2
EVENT_SECONDS = 0.02

_STATEMENT = f"select pg_sleep({SECONDS})"


def _url() -> str:
    return os.environ["DATABASE_URL"]


def _execute(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(_STATEMENT)
    cursor.fetchall()
    connection.close()


def _psycopg() -> None:
    _execute(import_module("psycopg").connect(_url()))


def _psycopg2() -> None:
    _execute(import_module("psycopg2").connect(_url()))


def _psycogreen() -> None:
    import_module("psycogreen.gevent").patch_psycopg()
    _psycopg2()


def _pg8000() -> None:
    url = urlsplit(_url())
    _execute(
        import_module("pg8000.dbapi").connect(
            user=url.username,
            password=url.password,
            host=url.hostname or "localhost",
            port=url.port or 5432,
            database=url.path.lstrip("/"),
        )
    )


def _in_thread_pool() -> None:
    gevent.get_hub().threadpool.apply(_psycopg2)


def _sqlalchemy(driver: str) -> Callable[[], None]:
    def query() -> None:
        sqlalchemy = import_module("sqlalchemy")
        url = sqlalchemy.make_url(_url()).set(drivername=f"postgresql+{driver}")
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(_STATEMENT)).all()
        engine.dispose()

    return query


def _sqlite() -> None:
    connection = sqlite3.connect(os.environ["SQLITE_FILE"], timeout=SECONDS)
    try:
        connection.execute("insert into t values (1)")
    except sqlite3.OperationalError:  # still locked after the timeout
        pass
    finally:
        connection.close()


#: What a request does, by the name of the driver.
QUERIES: dict[str, Callable[[], None]] = {
    "none": lambda: gevent.sleep(SECONDS),
    "psycopg": _psycopg,
    "pg8000": _pg8000,
    "psycopg2 with psycogreen": _psycogreen,
    "psycopg2 in the thread pool": _in_thread_pool,
    "psycopg2": _psycopg2,
    "sqlalchemy, psycopg": _sqlalchemy("psycopg"),
    "sqlalchemy, psycopg2": _sqlalchemy("psycopg2"),
    "sqlite3, locked": _sqlite,
}


def create_app() -> Flask:
    """The application, with a route that waits for the database."""
    app = Flask(__name__)
    sse = SSEPush(app)

    @app.get("/ping")
    def ping() -> str:
        return "ok"

    @app.get("/start")
    def start() -> str:
        """Send everybody an event every ``EVENT_SECONDS``."""

        def send() -> None:
            while True:
                sse.broadcast("tick", {})
                gevent.sleep(EVENT_SECONDS)

        gevent.spawn(send)
        return "ok"

    @app.get("/query")
    def query() -> str:
        start = time.monotonic()
        QUERIES[os.environ["DRIVER"]]()
        return f"{time.monotonic() - start:.3f}"

    return app
