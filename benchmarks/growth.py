"""What grows with what: records in a store, vendor files in a process, the size of an answer, the number of hosts?

Beside each curve stands the law that its figures follow, as the exponent of its last step: 0 is constant, 1 is linear.
(Sessions in a process are `accounts`, processes at one store are `fleet`.)

Hosts behind one Redis are simulated, in virtual time and by a model of the lock: who gets it loads, renews and saves,
all others look again; the server takes the calls one at a time, each costs a round trip. The store's code does not run.
"""

from __future__ import annotations

import heapq
import itertools
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.fleet import kept_in
from benchmarks.measure import Failed, answer, child_arguments, clock, fresh, is_short, is_whole, versions
from benchmarks.report import Report, Table

RECORDS: Final = (1, 100, 10_000, 100_000)
FILES: Final = (1, 10, 100, 500, 2_000)
SIZES: Final = (1 << 10, 1 << 14, 1 << 18, (1 << 20) - 1024)
HOSTS: Final = (10, 100, 1_000)
LATENCIES: Final = (0.001, 0.01, 0.05)
RECORD: Final = b'{"state": "signed_in", "captured": {"access": "' + b"t" * 800 + b'"}}'
FIRST: Final = (
    "What breaks first on the way to a million accounts. Memory: a session with a token takes some 5 KiB (`accounts`), "
    "so a million are 5 GB, or ten processes of 100,000. The stores' calls do not get slower with the number of "
    "records, as far as the tables go. What grows with the square is a fleet that shares one account and finds it "
    "expired at the same moment: each host takes the lock in turn to load the record, so the last of n waits n turns, "
    "and all others look again meanwhile. A fleet that renews ahead (the default) meets this at its first login alone. "
    "That one Redis takes a call in 20 µs is assumed, not measured."
)


def main() -> None:
    report = Report(
        "growth",
        "What grows with what?",
        "Microseconds of processor time for one load and one save; milliseconds for the rest. Laws: n to the power of.",
        versions=versions(("authflow-http", "msgspec", "redis")),
    )
    short = is_short()
    for store in ("memory", "file", "redis"):
        table = Table(
            f"records in a store: {store}", (("n", "records", 0), ("load", "load, µs", 1), ("save", "save, µs", 1))
        )
        for number in RECORDS[:2] if short else RECORDS:
            try:
                table.rows.append(fresh("growth", "records", store, number, wait=600))
            except Failed as failed:
                report.notes.append(f"{store}, {number:,} records: no figure ({failed})")
        report.tables.append(table)
        _law(report, table, "load", "save")
    files = Table(
        "vendor files loaded in one process", (("n", "files", 0), ("load", "ms each", 2), ("memory", "KiB each", 1))
    )
    files.rows = [fresh("growth", "files", number, wait=600) for number in (FILES[:2] if short else FILES)]
    sizes = Table("an answer of a login", (("n", "bytes", 0), ("read", "read and matched, ms", 3)))
    sizes.rows = [fresh("growth", "answer", size) for size in SIZES]
    columns = (
        ("n", "hosts", 0),
        ("latency", "latency, ms", 0),
        ("calls", "store calls", 0),
        ("exchanges", "exchanges", 0),
    )
    hosts = Table("hosts that need one token at the same moment, simulated", (*columns, ("last", "last served, s", 2)))
    hosts.rows = [_hosts(number, latency) for number in HOSTS for latency in LATENCIES]
    report.tables += [files, sizes, hosts]
    _law(report, files, "load")
    _law(report, sizes, "read")
    for latency in LATENCIES:
        own = Table(
            f"hosts, {latency * 1000:.0f} ms", (), [row for row in hosts.rows if row["latency"] == latency * 1000]
        )
        _law(report, own, "calls", "last")
    report.notes.append(FIRST)
    report.publish(keep=is_whole())


def _law(report: Report, table: Table, *keys: str) -> None:
    """The exponent by which a column grew over its last step."""
    if len(table.rows) < 2:
        return
    before, last = table.rows[-2:]
    for key in keys:
        power = math.log(last[key] / before[key]) / math.log(last["n"] / before["n"])
        name = "constant" if power < 0.15 else "linear" if 0.85 < power < 1.15 else f"n^{power:.2f}"
        report.notes.append(f"{table.title}, {key}: {name} ({before['n']:,} → {last['n']:,}: n^{power:.2f})")


# --- hosts behind one Redis, in virtual time --------------------------------------------------------------------------


def _hosts(number: int, latency: float, exchange: float = 0.2) -> dict[str, Any]:
    """As `stores.redis` does: who gets the lock loads, renews and saves; all others look again after its interval, and
    load once the lock is free. The server takes 20 µs for a call, one at a time; an exchange takes `exchange` seconds.
    """
    from authflow.stores.redis import _POLL as look

    calls, exchanges, holder, renewed, busy, last = 0, 0, -1, False, 0.0, 0.0
    turn = itertools.count()
    events: list[tuple[float, int, int, str]] = [(0.0, next(turn), host, "lock") for host in range(number)]

    def served(now: float) -> float:
        nonlocal busy, calls
        calls += 1
        busy = max(busy, now + latency / 2) + 20e-6
        return busy + latency / 2

    while events:
        now, _, host, what = heapq.heappop(events)
        if what == "lock":
            done = served(now)
            if holder < 0:
                holder = host
                heapq.heappush(events, (done, next(turn), host, "load"))
            else:
                heapq.heappush(events, (done + look, next(turn), host, "lock"))
        elif what == "load":
            done = served(now)
            if not renewed:
                exchanges += 1
                done = served(served(done) + exchange)  # the mark before, the record after
            heapq.heappush(events, (done, next(turn), host, "leave"))
        else:
            renewed, holder = True, -1
            last = max(last, served(now))
    return {"n": number, "latency": latency * 1000, "calls": calls, "exchanges": exchanges, "last": last}


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def _each(call: Callable[[int], object], numbers: Iterator[int], times: int) -> float:
    started = clock()
    for _ in range(times):
        call(next(numbers))
    return (clock() - started) / times * 1e6


def records(store: str, number: int) -> None:
    from authflow.stores import MemoryStore, open_store

    with kept_in(store) as place:
        if place is None:
            raise SystemExit("there is no Redis server here")
        kept: Any = MemoryStore() if store == "memory" else open_store(place, factories={})
        for key in range(number):
            if store == "file" and key > 200:  # to write through to the disk is not what is measured
                shutil.copy(Path(place, "bench-0.json"), Path(place, f"bench-{key}.json"))  # its rights too
            else:
                kept.save(f"bench-{key}", RECORD, None)
        keys = itertools.cycle(range(0, number, max(1, number // 50)))
        load = _each(lambda key: kept.load(f"bench-{key}"), keys, 100)
        fresh_keys = itertools.count(number)
        save = _each(lambda key: kept.save(f"bench-{key}", RECORD, None), fresh_keys, 50)
    answer({"n": number, "load": load, "save": save})


def files(number: int) -> None:
    import tracemalloc

    from authflow.vendors import load

    text = 'name = "vendor-{0}"\nextends = "oauth2-password"\nbase_url = "https://v{0}.example/"\n'
    text += 'settings.token_url = {{ default = "token", type = "url" }}\n'
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"vendor-{one}.toml") for one in range(number)]
        for one, path in enumerate(paths):
            path.write_text(text.format(one))
        load(paths[0])
        started = time.process_time()
        kept = [load(path) for path in paths]
        took = (time.process_time() - started) * 1e3 / number
        tracemalloc.start()
        kept += [load(path) for path in paths[:50]]
        memory = tracemalloc.get_traced_memory()[0] / 1024 / min(number, 50)
    answer({"n": number, "load": took, "memory": memory})


def size(number: int) -> None:
    from authflow import AuthSession
    from authflow.http import Answer

    body = b'{"access_token": "t", "token_type": "bearer", "expires_in": 3600, "filler": [%s]}'
    filler = b",".join([b'"0123456789"'] * max(1, (number - len(body)) // 13))

    class Sender:
        def exchange(self, request: Any, timeout: float) -> Answer:
            return Answer(200, (("Content-Type", "application/json"),), body % filler)

    vendor = {"extends": "oauth2-password", "name": "bench", "base_url": "https://a.example/"}
    given: dict[str, Any] = {"username": "demo", "password": "p", "client_id": "c", "client_secret": "s"}
    session = AuthSession(vendor, client=Sender(), token_url="https://a.example/token", **given)
    session.login()
    started = time.process_time()
    for _ in range(20):
        session.login()
    answer({"n": number, "read": (time.process_time() - started) * 1e3 / 20})


if __name__ == "__main__":
    arguments = child_arguments()
    if arguments is None:
        main()
    elif arguments[0] == "records":
        records(arguments[1], int(arguments[2]))
    else:
        {"files": files, "answer": size}[arguments[0]](int(arguments[1]))
