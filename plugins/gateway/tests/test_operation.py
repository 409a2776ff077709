"""A gateway in operation: workers are killed, Redis is started anew, and other programs than Python's call it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import browser
from tests.servers import PASSWORD, Supplier, running_supplier

from .conftest import Gateway, account, running

REDIS, NODE, CURL = shutil.which("redis-server"), shutil.which("node"), shutil.which("curl")
#: What a caller may see while something is broken, and nothing else.
AWAY = {502, 503}


@contextmanager
def redis(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    assert REDIS is not None
    words = [REDIS, "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=20)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """The workers that serve: those that the gateway's process has spawned."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


class Callers:
    """A few threads that ask all the time, and note each status; a broken connection is none."""

    def __init__(self, gateway: Gateway, supplier: Supplier, count: int = 4) -> None:
        self.statuses: list[int] = []
        self.broken = 0
        self.gateway, self._done = gateway, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        headers = {"X-Gateway-Key": self.gateway.key}
        while not self._done.is_set():
            try:
                with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
                    self.statuses.append(client.get(f"{self.gateway.url}/supplier/deliveries/42").status_code)
            except httpx.TransportError:
                self.broken += 1
                time.sleep(0.05)

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(timeout=90)


def until(so: Callable[[], bool], seconds: float = 60) -> None:
    overdue = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < overdue, "it did not come to pass in time"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.program
@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")
def test_a_soak_with_workers_killed_and_redis_started_anew(tmp_path: Path) -> None:
    """AUTHFLOW_SOAK seconds (30): nothing is lost, no secret is seen, no login is refused, and it works at the end."""
    seconds, port = float(os.environ.get("AUTHFLOW_SOAK", "30")), free_port()
    with running_supplier() as supplier, redis(tmp_path, port) as first:
        accounts = account(supplier, store=f"redis://127.0.0.1:{port}/0")
        with running(tmp_path, accounts, top="workers = 2", P=PASSWORD) as gateway:
            until(lambda: len(children(gateway.process.pid)) == 2)
            with Callers(gateway, supplier) as callers:
                until(lambda: 200 in callers.statuses)
                ended, turn = time.monotonic() + seconds, 0
                while time.monotonic() < ended:
                    turn += 1
                    if turn % 3 == 0:
                        os.kill(children(gateway.process.pid)[0], signal.SIGKILL)
                    elif turn % 3 == 1:
                        supplier.control(revoke="access")
                    time.sleep(2)
                first.terminate()
                first.wait(timeout=20)
                time.sleep(2)
                with redis(tmp_path, port):
                    seen = len(callers.statuses)
                    until(lambda: 200 in callers.statuses[seen + 8 :])
                    supplier.control(revoke="access")
                    seen = len(callers.statuses)
                    until(lambda: 200 in callers.statuses[seen + 8 :])
            log = gateway.log()
        assert set(callers.statuses) <= {200, *AWAY}
        assert callers.statuses.count(200) >= 20
        assert PASSWORD not in log
        assert gateway.key not in log
        assert supplier.raw_counts.get("login_refused", 0) == 0
        assert supplier.raw_counts.get("refresh_refused", 0) <= 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here to find workers by")
def test_workers_end_when_the_gateway_is_killed(supplier: Supplier, tmp_path: Path) -> None:
    """Nobody could stop them, and a new gateway would find its address taken."""
    with running(tmp_path, account(supplier), top="workers = 2", P=PASSWORD) as gateway:
        until(lambda: len(children(gateway.process.pid)) == 2)
        until(lambda: answers(gateway))
        workers = children(gateway.process.pid)
        assert "supplier: each of 2 workers logs in by itself: give it a store they share" in gateway.log()
        gateway.process.kill()
        gateway.process.wait()
        until(lambda: not any(alive(worker) for worker in workers), 40)
        assert not answers(gateway)


def answers(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def alive(pid: int) -> bool:
    """Does it run? One that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.program
@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_nodes_fetch_calls_it(gateway: Gateway, supplier: Supplier) -> None:
    script = """
        const [url, key] = process.argv.slice(1);
        const one = () => fetch(`${url}/supplier/deliveries/42`, { headers: { "X-Gateway-Key": key } });
        const answers = await Promise.all(Array.from({ length: 20 }, one));
        const posted = await fetch(`${url}/supplier/echo/a`, {
            method: "POST", body: new Blob(["x".repeat(100000)]).stream(), duplex: "half",
            headers: { "X-Gateway-Key": key } });
        const refused = await fetch(`${url}/supplier/deliveries/42`);
        const first = await answers[0].json();
        console.log(JSON.stringify([answers.map((one) => one.status), first.id, posted.status > 0, refused.status]));
    """
    words = [str(NODE), "--input-type=module", "--eval", script, gateway.url, gateway.key]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[200] * 20, "42", True, 401]
    assert supplier.counts["login"] == 1


@pytest.mark.program
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_calls_it(gateway: Gateway) -> None:
    words = [
        str(CURL),
        "-sS",
        "--noproxy",
        "*",
        "-u",
        f"anybody:{gateway.key}",
        f"{gateway.url}/supplier/deliveries/42",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["id"] == "42", done.stderr


@pytest.mark.slow
@pytest.mark.program
@pytest.mark.skipif(browser.CHROMIUM is None or browser.DRIVER is None, reason=browser.MISSING)
def test_a_browser_calls_it(gateway: Gateway) -> None:
    with browser.browser(width=600, height=400) as page:
        page._ask("/url", url=f"{gateway.url}/healthz")
        script = """return fetch("/supplier/deliveries/42", { headers: { "X-Gateway-Key": arguments[0] } })
            .then((answer) => answer.json()).then((found) => [found.id, document.cookie])"""
        assert page.run(script, gateway.key) == ["42", ""]
