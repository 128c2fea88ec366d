"""A headless Chromium for tests, driven over the DevTools protocol.

:class:`Browser` is one Chromium process. Each :class:`Page` has its own browser
context, that is, its own cookies and storage, like the browser of another user.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest
from websocket import WebSocket, create_connection

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)

# The most attempts at clicking something that moves.
CLICKS = 20
# Key codes of DOM events, and the text of the key.
_KEYS = {"Enter": (13, "\r"), "Tab": (9, "")}
# Find the middle of an element, and let no click pass that goes elsewhere.
_AIM = """(selector) => {
  const element = document.querySelector(selector);
  element.scrollIntoView({ block: "center", behavior: "instant" });
  const box = element.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  if (!element.contains(hit))
    throw new Error(`${hit?.outerHTML.slice(0, 80)} lies over it`);
  const names = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"];
  const seen = new Set();
  const guard = (event) => {
    if (seen.has("click") || element.contains(event.target)) {
      seen.add(event.type);
    } else {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };
  for (const name of names) addEventListener(name, guard, true);
  window.clickGuard = {
    end() {
      for (const name of names) removeEventListener(name, guard, true);
      delete window.clickGuard;
      return seen.has("click");
    },
  };
  return [x, y];
}"""


class BrowserError(AssertionError):
    """Raised when Chromium does not start, a script throws, or a wait times out."""


def open_browser() -> Browser:
    """Start the Chromium or Chrome that is installed; without one, skip the test."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed (apt install chromium)")
    return Browser(executable)


class Browser:
    """A Chromium process.

    :param executable: its path.
    :param seconds: the longest any single answer may take.
    :raises BrowserError: it does not start.
    """

    def __init__(self, executable: str, *, seconds: float = 20.0) -> None:
        self.seconds = seconds
        self._directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = Path(self._directory.name, "log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [executable, *_OPTIONS, f"--user-data-dir={self._directory.name}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._socket: WebSocket | None = None
        try:
            self._socket = create_connection(
                self._address(),
                timeout=seconds,
                suppress_origin=True,
                skip_utf8_validation=True,
            )
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := _LISTENING.search(self._log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.05)
        log = self._log.read_text(errors="replace")
        raise BrowserError(f"Chromium did not start:\n{log[-2000:]}")

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Send one command of the protocol and return its result.

        :raises BrowserError: the command is refused.
        """
        assert self._socket is not None
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']['message']}")
                return message["result"]
            if "method" in message:
                self._events.append(message)

    def events(self, session: str, method: str) -> list[dict[str, Any]]:
        """The parameters of all events of this kind in a session so far."""
        return [
            event["params"]
            for event in self._events
            if event["method"] == method and event.get("sessionId") == session
        ]

    def page(
        self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Page:
        """Open a page in a browser context of its own.

        :param width: of the window, in CSS pixels, like ``height``; below 600 the
            browser emulates a phone.
        """
        page = Page(self)
        page.resize(width, height)
        page.prefer(dark=dark)
        page.go(url)
        return page

    def kill(self) -> None:
        """End the process, and all its own, without a word to anybody."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for process in psutil.Process(self._process.pid).children(recursive=True):
            process.kill()
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._socket is not None:
            with contextlib.suppress(Exception):
                self.call("Browser.close")
            with contextlib.suppress(Exception):
                self._socket.close()
        else:
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Page:
    """A tab in its own browser context; created by :meth:`Browser.page`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        self._context = context
        target = browser.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )["targetId"]
        self._session = browser.call(
            "Target.attachToTarget", targetId=target, flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **params: Any) -> Any:
        return self._browser.call(method, self._session, **params)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window, in CSS pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def prefer(self, *, dark: bool) -> None:
        """Set the preferred colour scheme."""
        scheme = "dark" if dark else "light"
        self._call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def go(self, url: str) -> None:
        """Load an address and wait until the document is complete."""
        result = self._call("Page.navigate", url=url)
        if "errorText" in result:
            raise BrowserError(f"{url}: {result['errorText']}")
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Evaluate JavaScript and return its value; a promise is awaited.

        :raises BrowserError: it throws.
        """
        result = self._call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{script}\n{text}")
        return result["result"].get("value")

    def wait(
        self,
        script: str,
        *,
        seconds: float | None = None,
        until: Callable[[Any], object] = bool,
    ) -> Any:
        """Evaluate until the value satisfies ``until``, and return it.

        :param seconds: when to give up; the browser's own limit by default.
        :raises BrowserError: it does not in time; the message has the last value.
        """
        deadline = time.monotonic() + (seconds or self._browser.seconds)
        value: Any = None
        while time.monotonic() < deadline:
            # While a page is being replaced, it cannot evaluate anything.
            with contextlib.suppress(BrowserError):
                value = self.run(script)
                if until(value):
                    return value
            time.sleep(0.03)
        raise BrowserError(f"timed out waiting for {script}; last value: {value!r}")

    def text(self, selector: str) -> str:
        """The text of the first element that matches, or "" if none does."""
        return str(
            self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        )

    def fill(self, selector: str, value: str) -> None:
        """Set a field's value, with the events of typing it."""
        self.run(
            f"""(() => {{
              const field = document.querySelector({json.dumps(selector)});
              field.value = {json.dumps(value)};
              field.dispatchEvent(new Event("input", {{ bubbles: true }}));
              field.dispatchEvent(new Event("change", {{ bubbles: true }}));
            }})()"""
        )

    def click(self, selector: str) -> None:
        """Click with the mouse on the first element that matches.

        The page may move it between looking where it is and the click. A click that
        would hit something else is withheld from the page, and made again.

        :raises BrowserError: there is none, or another element covers it.
        """
        for _ in range(CLICKS):
            x, y = self.run(f"({_AIM})({json.dumps(selector)})")
            for kind in ("mousePressed", "mouseReleased"):
                self._call(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    x=x,
                    y=y,
                    button="left",
                    clickCount=1,
                )
            if self._has_clicked():
                return
        raise BrowserError(f"{CLICKS} clicks on {selector} have missed it")

    def _has_clicked(self) -> bool:
        try:
            return bool(self.run("window.clickGuard?.end() ?? true"))
        except BrowserError:
            return True  # the click leads to another page

    def press(self, key: str) -> None:
        """Press a key, such as ``Enter`` or ``Tab``, where the focus is."""
        code, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self._call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def errors(self) -> list[str]:
        """Uncaught exceptions and blocked resources of the page so far."""
        thrown = [
            event["exceptionDetails"].get("exception", {}).get("description")
            or event["exceptionDetails"]["text"]
            for event in self._browser.events(self._session, "Runtime.exceptionThrown")
        ]
        logged = [
            event["entry"]["text"]
            for event in self._browser.events(self._session, "Log.entryAdded")
            if event["entry"]["level"] == "error"
            and event["entry"]["source"] != "network"
        ]
        return thrown + logged

    def requested(self) -> list[str]:
        """The address of every request the page has made so far."""
        kind = "Network.requestWillBeSent"
        return [
            event["request"]["url"]
            for event in self._browser.events(self._session, kind)
        ]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write the window, or the whole page, as a PNG file."""
        result = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))

    def close(self) -> None:
        """Close the page with its cookies and storage."""
        self._browser.call(
            "Target.disposeBrowserContext", browserContextId=self._context
        )
