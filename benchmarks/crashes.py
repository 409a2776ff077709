"""Processes that share a store, and are killed, forked and stopped in the middle of a refresh: a part of the soak.

Each process has threads that fetch deliveries, and a clock of its own. Whenever one sends a refresh, it says so, and
is at times killed for good (`kill -9`), stopped for longer than its lock lasts, or told to fork: its copy fetches
deliveries too. Meanwhile tokens expire and answers are lost. Afterwards processes whose clocks are hours apart walk
over forbidden paths, and try wrong passwords for an hour of their clocks.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from benchmarks.measure import ROOT

PROCESSES: Final = 4
THREADS: Final = 6
#: For so many seconds a token lives: a refresh every few seconds, each of which may be somebody's last.
SHORT: Final = 3.0
#: How far the clock of each process is from the vendor's while they are killed, and afterwards, in seconds.
CLOCKS: Final = (0.0, 0.2, -0.2, 0.0)
HOURS_APART: Final = (0.0, 7200.0, -7200.0, 90.0)
TIMEOUT: Final = 2.0
#: Seconds that an exchange takes: so long is the middle of a refresh.
LATENCY: Final = 0.15
#: For how long a process is stopped: until its lock has lapsed, and not so long.
STOPS: Final = (0.5, TIMEOUT + 2.0)
#: Seconds for which a forked copy lives.
COPY_LIVES: Final = 1.5
#: What happens in the middle of a refresh, one after the other.
MISHAPS: Final = ("fork", "kill", "stop", "kill", "fork", "nothing")
#: What the vendor does meanwhile, now and then: a revoked token is renewed, which there may be seven times a minute.
ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {"revoke": "access"},
    {"fault": {"path": "refresh", "kind": "reset", "after": True}},
    {"fault": {"path": "refresh", "status": 503}},
    {"fault": {"path": "refresh", "status": 404}},
)


def crash(supplier: Any, seconds: float, dice: random.Random) -> dict[str, Any]:
    """What happened, by name: the figures of a report."""
    with tempfile.TemporaryDirectory() as folder:
        supplier.order({"latency": LATENCY})
        fleet = Fleet(supplier, f"file://{folder}", dice)
        found = fleet.suffer(seconds)
    supplier.order({"latency": 0.0})
    return found


class Fleet:
    """Processes, each replaced when it was killed; what they say is added up."""

    def __init__(self, supplier: Any, store: str, dice: random.Random) -> None:
        self.supplier, self.store, self.dice = supplier, store, dice
        self.said: Counter[str] = Counter()
        self.threads, self.last, self.longest = 0, time.monotonic(), 0.0
        self.ends = False
        self._lock = threading.Lock()
        self._mishaps = itertools.cycle(MISHAPS)
        self._all: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self._slots = [self._start(clock) for clock in CLOCKS]

    def suffer(self, seconds: float) -> dict[str, Any]:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(self.dice.uniform(2.0, 6.0))
            self.supplier.order(self.dice.choice(ORDERS))
        self.ends = True
        for process in self._all:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
                process.stdin.close()  # type: ignore[union-attr]
        stuck = 0
        for process in self._all:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                stuck += 1
                process.kill()
        for reader in self._readers:
            reader.join(10)
        self.said["broken off"] = sum(process.returncode not in (0, -signal.SIGKILL) for process in self._all)
        return {"said": self.said, "stuck": stuck, "threads": self.threads, "longest": self.longest}

    def _start(self, clock: float) -> subprocess.Popen[str]:
        process = started(self.supplier, self.store, clock)
        reader = threading.Thread(target=self._read, args=(process, clock), daemon=True)
        self._all.append(process)
        self._readers.append(reader)
        reader.start()
        return process

    def _read(self, process: subprocess.Popen[str], clock: float) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            with self._lock:
                self.threads = max(self.threads, said.pop("threads", 0))
                middle, kind = said.pop("refreshes", False), said.pop("copy", False)
                if said.get("200"):
                    now = time.monotonic()
                    self.longest, self.last = max(self.longest, now - self.last), now
                for what, count in said.items():
                    self.said["in a copy: " * kind + what] += count
                wait = self.dice.uniform(0.0, 1.3 * LATENCY)
                mishap = next(self._mishaps) if middle else ""
            if middle and not self.ends:
                self._befalls(process, clock, mishap, wait)

    def _befalls(self, process: subprocess.Popen[str], clock: float, mishap: str, wait: float) -> None:
        """`process` is in the middle of a refresh."""
        assert process.stdin is not None
        if mishap == "nothing":
            return
        with self._lock:
            self.said[f"{mishap} in a refresh"] += 1
        if mishap == "fork":
            with contextlib.suppress(OSError):
                process.stdin.write(f"{wait}\n")
                process.stdin.flush()
            return
        time.sleep(wait)
        if mishap == "kill":
            process.kill()
            self._start(clock)
            return
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.dice.uniform(*STOPS))
        process.send_signal(signal.SIGCONT)


def started(supplier: Any, store: str, clock: float, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.crashes", supplier.base_url, supplier.data_url, store, str(clock)]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_PROXY": "*", "no_proxy": "*"}
    return subprocess.Popen(
        [*command, *more],
        cwd=ROOT,
        env=quiet,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def hours_apart(supplier: Any, what: str, times: int, step: float, begin: Callable[[], object]) -> None:
    """Processes whose clocks are hours apart fetch in turn, so many times, and `step` seconds pass for all; after the
    first time the trouble begins.
    """
    with tempfile.TemporaryDirectory() as folder:
        fleet = [started(supplier, f"file://{folder}", clock, what, str(n)) for n, clock in enumerate(HOURS_APART)]
        for number in range(times):
            for process in fleet:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{number} {number * step}\n")
                process.stdin.flush()
                process.stdout.readline()
            if number == 0:
                begin()
        for process in fleet:
            process.communicate(timeout=30)


# --- in each process --------------------------------------------------------------------------------------------------


def main() -> None:
    base_url, data_url, store, clock, *what = sys.argv[1:]
    ahead = [float(clock)]
    password = f"wrong-{what[1]}" if what[:1] == ["passwords"] else "open-sesame"

    from authflow import AuthSession

    session = AuthSession(
        "supplier",
        base_url=base_url,
        data_origin=data_url,
        username="demo",
        password=password,
        store=store,
        timeout=TIMEOUT,
        clock=lambda: time.time() + ahead[0],
    )
    if what:
        for line in sys.stdin:
            number, passed = line.split()
            ahead[0] = float(clock) + float(passed)
            say(fetch(session, f"{base_url}deliveries/{what[1]}{number}"))
    else:
        works(session, base_url)


def works(session: Any, base_url: str) -> None:
    """Fetch in several threads until stdin ends; fork, in the middle of a refresh, when a line says so."""
    stop = threading.Event()

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if (
            event == "http.client.send"
            and bytes(arguments[1][:200]).startswith(b"POST ")
            and b"refresh" in arguments[1]
        ):
            say(Counter(refreshes=1))

    def calls(number: int) -> None:
        while not stop.wait(0.05):
            say(fetch(session, f"{base_url}deliveries/{number}"))

    sys.addaudithook(heard)
    threads = [threading.Thread(target=calls, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        time.sleep(float(line))
        if os.fork() == 0:
            copies(session, base_url)
    stop.set()
    for thread in threads:
        thread.join()


def copies(session: Any, base_url: str) -> None:
    """What a forked process does."""
    ends = time.monotonic() + COPY_LIVES
    status = 1
    try:
        while time.monotonic() < ends:
            say(Counter({**fetch(session, f"{base_url}deliveries/77"), "copy": 1}))
            time.sleep(0.05)
        status = 0
    finally:
        os._exit(status)


def fetch(session: Any, url: str) -> Counter[str]:
    import requests

    found: Counter[str] = Counter()
    try:
        found[str(requests.get(url, auth=session.requests, timeout=10).status_code)] += 1
    except requests.RequestException as error:
        found[type(error).__name__] += 1
    found["threads"] = sum(thread.name.startswith("authflow") for thread in threading.enumerate())
    return found


def say(found: Counter[str]) -> None:
    os.write(1, json.dumps(found).encode() + b"\n")  # one write, whole: a copy shares the pipe


if __name__ == "__main__":
    main()
