"""Chromium without a window, spoken to over two pipes in its DevTools protocol."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60.0  # for an answer
OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root and most containers do not have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


class Screen(NamedTuple):
    """What a page is shown on."""

    width: int  # CSS pixels
    dark: bool = False
    print: bool = False

    def __str__(self) -> str:
        return f"{self.width} pixels, {'print' if self.print else 'dark' if self.dark else 'light'}"


class BrowserError(Exception):
    """Chromium refused a command, or ended."""


def find_browser() -> str | None:
    """Returns the path of Chromium or Chrome, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextlib.contextmanager
def started() -> Iterator["Browser"]:
    """Yields a browser with an empty profile of its own.

    Raises:
      BrowserError: there is none.
    """
    path = find_browser()
    if path is None:
        raise BrowserError(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser([path, *OPTIONS, f"--user-data-dir={profile}", "about:blank"])
        try:
            yield browser
        finally:
            browser.close()


class Browser:
    """A running Chromium, with one tab."""

    def __init__(self, command: list[str]):
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads from 3 and writes to 4; numbers from 10 on cannot be overwritten on the way there.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]
        null = os.open(os.devnull, os.O_RDWR)
        places = {3: ends[0], 4: ends[1], 1: null, 2: null}
        actions = [(os.POSIX_SPAWN_DUP2, end, place) for place, end in places.items()]
        # In a process group of its own, because the command may be a shell script.
        self._pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setpgroup=0)
        for end in (theirs_in, theirs_out, null, *ends):
            os.close(end)
        self._numbers, self._unread, self._session = itertools.count(1), b"", ""
        self.requests: list[str] = []  # what the tab asked for since `open`
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def close(self) -> None:
        """Ends the browser."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)

    def open(self, page: pathlib.Path, screen: Screen) -> None:
        """Shows the file `page` on `screen`, and waits until it is loaded."""
        size = {"width": screen.width, "height": 800, "deviceScaleFactor": 1}
        # A phone zooms out of a page that is too wide, and calls it as wide as it then is; this one does not.
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if screen.dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="print" if screen.print else "screen", features=[scheme])
        self.requests = []
        answer = self.call("Page.navigate", url=page.resolve().as_uri())
        if "errorText" in answer:
            raise BrowserError(f"{page}: {answer['errorText']}")
        loaded = {"name": "load", "loaderId": answer["loaderId"]}
        while not loaded.items() <= self._message().get("params", {}).items():
            pass

    def evaluate(self, script: str) -> Any:
        """Returns the value of `script` in the page, as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, top: float = 0.0, height: int | None = None, scale: float = 1.0) -> bytes:
        """Returns a PNG of the page from `top` to its end, or of `height` CSS pixels."""
        width, whole = self.evaluate("[innerWidth, document.documentElement.offsetHeight]")
        clip = {"x": 0, "y": top, "width": width, "height": min(height or whole, whole - top), "scale": scale}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """Returns the page as it is printed on A4."""
        answer = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        return base64.b64decode(answer["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Returns the result of a command of the protocol.

        Raises:
          BrowserError: the command failed, or the browser does not answer.
        """
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while (answer := self._message()).get("id") != number:
            pass
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _message(self) -> dict[str, Any]:
        """Returns the next message, and notes what is requested."""
        end = time.monotonic() + SECONDS
        while b"\0" not in self._unread:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                raise BrowserError(f"Chromium is silent for {SECONDS:.0f} s")
            if not (data := os.read(self._in, 1 << 20)):
                raise BrowserError("Chromium has ended")
            self._unread += data
        first, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(first)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message
