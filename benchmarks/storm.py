"""What happens when a token is no good and everybody comes at once?

    expired    64 threads, 1,000 tasks: the clock says so before they send
    revoked    the same: the vendor says so, with 401, when they have sent
    refused    64 threads, 64 tasks, who try again every 100 ms for 2 s with a password that the vendor refuses

An exchange takes 200 ms. What is sent to the vendor's data ends in process, so that the time until the last caller is
served is the layer's own, plus what the same requests take with the floor and a good token.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from benchmarks.endpoint import Endpoint, order
from benchmarks.hot_path import ready, selected
from benchmarks.measure import Failed, Row, answer, child_arguments, fresh, is_short, is_whole, versions
from benchmarks.peers import BY_NAME, CONTENDERS, VERSIONED, Contender, floor_of
from benchmarks.report import Report, Table

EXCHANGE: Final = 0.2
THREADS: Final = 64
TASKS: Final = 1000
PATIENCE: Final = 2.0
STORIES: Final = ("expired", "revoked", "refused")


def main() -> None:
    kinds = [kind for kind in CONTENDERS if kind.renews is not None and selected(kind)]
    report = Report(
        "storm",
        "What happens when a token is no good and everybody comes at once?",
        f"{THREADS} threads, or {TASKS:,} tasks; an exchange takes {EXCHANGE * 1000:g} ms; the refresh token rotates, "
        "and a spent one is refused. *Served*: from the start until the last good request reached the transport. "
        "*Floor*: the same requests with the floor and a good token.",
        versions=versions(VERSIONED),
    )
    for story in STORIES:
        table = _table(story)
        table.rows = _rows(story, kinds, report)
        report.tables.append(table)
        _goals(report, story, table.rows)
    report.publish(keep=is_whole())


def _rows(story: str, kinds: list[type[Contender]], report: Report) -> list[Row]:
    """Where a time is the figure, and a goal, nothing else runs; attempts are counted of several at once."""
    alone = [kind for kind in kinds if kind.name == "authflow" and story != "refused"]
    others = [kind for kind in kinds if kind not in alone]
    with ThreadPoolExecutor(4 if story == "refused" else 2) as workers:
        found = dict(zip(others, workers.map(functools.partial(_row, story, report), others), strict=True))
    found.update((kind, _row(story, report, kind)) for kind in alone)
    return [row for kind in kinds if (row := found[kind]) is not None]


def _row(story: str, report: Report, kind: type[Contender]) -> Row | None:
    runs = []
    for _ in range(2 if kind.name == "authflow" and not is_short() else 1):
        with Endpoint() as endpoint:
            try:
                runs.append(fresh("storm", kind.__name__, story, endpoint.base_url, python=kind.python))
            except Failed as failed:
                report.notes.append(f"{kind.name} ({kind.client}), {story}: {failed}")
    return _worst(runs) if runs else None


def _table(story: str) -> Table:
    if story == "refused":
        return Table(
            f"refused, {PATIENCE:g} s of retries",
            (
                ("contender", "", 0),
                ("callers", "callers", 0),
                ("attempts", "attempts", 0),
                ("refused", "refused is", 0),
            ),
            chart="attempts",
        )
    return Table(
        f"{story}, everybody at once",
        (
            ("contender", "", 0),
            ("callers", "callers", 0),
            ("exchanges", "exchanges", 0),
            ("failed", "failed calls", 0),
            ("served_ms", "last served, ms", 0),
            ("floor_ms", "floor, ms", 0),
        ),
        chart="exchanges",
    )


def _worst(runs: list[Row]) -> Row:
    """Of several runs: the most exchanges and failures, the median of the times."""
    row = dict(runs[0])
    for key in ("exchanges", "failed", "attempts"):
        if key in row:
            row[key] = max(run[key] for run in runs)
    for key in ("served_ms", "floor_ms"):
        if row.get(key) is not None:
            row[key] = statistics.median(run[key] or 0.0 for run in runs)
    return row


def _goals(report: Report, story: str, rows: list[Row]) -> None:
    for row in rows:
        if not row["contender"].startswith("authflow"):
            continue
        what = f"{row['contender']}, {story}"
        if story == "refused":
            report.goal(f"{what}: attempts", 1, row["attempts"])
            continue
        sends = 2 if story == "revoked" else 1
        report.goal(f"{what}: exchanges", 1, row["exchanges"])
        report.goal(f"{what}: failed calls", 0, row["failed"])
        limit = 1.2 * EXCHANGE * 1000 + 20 + sends * row["floor_ms"]
        report.goal(f"{what}: last served (1.2 × exchange + 20 ms + the floor's time)", limit, row["served_ms"], " ms")


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def run(kind: type[Contender], story: str, base_url: str) -> None:
    counted, row = (_async if kind.is_async else _threads)(kind, story, base_url)
    row = {"contender": f"{kind.name} ({kind.client})", **row}
    if story == "refused":
        row["attempts"] = counted.get("exchanges", 0)
        row["refused"] = "the password" if kind.logs_in else "the refresh token"
    else:
        row["exchanges"] = counted.get("exchanges", 0)
    answer(row)


def _orders(kind: type[Contender], story: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the endpoint is told before the contender's first token, and at the storm's beginning."""
    short_lived = story == "expired" or (story == "refused" and not kind.logs_in)
    first = {"lifetime": 1 if short_lived else 3600, "latency": 0.0, "refuse": False}
    latency = 0.02 if story == "refused" else EXCHANGE
    return first, {"lifetime": 3600, "latency": latency, "refuse": story == "refused", "reset": True}


def _threads(kind: type[Contender], story: str, base_url: str) -> tuple[Row, Row]:
    first, then = _orders(kind, story)
    order(base_url, **first)
    contender = ready(kind, base_url)
    if story != "refused" or not kind.logs_in:
        contender.get()
        if first["lifetime"] == 1:
            time.sleep(1.2)
        contender.gate.revoke()
    order(base_url, **then)
    if story == "refused":
        _retry_in_threads(contender.get)
        return order(base_url), {"callers": THREADS}
    floor = ready(floor_of(kind), base_url)
    floor_ms = min(_storm(floor)[0] for _ in range(3))
    served, failed = _storm(contender)
    return order(base_url), {"callers": THREADS, "failed": failed, "served_ms": served, "floor_ms": floor_ms}


def _storm(contender: Contender) -> tuple[float, int]:
    """Milliseconds until the last good request, and how many calls failed."""
    barrier = threading.Barrier(THREADS + 1)
    good: list[bool] = []

    def call() -> None:
        barrier.wait()
        try:
            good.append(contender.get() == 200)
        except Exception:
            good.append(False)

    threads = [threading.Thread(target=call) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return max(0.0, contender.gate.last - started) * 1000, good.count(False)


def _retry_in_threads(get: Callable[[], int]) -> None:
    ends = time.monotonic() + PATIENCE

    def call() -> None:
        while time.monotonic() < ends:
            with suppress(Exception):
                get()
            time.sleep(0.1)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, ends - time.monotonic()))


def _async(kind: type[Contender], story: str, base_url: str) -> tuple[Row, Row]:
    async def go() -> tuple[Row, Row]:
        first, then = _orders(kind, story)
        order(base_url, **first)
        contender = ready(kind, base_url)
        if story != "refused" or not kind.logs_in:
            await contender.aget()
            if first["lifetime"] == 1:
                await asyncio.sleep(1.2)
            contender.gate.revoke()
        order(base_url, **then)
        if story == "refused":
            await _retry_in_tasks(contender)
            return order(base_url), {"callers": THREADS}
        floor = ready(floor_of(kind), base_url)
        floor_ms = min([(await _astorm(floor))[0] for _ in range(3)])
        served, failed = await _astorm(contender)
        return order(base_url), {"callers": TASKS, "failed": failed, "served_ms": served, "floor_ms": floor_ms}

    return asyncio.run(go())


async def _astorm(contender: Contender) -> tuple[float, int]:
    started = time.perf_counter()
    told = await asyncio.gather(*(contender.aget() for _ in range(TASKS)), return_exceptions=True)
    return max(0.0, contender.gate.last - started) * 1000, sum(status != 200 for status in told)


async def _retry_in_tasks(contender: Contender) -> None:
    async def call() -> None:
        while True:
            with suppress(Exception):
                await contender.aget()
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(call()) for _ in range(THREADS)]
    await asyncio.wait(tasks, timeout=PATIENCE)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    given = child_arguments()
    if given is None:
        main()
    else:
        run(BY_NAME[given[0]], given[1], given[2])
