"""The pytest plugin, and ``flask_sse_push.testing`` without pytest."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.servers import ROOT


def plugin() -> str:
    """The module that setup.cfg names as the pytest plugin."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    entry = settings["options.entry_points"]["pytest11"]
    return entry.partition("=")[2].strip()


@pytest.mark.parametrize("is_imported", [False, True])
def test_the_fixture_works_with_an_app_fixture(
    tmp_path: Path, is_imported: bool
) -> None:
    options = ["-p", plugin()]
    if is_imported:
        (tmp_path / "conftest.py").write_text(
            "from flask_sse_push.testing import sse_recorder\n"
        )
        options = ["-p", "no:" + plugin()]
    (tmp_path / "test_app.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from flask import Flask
            from flask_sse_push import SSEPush

            sse = SSEPush()

            @pytest.fixture
            def app():
                app = Flask("app")
                sse.init_app(app)
                return app

            def test_one(app, sse_recorder):
                with app.app_context():
                    sse.send_to_user("user123", "notification", {"message": "Hi"})
                sse_recorder.assert_sent_to("user123", "notification", message="Hi")

            def test_two(sse_recorder):
                sse_recorder.assert_nothing_sent()
            """
        )
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-W", "error"),
            *("--rootdir", str(tmp_path), "-p", "no:cacheprovider"),
            *(*options, str(tmp_path)),
        ],
        # Not the caller's options; what is covered is measured here as well.
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "",
            **{k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")},
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_nothing_of_the_package() -> None:
    script = f"""
        import sys
        import {plugin()}
        heavy = ("flask_sse_push", "flask", "gevent", "marshmallow")
        assert not [name for name in heavy if name in sys.modules]
        from flask_sse_push.testing import sse_recorder
        assert sse_recorder.__name__ == {plugin()}.sse_recorder.__name__
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_without_pytest_the_rest_is_there() -> None:
    script = """
        import sys
        sys.modules["pytest"] = None
        import flask_sse_push.testing as testing
        assert testing.SSERecorder and testing.StreamReader
        assert not hasattr(testing, "sse_recorder")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
