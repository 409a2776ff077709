"""What do callers notice of a renewal? Four threads send without a pause while tokens of six seconds come and go.

A request is *across* a renewal if any part of it lay between the arrival of the exchange at the endpoint and its
answer, with a few milliseconds on both sides; all others are *fresh*. Both come from the same run, so that the machine
is the same for both. Contenders that can be told their leeway are told one second, a sixth of the token's life.
"""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks.endpoint import Endpoint, order
from benchmarks.hot_path import selected
from benchmarks.measure import Failed, Row, answer, child_arguments, fresh, is_short, is_whole, versions
from benchmarks.near_end import Gate
from benchmarks.peers import BY_NAME, CONTENDERS, VERSIONED, Contender
from benchmarks.report import Report, Table

LIFETIME: Final = 6
LEEWAY: Final = 1
LATENCY: Final = 0.2
MARGIN: Final = 0.005
THREADS: Final = 4
GOAL: Final = 1.05


def main() -> None:
    seconds = 7 if is_short() else 12
    report = Report(
        "ahead",
        "What do callers notice of a renewal?",
        f"{THREADS} threads send without a pause for {seconds} s; a token lives {LIFETIME} s, an exchange takes "
        f"{LATENCY * 1000:g} ms. Milliseconds per request, during renewals and between them.",
        versions=versions(VERSIONED),
    )
    table = Table(
        "requests across a renewal",
        (
            ("contender", "", 0),
            ("renewals", "exchanges", 0),
            ("failed", "failed calls", 0),
            ("fresh_p50", "p50, fresh", 3),
            ("across_p50", "p50, across", 3),
            ("fresh_p99", "p99, fresh", 2),
            ("across_p99", "p99, across", 2),
            ("ratio", "p99 across × fresh", 2),
            ("longest", "longest across", 1),
        ),
        chart="longest",
    )
    kinds = [kind for kind in CONTENDERS if not kind.is_async and _can_be_told(kind) and selected(kind)]
    # Two at once: one thread at a time runs in each, and most of the time is spent waiting for tokens to end.
    with ThreadPoolExecutor(2) as workers:
        found = workers.map(lambda kind: _runs(kind, seconds, report), kinds)
    for kind, runs in zip(kinds, found, strict=True):
        if runs:
            row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            table.rows.append({"contender": f"{kind.name} ({kind.client})", **row})
            if kind.name == "authflow":
                report.goal(f"{kind.client}: p99 across a renewal", GOAL, row["ratio"], " × p99 without one")
                report.goal(f"{kind.client}: failed calls", 0, row["failed"])
    report.tables.append(table)
    if not all(goal.met for goal in report.goals):
        report.notes.append(
            "An exchange waits for the vendor without the interpreter's lock, but to send it and to read its answer "
            "takes 1 to 2 ms of the processor: the few requests that are under way then feel it."
        )
    report.publish(keep=is_whole())


def _can_be_told(kind: type[Contender]) -> bool:
    """When to renew: authflow takes a part of the token's life, and needs no word."""
    return kind.takes_leeway or kind.name == "authflow"


def _runs(kind: type[Contender], seconds: int, report: Report) -> list[Row]:
    runs = []
    for _ in range(3 if kind.name == "authflow" and not is_short() else 1):
        with Endpoint() as endpoint:
            try:
                runs.append(fresh("ahead", kind.__name__, endpoint.base_url, seconds, python=kind.python))
            except Failed as failed:
                report.notes.append(f"{kind.name} ({kind.client}) gave no figure: {failed}")
    return runs


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def run(kind: type[Contender], base_url: str, seconds: float) -> None:
    from benchmarks.endpoint import grant

    order(base_url, lifetime=LIFETIME, latency=LATENCY)
    contender = kind(f"{base_url}/token", Gate(), LEEWAY if kind.takes_leeway else None)
    if not kind.logs_in:
        contender.seed(grant(base_url))
    contender.get()
    order(base_url, reset=True)
    sent, failed = _send(contender, seconds)
    instants = order(base_url)["instants"]
    across: list[float] = []
    fresh: list[float] = []
    for started, took in sent:
        meets = any(started < instant + LATENCY + MARGIN and instant - MARGIN < started + took for instant in instants)
        (across if meets else fresh).append(took * 1000)
    answer(
        {
            "renewals": len(instants),
            "failed": failed,
            "fresh_p50": statistics.median(fresh),
            "across_p50": statistics.median(across),
            "fresh_p99": _percentile(fresh, 99),
            "across_p99": _percentile(across, 99),
            "ratio": _percentile(across, 99) / _percentile(fresh, 99),
            "longest": max(across),
        }
    )


def _send(contender: Contender, seconds: float) -> tuple[list[tuple[float, float]], int]:
    """When each request began (epoch seconds), how long it took, and how many failed."""
    ends = time.monotonic() + seconds
    sent: list[tuple[float, float]] = []
    failures: list[object] = []

    def call() -> None:
        while time.monotonic() < ends:
            began, started = time.time(), time.perf_counter()
            try:
                good = contender.get() == 200
            except Exception as error:
                good = False
                failures.append(error)
            sent.append((began, time.perf_counter() - started))
            if not good:
                failures.append(began)
            time.sleep(0.001)

    threads = [threading.Thread(target=call) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent, len(failures)


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    given = child_arguments()
    if given is None:
        main()
    else:
        run(BY_NAME[given[0]], given[1], float(given[2]))
