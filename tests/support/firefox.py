"""A headless Firefox for tests. It loads one page, which reports to its server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NAMES = ("firefox-esr", "firefox")
# No requests of its own, no dialogs, and no words about a page that did not close well.
_SETTINGS: dict[str, str | bool] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",
    "toolkit.telemetry.enabled": False,
}


@contextlib.contextmanager
def open_firefox(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Show a page in the Firefox that is installed; without one, skip the test."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip(
            f"none of {', '.join(_NAMES)} is installed (apt install firefox-esr)"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [
            f"user_pref({_text(name)}, {_text(value)});\n"
            for name, value in _SETTINGS.items()
        ]
        Path(profile, "user.js").write_text("".join(lines))
        process = subprocess.Popen(
            [executable, "--headless", "--no-remote", "--profile", profile, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _text(value: str | bool) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Firefox and the processes that it has started, which are in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
