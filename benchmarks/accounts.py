"""What does one session more cost: 1 to 100,000 accounts of one vendor in one process?

The vendor is loaded once; each session has its own account and a memory store of its own, unless the row says
otherwise. Memory is what `tracemalloc` counts, less the strings of the account; a session is counted twice: just made,
and with a grant and an adapter, as it is after its first request.
"""

from __future__ import annotations

import base64
import gc
import json
import statistics
import time
import tracemalloc
from typing import Any, Final

from benchmarks.measure import answer, child_arguments, clock, fresh, hottest, is_short, middle, versions
from benchmarks.report import Report, Table

SIZES: Final = (1, 100, 10_000, 100_000)
MEMORY_GOAL: Final = 2048
OPEN_GOAL: Final = 20.0
LOAD_GOAL: Final = 5.0
#: What a session holds of text beside the access token, each with the 49 bytes that every text has: the token once more
#: in its header and in the record, the refresh token twice, the record's own names and times.
TEXTS: Final = 4 * 49 + 2 * 110 + 2 * 43 + 160
#: So many sessions log in, each in a thread of its own, as ever; more would take minutes and show the same.
MOST_USED: Final = 10_000


def main() -> None:
    sizes, processes = (SIZES[:3], 1) if is_short() else (SIZES, 3)
    report = Report(
        "accounts",
        "What does one session more cost: 1 to 100,000 accounts of one vendor in one process?",
        "*Open*: `AuthSession(vendor, …)`, its vendor loaded. *Memory*: beyond the account's own strings, just opened, "
        "and with a token and an adapter, as after a first request.",
        versions=versions(("authflow-http", "msgspec", "pluggy")),
    )
    table = Table(
        "sessions",
        (
            ("sessions", "sessions", 0),
            ("open_us", "open, µs each", 1),
            ("bytes", "memory, bytes each", 0),
            ("used_bytes", "with a token, bytes each", 0),
        ),
    )
    for size in sizes:
        runs = [fresh("accounts", "sessions", size) for _ in range(processes if size < 100_000 else 1)]
        table.rows.append(middle(runs))
    report.tables.append(table)
    loads = [fresh("accounts", "load") for _ in range(processes)]
    vendor = {key: statistics.median(run[key] for run in loads) for key in loads[0]}
    columns = (("what", "", 0), ("ms", "ms", 2))
    rows = [{"what": what, "ms": ms} for what, ms in vendor.items()]
    report.tables.append(Table("a vendor, loaded and verified", columns, rows))
    many = table.rows[-1]
    used = [row["used_bytes"] for row in table.rows if row["used_bytes"] is not None]
    report.goal("memory of a session with a token", MEMORY_GOAL, used[-1], " bytes")
    report.goal("opening a session", OPEN_GOAL, many["open_us"], " µs")
    first = vendor["the same, the first time in a process"]
    report.goal("loading and verifying the supplier's file, the first time", LOAD_GOAL, first, " ms")
    if not all(goal.met for goal in report.goals):
        report.profile += ["opening sessions:", *fresh("accounts", "profile", "open")["lines"]]
        report.profile += ["loading the vendor:", *fresh("accounts", "profile", "load")["lines"]]
    report.publish(keep=not is_short())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def _vendor() -> Any:
    from authflow.plugins.discovery import find_vendor

    return find_vendor("supplier")


class _Vendor:
    """Sends nothing: it grants every exchange at once, in process."""

    def __init__(self) -> None:
        self._granted = 0

    def exchange(self, request: Any, timeout: float) -> Any:
        from authflow.http import Answer

        self._granted += 1
        claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 36000, "n": self._granted}).encode())
        token = f"e30.{claims.decode().rstrip('=')}.{'s' * 43}"
        body = json.dumps({"token": token, "refreshToken": f"{self._granted:0>43}"}).encode()
        return Answer(200, (("Content-Type", "application/json"),), body)


def _accounts(size: int) -> list[str]:
    return [f"account-{index}" for index in range(size)]


def sessions(size: int) -> dict[str, float | None]:
    from authflow import AuthSession

    vendor, names = _vendor(), _accounts(size)
    given: dict[str, Any] = {"password": "open-sesame", "client": _Vendor()}
    for _ in range(50):  # what the first sessions of a process set up, the others find
        first = AuthSession(vendor, username="first", **given)
        assert first.token().access
        first.requests  # noqa: B018
    gc.collect()
    started = clock()
    opened = [AuthSession(vendor, username=name, **given) for name in names]
    took = clock() - started
    assert len({session.status().account for session in opened}) == size
    del opened
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    opened = [AuthSession(vendor, username=name, **given) for name in names]
    gc.collect()
    made = tracemalloc.get_traced_memory()[0] - before
    strings = 0
    for session in opened if size <= MOST_USED else ():
        grant = session.token()
        session.requests  # noqa: B018
        strings += len(grant.access) + TEXTS
    gc.collect()
    used = (tracemalloc.get_traced_memory()[0] - before - strings) / size if size <= MOST_USED else None
    return {"sessions": size, "open_us": took / size * 1e6, "bytes": made / size, "used_bytes": used}


def load() -> dict[str, float]:
    from importlib import resources

    from authflow import plugins
    from authflow.vendors import loading as vendor

    plugins.manager()
    path = resources.files("authflow_supplier") / "supplier.toml"
    given: dict[str, Any] = {"converters": plugins.converters(), "functions": plugins.functions()}
    started = clock()
    vendor.load(path, **given)
    first = clock() - started
    again = []
    for _ in range(50):
        started = clock()
        vendor.load(path, **given)
        again.append(clock() - started)
    oauth = {"extends": "oauth2-password", "name": "x", "base_url": "https://api.vendor.test/"}
    preset = []
    for _ in range(50):
        started = clock()
        vendor.load(oauth, **given)
        preset.append(clock() - started)
    return {
        "the supplier's file": statistics.median(again) * 1000,
        "the same, the first time in a process": first * 1000,
        "three lines over a preset": statistics.median(preset) * 1000,
    }


def profile(what: str) -> dict[str, Any]:
    import cProfile

    from authflow import AuthSession

    vendor, names = _vendor(), _accounts(2000)
    profiler = cProfile.Profile()
    if what == "open":
        profiler.runcall(lambda: [AuthSession(vendor, username=name, password="open-sesame") for name in names])
    else:
        profiler.runcall(lambda: [load() for _ in range(2)])
    return {"lines": hottest(profiler, 10)}


if __name__ == "__main__":
    given = child_arguments()
    if given is None:
        main()
    elif given[0] == "sessions":
        answer(sessions(int(given[1])))
    else:
        answer(load() if given[0] == "load" else profile(given[1]))
