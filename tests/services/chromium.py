"""A headless Chromium, driven through its DevTools protocol; it needs Debian's ``chromium``."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tornado.websocket import websocket_connect

from services.processes import end

START_TIME = 60.0
"""How long Chromium may take until it answers, s."""
ANSWER_TIME = 120.0
"""How long it may take for a single command, s."""


class Tab:
    """A tab of Chromium.

    Attributes
    ----------
    events
        What the tab reported so far: names and parameters.
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        # screenshots are large
        self._socket = self._await(lambda: websocket_connect(url, max_message_size=2**28))
        self._numbers = itertools.count(1)
        self.events: list[tuple[str, dict]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _await(self, start):
        """Return what a function that starts something in the loop promises."""

        async def wait():
            return await asyncio.wait_for(start(), ANSWER_TIME)

        return self._loop.run_until_complete(wait())

    def _next(self) -> dict:
        message = self._await(self._socket.read_message)
        assert message is not None, "Chromium has ended"
        return json.loads(message)

    def call(self, method: str, **parameters) -> dict:
        """Return the result of a command."""
        number = next(self._numbers)
        command = json.dumps({"id": number, "method": method, "params": parameters})
        self._await(lambda: self._socket.write_message(command))
        while (answer := self._next()).get("id") != number:
            self.events.append((answer["method"], answer["params"]))
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self._load("Page.navigate", url=path.as_uri())

    def reload(self) -> None:
        """Load the page again, and wait until it is loaded."""
        self._load("Page.reload")

    def _load(self, method: str, **parameters) -> None:
        self.events.clear()
        self.call(method, **parameters)
        while "Page.loadEventFired" not in dict(self.events):
            event = self._next()
            self.events.append((event["method"], event["params"]))

    def evaluate(self, expression: str):
        """Return the value of an expression, or of what it promises."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def prefer(self, scheme: str) -> None:
        """Prefer ``light`` or ``dark`` colours."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def resize(self, width: int, height: int = 900) -> None:
        """Give the tab a size in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self) -> bytes:
        """Return the visible part as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def close(self) -> None:
        async def close():
            self._socket.close()

        self._await(close)
        with contextlib.suppress(AssertionError, TimeoutError):
            while True:
                self._next()
        self._loop.close()


@contextlib.contextmanager
def chromium() -> Iterator[Tab]:
    """Start Chromium and yield a tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
        command = [
            *("chromium", "--headless", *options, "--remote-debugging-port=0"),
            *(f"--user-data-dir={folder}", "about:blank"),
        ]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(Path(folder) / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [each for each in json.load(answer) if each["type"] == "page"]
            tab = Tab(pages[0]["webSocketDebuggerUrl"])
            yield tab
            tab.close()
        finally:
            end(browser)


def why_no_chromium() -> str:
    """Return why there is no Chromium here; empty if there is one."""
    return "" if shutil.which("chromium") else "chromium is not installed"


def _port(path: Path) -> int:
    """Return the port that Chromium writes into a file when it is ready."""
    stop = time.monotonic() + START_TIME
    while time.monotonic() < stop:
        if path.exists() and (lines := path.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise TimeoutError("Chromium does not answer")
