"""What is known of a server by the environment that it makes."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from flask_sse_push import ConfigError
from flask_sse_push.delivery.servers import require_fit_server, thread_count


class Channel:
    """waitress' channel, whose method it shows in the environment."""

    def __init__(self, threads: object) -> None:
        self.server = SimpleNamespace(adj=SimpleNamespace(threads=threads))

    def check_client_disconnected(self) -> bool:
        return False


def waitress(threads: object) -> dict[str, Any]:
    told = Channel(threads).check_client_disconnected
    return {
        "SERVER_SOFTWARE": "waitress",
        "wsgi.multithread": True,
        "waitress.client_disconnected": told,
    }


@pytest.mark.parametrize(("threads", "count"), [(4, 4), (0, None), ("4", None)])
def test_the_threads_of_waitress(threads: object, count: int | None) -> None:
    assert thread_count(waitress(threads)) == count


def test_the_threads_of_uwsgi_and_mod_wsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(cores=8))
    told = SimpleNamespace(threads_per_process=15)
    monkeypatch.setitem(sys.modules, "mod_wsgi", told)
    threaded = {"wsgi.multithread": True}
    assert thread_count({"uwsgi.version": b"2", **threaded}) == 8
    assert thread_count({"mod_wsgi.version": (5, 0), **threaded}) == 15
    assert thread_count(threaded) is None


@pytest.mark.parametrize(
    ("key", "has_threads", "remedy"),
    [
        ("gunicorn.socket", True, "-k gthread --threads N"),
        ("werkzeug.socket", True, "without '--without-threads'"),
        ("uwsgi.version", True, "'--threads N'"),
        ("uwsgi.version", False, "--enable-threads"),
        ("SERVER_SOFTWARE", True, "several threads"),
    ],
)
def test_a_server_with_one_thread_is_refused_with_the_remedy(
    key: str, has_threads: bool, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SimpleNamespace(has_threads=has_threads)
    monkeypatch.setitem(sys.modules, "uwsgi", told)
    environ = {key: "x", "wsgi.multithread": False}
    require_fit_server(environ, is_handed_off=True)
    with pytest.raises(ConfigError, match="one request at a time") as refused:
        require_fit_server(environ, is_handed_off=False)
    assert remedy in str(refused.value)


def test_a_test_client_is_no_server() -> None:
    require_fit_server({"wsgi.multithread": False}, is_handed_off=False)
