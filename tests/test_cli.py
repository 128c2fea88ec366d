"""The commands of ``flask sse``, run as a deployment runs them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_sse_push import SSEPush
from tests.support.redis_server import RedisServer, free_port

_APP = """
import os
from flask import Flask
from flask_sse_push import SSEPush

app = Flask(__name__)
for name, value in os.environ.items():
    if name.startswith("SSE_PUSH_"):
        app.config[name] = value
"""
_READY = """
sse = SSEPush(app)
sse.user_loader(lambda: None)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def flask_sse(
    folder: Path, *arguments: str, code: str = _READY, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run ``flask sse`` for an application that ``SSE_PUSH_*`` variables configure."""
    (folder / "shop.py").write_text(_APP + code)
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "shop", "sse", *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def check(
    folder: Path, *, status: int, code: str = _READY, **environ: str
) -> dict[str, list[dict[str, str]]]:
    """The findings of ``flask sse check --json``, by level."""
    done = flask_sse(folder, "check", "--json", code=code, **environ)
    assert done.returncode == status, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is (status == 0)
    found: dict[str, list[dict[str, str]]] = {"ok": [], "warning": [], "error": []}
    for finding in report["findings"]:
        assert finding.keys() == {"level", "subject", "message", "remedy"}
        assert bool(finding["remedy"]) == (finding["level"] != "ok")
        found[finding["level"]].append(finding)
    return found


def test_an_application_in_order_passes(tmp_path: Path) -> None:
    done = flask_sse(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    found = check(tmp_path, status=0)
    assert not found["warning"]


def test_a_wrong_setting_is_a_finding_though_the_application_cannot_be_loaded(
    tmp_path: Path,
) -> None:
    found = check(tmp_path, status=1, SSE_PUSH_RETRY_MS="soon")
    [error] = found["error"]
    assert error["message"].startswith("SSE_PUSH_RETRY_MS must be a whole number")
    done = flask_sse(tmp_path, "check", SSE_PUSH_BACKEND_URL="redsi://h:1/0")
    assert done.returncode == 1
    assert "SSE_PUSH_BACKEND_URL must be a URL" in done.stdout


def test_an_application_without_the_extension_is_told_to_call_init_app(
    tmp_path: Path,
) -> None:
    [error] = check(tmp_path, status=1, code="")["error"]
    assert "sse.init_app(app)" in error["remedy"]


def test_what_may_surprise_is_a_warning(tmp_path: Path) -> None:
    code = """
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql://localhost/shop"
app.config["SSE_PUSH_MAX_CONNECTIONS"] = 10**9
sse = SSEPush(app)
sse.groups_loader(lambda user_id: [])
"""
    environ = {"SSE_PUSH_HEARTBEAT": "5"}
    found = check(tmp_path, status=0, code=code, **environ)
    texts = " ".join(w["message"] + w["remedy"] for w in found["warning"])
    for part in (
        "SSE_PUSH_HEARTBEAT is not a setting",
        "did you mean SSE_PUSH_HEARTBEAT_SECONDS?",
        "No user_loader is registered",
        "A groups_loader is registered, but",
        "psycopg2, which blocks",
    ):
        assert part in texts
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] != resource.RLIM_INFINITY:
        assert "SSE_PUSH_MAX_CONNECTIONS is 1000000000" in texts


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"WEB_CONCURRENCY": "4"}, "4 workers"),
        ({"GUNICORN_CMD_ARGS": "--workers=2 -k gevent"}, "2 workers"),
        ({"GUNICORN_CMD_ARGS": "-w 1 -k sync", "WEB_CONCURRENCY": "3"}, "sync workers"),
        ({"GUNICORN_CMD_ARGS": "-k gevent"}, None),
        ({"GUNICORN_CMD_ARGS": "'", "WEB_CONCURRENCY": "many"}, None),
    ],
)
def test_what_the_environment_says_of_the_server(
    tmp_path: Path, environ: dict[str, str], says: str | None
) -> None:
    found = check(tmp_path, status=0 if says is None else 1, **environ)
    if says is not None:
        [error] = found["error"]
        assert says in error["message"]
        assert error["subject"] == "server"


@pytest.mark.redis
def test_a_server_that_answers(tmp_path: Path, server: RedisServer) -> None:
    environ = {"SSE_PUSH_BACKEND_URL": server.url, "SSE_PUSH_RATE_LIMIT": "5/minute"}
    texts = [
        finding["message"] for finding in check(tmp_path, status=0, **environ)["ok"]
    ]
    assert any(text.startswith("Valkey 9") and server.url in text for text in texts)
    assert any(text.startswith("redis ") for text in texts)
    assert any(text.startswith("limits ") for text in texts)


@pytest.mark.redis
def test_a_server_that_does_not_answer_is_an_error_and_no_secret_is_shown(
    tmp_path: Path,
) -> None:
    url = f"redis://me:s3cret@127.0.0.1:{free_port()}/0?password=s3cret"
    done = flask_sse(tmp_path, "check", "--json", SSE_PUSH_BACKEND_URL=url)
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr
    assert "cannot be reached" in done.stdout


@pytest.mark.parametrize("is_installed", [True, False])
def test_extras_that_features_need(
    app: Flask, sse: SSEPush, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    from flask_sse_push.application import checks

    sse.limit("notification", "5/minute")
    if not is_installed:

        def version(name: str) -> Any:
            raise PackageNotFoundError(name)

        monkeypatch.setattr(checks, "version", version)
    result = app.test_cli_runner().invoke(args=["sse", "check"])
    assert result.exit_code == (0 if is_installed else 1), result.output
    assert ("pip install 'flask_sse_push[limits]'" in result.output) != is_installed
