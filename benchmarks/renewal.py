"""What does one renewal cost, through each client and into each store, beside the bare POST of the same client?

A refresh token is exchanged, again and again, at a strict endpoint on this machine that answers at once. Processor time
is the process's own; the endpoint is another process. The bare POST opens a connection of its own, as an exchange does.
At last 1,000 sessions renew at the same moment in one event loop.
"""

from __future__ import annotations

import asyncio
import importlib
import resource
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

from benchmarks.endpoint import Endpoint, grant, order
from benchmarks.fleet import kept_in
from benchmarks.measure import NIQUESTS, PEERS, Failed, answer, child_arguments, fresh, is_short, is_whole, versions
from benchmarks.report import Report, Table

GOAL: Final = 1.3
CLIENTS: Final = {"requests": PEERS, "httpx": PEERS, "httpx2": PEERS, "niquests": NIQUESTS}
STORES: Final = ("memory", "file", "encrypted", "redis")
GIVEN: Final[dict[str, Any]] = {
    "username": "demo",
    "password": "open-sesame",
    "client_id": "client",
    "client_secret": "client-secret",
}
CROWD: Final = 1_000


def main() -> None:
    times = 10 if is_short() else 200
    report = Report(
        "renewal",
        "What does one renewal cost beside the bare POST of the same client?",
        f"The median of {times} renewals by refresh token, which take turns with the bare POSTs. Memory: what was "
        "allocated at most during one.",
        versions=versions(("authflow-http", "requests", "httpx", "httpx2", "cryptography", "redis")),
    )
    columns: tuple[tuple[str, str, int], ...] = (
        ("what", "", 0),
        ("cpu", "processor, ms", 2),
        ("wall", "wall, ms", 2),
        ("ratio", "processor ×", 2),
    )
    columns += (("memory", "memory, KiB", 0),)
    by_client = Table("through each client, memory store, × the client's bare POST", columns)
    by_store = Table("into each store, through requests, × the memory store", columns)
    crowd = Table(f"{CROWD:,} sessions at once", (("what", "", 0), ("found", "", 1)))
    with Endpoint() as endpoint:
        order(endpoint.base_url, lifetime=3600, latency=0.0)
        for client, python in CLIENTS.items():
            try:
                row = fresh("renewal", "client", client, endpoint.base_url, times, python=python)
            except Failed as failed:
                report.notes.append(f"{client} gave no figure: {failed}")
                continue
            by_client.rows += [row["bare"] | {"ratio": 1.0}, row["ours"]]
            report.goal(f"{client}: one renewal, processor time", GOAL, row["ours"]["ratio"], " × bare POST")
        for store in STORES:
            try:
                by_store.rows.append(fresh("renewal", "store", store, endpoint.base_url, times))
            except Failed as failed:
                report.notes.append(f"{store} gave no figure: {failed}")
        for row in by_store.rows:
            row["ratio"] = row["cpu"] / by_store.rows[0]["cpu"]
        found = fresh("renewal", "crowd", endpoint.base_url, 50 if is_short() else CROWD)
        crowd.rows = [{"what": what, "found": value} for what, value in found.items()]
    report.tables += [by_client, by_store, crowd]
    report.publish(keep=is_whole())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


class Clock:
    """The time, with a leap over the token's life before each renewal."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def _session(base_url: str, clock: Clock, store: Any = "memory", name: str = "demo") -> Any:
    from authflow import AuthSession

    vendor = {"extends": "oauth2-password", "name": "bench", "base_url": f"{base_url}/"}
    return AuthSession(vendor, store=store, clock=clock, token_url=f"{base_url}/token", **{**GIVEN, "username": name})


def _renewals(session: Any, clock: Clock) -> Callable[[], object]:
    session.token()

    def renew() -> None:
        clock.ahead += 7200
        session.token()

    return renew


def _measured(what: str, calls: dict[str, Callable[[], object]], times: int) -> dict[str, dict[str, Any]]:
    """The medians of each, which take turns."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(times):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            call()
            spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    rows = {}
    for name, call in calls.items():
        tracemalloc.start()
        call()
        memory = tracemalloc.get_traced_memory()[1] / 1024
        tracemalloc.stop()
        cpus, walls = (sorted(column) for column in zip(*spent[name], strict=True))
        middle = len(cpus) // 2
        rows[name] = {
            "what": f"{what}, {name}",
            "cpu": cpus[middle] * 1e3,
            "wall": walls[middle] * 1e3,
            "memory": memory,
        }
    return rows


def client(library: str, base_url: str, times: int) -> None:
    lib, clock = importlib.import_module(library), Clock()
    session = _session(base_url, clock)
    getattr(session, library)  # the exchanges go through it
    refresh = [str(grant(base_url)["refresh_token"])]
    # to read the certificates takes ten times as long as all else, and who cares for that does it once
    how: dict[str, Any] = {"verify": ssl.create_default_context()} if library.startswith("httpx") else {}

    def bare() -> None:
        form = {"grant_type": "refresh_token", "refresh_token": refresh[0]}
        told = lib.post(f"{base_url}/token", data=form, auth=("client", "client-secret"), timeout=30, **how).json()
        refresh[0] = told["refresh_token"]

    rows = _measured(library, {"bare": bare, "ours": _renewals(session, clock)}, times)
    rows["ours"]["ratio"] = rows["ours"]["cpu"] / rows["bare"]["cpu"]
    answer(rows)


def into(store: str, base_url: str, times: int) -> None:
    from authflow.stores import EncryptedStore, MemoryStore, new_key, open_store

    with kept_in(store) as place:
        if place is None:
            raise SystemExit("there is no Redis server here")
        kept: Any = MemoryStore() if store == "memory" else open_store(place, factories={})
        kept = EncryptedStore(kept, keys=[new_key()]) if store == "encrypted" else kept
        clock = Clock()
        session = _session(base_url, clock, kept)
        getattr(session, "requests")  # noqa: B009 - the exchanges go through it
        answer(_measured(store, {"ours": _renewals(session, clock)}, times)["ours"] | {"what": store})


def crowd(base_url: str, size: int) -> None:
    clock = Clock()
    sessions = [_session(base_url, clock, name=f"user-{number}") for number in range(size)]
    most = [threading.active_count()]

    async def everybody() -> None:
        async def look() -> None:
            while True:
                most[0] = max(most[0], threading.active_count())
                await asyncio.sleep(0.01)

        looking = asyncio.ensure_future(look())
        await asyncio.gather(*(session.atoken() for session in sessions))
        looking.cancel()

    asyncio.run(everybody())
    clock.ahead, most[0] = 7200, 0
    before, wall, cpu = _resident(), time.perf_counter(), time.process_time()
    asyncio.run(everybody())
    answer(
        {
            "seconds": time.perf_counter() - wall,
            "processor, ms each": (time.process_time() - cpu) * 1e3 / size,
            "threads at most": most[0],
            "memory at most, KiB more for each": (_resident() - before) / size,
        }
    )


def _resident() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    arguments = child_arguments()
    if arguments is None:
        main()
    elif arguments[0] == "crowd":
        crowd(arguments[1], int(arguments[2]))
    else:
        {"client": client, "store": into}[arguments[0]](arguments[1], arguments[2], int(arguments[3]))
