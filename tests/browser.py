"""A headless Chromium, asked over WebDriver (W3C) with nothing but the standard library.

with browser(width=360) as page:
    page.open(path)
    page.run("return document.title")
    page.keys("input", RIGHT)
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Debian's packages chromium and chromium-driver; other systems have other names for the first.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"

LEFT, RIGHT, ENTER, TAB = "\ue012", "\ue014", "\ue007", "\ue004"
START = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@dataclass
class Page:
    """One window."""

    url: str

    def open(self, path: Path) -> None:
        self._ask("/url", url=path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self._ask("/execute/sync", script=script, args=list(arguments))

    def keys(self, selector: str, keys: str) -> None:
        """Type into the first element that fits, as a keyboard does."""
        found = self._ask("/element", using="css selector", value=selector)
        self._ask(f"/element/{found[_ELEMENT]}/value", text=keys)

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self._ask("/screenshot")))
        return path

    def _ask(self, path: str, **body: Any) -> Any:
        return _asked(self.url + path, body if body or path != "/screenshot" else None)


@contextlib.contextmanager
def browser(width: int, height: int, *, dark: bool = False, still: bool = False) -> Iterator[Page]:
    """A browser of one's own, as large as told, that ends with the block; `still` is for people who want no motion."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        driver = stack.enter_context(
            subprocess.Popen(
                [DRIVER, "--port=0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**environment, "HOME": profile},
            )
        )
        stack.callback(driver.terminate)
        assert driver.stdout is not None
        line = next(line for line in driver.stdout if "started successfully on port" in line)
        base = f"http://127.0.0.1:{line.strip().rstrip('.').rpartition(' ')[2]}/session"
        switches = [*_SWITCHES, f"--user-data-dir={profile}/profile"]
        options = {
            "binary": CHROMIUM,
            "args": switches
            + ["--blink-settings=preferredColorScheme=0"] * dark
            + ["--force-prefers-reduced-motion"] * still,
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0}},
        }
        session = _asked(base, {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        page = Page(f"{base}/{session['sessionId']}")
        stack.callback(_asked, page.url, method="DELETE")
        yield page


def _asked(url: str, body: Any = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=START) as answer:
        return json.load(answer)["value"]
