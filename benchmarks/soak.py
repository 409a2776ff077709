"""Ten bad minutes: 50 threads and 500 tasks against a supplier that fails at random, and what must hold all the same.

    python -m benchmarks.soak [--seconds 600] [--seed 1]      CI takes 30 s, of which nothing is kept

One session serves requests and httpx at once. Meanwhile tokens expire and are revoked, exchanges and data answer 503,
break off, hang or lose their answers after the work is done, answers become slow, and the supplier is ended and started
again. Afterwards 60 forbidden paths are asked for, another 50 threads try a wrong password for a while, and for an hour
of the session's clock three wrong passwords take turns. Then four processes share a store, and are killed, forked and
stopped in the middle of a refresh (`crashes`). It prints what happened, and fails when

    a refresh token was sent twice          the wrong password was sent more than once
    forbidden paths cost many exchanges     an account meets more than four refusals in an hour
    two exchanges ran at once               a caller, thread or lock is left behind, or memory grows
    nobody is served for long               the session does not recover
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from typing import Any, Final

from benchmarks.crashes import SHORT, crash, hours_apart
from benchmarks.measure import ROOT, parser, versions
from benchmarks.report import Report, Table

THREADS: Final = 50
TASKS: Final = 500
TIMEOUT: Final = 3.0
LIFETIME: Final = 8.0
#: One that outlives the hours by which clocks differ.
LONG: Final = 86400.0
#: How often each order is given, by weight; `None` is a pause in which all is well.
ORDERS: Final[tuple[tuple[int, dict[str, Any] | None], ...]] = (
    (4, None),
    (3, {"expire": True}),
    (3, {"revoke": "access"}),
    (2, {"revoke": "refresh"}),
    (1, {"revoke": "family"}),
    (2, {"latency": 0.2}),
    (2, {"latency": 0.0}),
    (2, {"fault": {"path": "refresh", "status": 503, "times": 2, "retry_after": 1}}),
    (2, {"fault": {"path": "login", "status": 503, "times": 1}}),
    (2, {"fault": {"path": "refresh", "kind": "reset"}}),
    (2, {"fault": {"path": "refresh", "kind": "reset", "after": True}}),
    (1, {"fault": {"path": "refresh", "kind": "hang", "after": True}}),
    (1, {"fault": {"path": "refresh", "kind": "garbage"}}),
    (1, {"fault": {"path": "refresh", "kind": "drip"}}),
    (1, {"fault": {"path": "refresh", "status": 404}}),
    (1, {"fault": {"path": "login", "status": 500}}),
    (1, {"fault": {"path": "login", "kind": "reset"}}),
    (2, {"fault": {"path": "data", "status": 503, "times": 5}}),
    (2, {"fault": {"path": "data", "kind": "reset", "times": 5}}),
)
#: A quarter of the threads that serve tasks, and one for the deadlines.
MOST_THREADS: Final = 17
#: Paths that reject a good token.
FORBIDDEN: Final = 60
#: Seconds of a run whose figures are kept.
WHOLE: Final = 600.0
RESTART_EVERY: Final = 12.0
#: Recovery, in seconds: the longest pause that any fault above leads to, and the time-out of an exchange.
RECOVERS_WITHIN: Final = 45.0
MEMORY_GROWTH: Final = 16.0
#: For so many seconds at most are processes killed: with each, all that can happen has happened many times by then.
MOST_CRASHES: Final = 240.0


class Outcomes(Counter[str]):
    """What callers got, and the longest time in which nobody was served, in seconds."""

    longest = 0.0
    last = time.monotonic()

    def served(self) -> None:
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now


class Supplier:
    """The supplier's process on ports that stay the same when it is started again; what it counted is added up."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self.lifetime = lifetime
        self.ports = [_free_port(), _free_port()]
        self.total: Counter[str] = Counter()
        self.at_once = 0
        self.restarts = -1
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "authflow_supplier.server", "--exit-with-stdin", f"--lifetime={self.lifetime}"]
        command += [f"--port={self.ports[0]}", f"--data-port={self.ports[1]}"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.base_url, self.data_url = told["base_url"], told["data_url"]
        self.restarts += 1

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.collect()
        self._process.communicate(timeout=15)

    def collect(self) -> None:
        counts = self._ask("/__counts", None)
        self._ask("/__control", {"reset_counts": True})
        self.at_once = max(self.at_once, counts.pop("max_concurrent_exchanges"))
        self.total.update(counts)

    def order(self, orders: dict[str, Any]) -> None:
        self._ask("/__control", orders)

    def _ask(self, path: str, orders: dict[str, Any] | None) -> Any:
        body = None if orders is None else json.dumps(orders).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.data_url + path, body, timeout=15) as answer:
            return json.load(answer)


def main() -> int:
    options = _options()
    dice = random.Random(options.seed)
    supplier = Supplier()
    try:
        found = _soak(supplier, options.seconds, dice)
        found["forbidden"] = _forbidden_paths(supplier)
        found["attempts"] = _wrong_password(supplier, min(5.0, options.seconds / 4))
        found["an hour"] = _several_passwords(supplier)
        found["crashes"] = _crashes(options, dice)
    finally:
        supplier.stop()
    report = _report(found, supplier, options)
    report.publish(keep=options.seconds >= WHOLE)
    return not all(goal.met for goal in report.goals)


def _options() -> argparse.Namespace:
    more = parser()
    more.add_argument("--seconds", type=float, help=f"how long it lasts ({WHOLE:g}; a shorter run is not kept)")
    more.add_argument("--seed", type=int, default=1, help="what the disturbances are drawn from (1)")
    given = more.parse_args()
    given.seconds = given.seconds or (6.0 if given.short else WHOLE)
    return given


def _session(supplier: Supplier, **more: Any) -> Any:
    from authflow import AuthSession

    own = {"username": "demo", "password": "open-sesame", "timeout": TIMEOUT}
    return AuthSession("supplier", base_url=supplier.base_url, data_origin=supplier.data_url, **{**own, **more})


# --- the callers ------------------------------------------------------------------------------------------------------


def _soak(supplier: Supplier, seconds: float, dice: random.Random) -> dict[str, Any]:
    from authflow.stores import MemoryStore

    threads_before = threading.active_count()
    store = MemoryStore()
    session = _session(supplier, store=store)
    outcomes = Outcomes()
    outcomes.last = time.monotonic()
    stop = threading.Event()
    callers = [
        threading.Thread(target=_calls, args=(number, session, supplier, outcomes, stop)) for number in range(THREADS)
    ]
    loop = threading.Thread(target=lambda: asyncio.run(_tasks(session, supplier, outcomes, stop)))
    for thread in [*callers, loop]:
        thread.start()
    started = time.monotonic()
    memory = []
    ours = 0
    restarted = started
    while (now := time.monotonic()) - started < seconds:
        _disturb(supplier, dice)
        if now - restarted > RESTART_EVERY:
            supplier.restart()
            restarted = now
        memory.append(_resident())
        ours = max(ours, sum(thread.name.startswith("authflow") for thread in threading.enumerate()))
        time.sleep(dice.uniform(0.2, 1.0))
    stop.set()
    for thread in [*callers, loop]:
        thread.join(60)
    outcomes.served()
    stuck = sum(thread.is_alive() for thread in [*callers, loop])
    recovered = _recovers(supplier, session)
    quiet = time.monotonic() + 10
    while threading.active_count() > threads_before and time.monotonic() < quiet:
        time.sleep(0.05)
    quarter = max(1, len(memory) // 4)
    return {
        "outcomes": outcomes,
        "longest": outcomes.longest,
        "seconds": seconds,
        "stuck": stuck,
        "threads": threading.active_count() - threads_before,
        "ours": ours,
        "locks": _left_behind(session, store),
        "recovered": recovered,
        "growth": max(memory[-quarter:]) - max(memory[: 2 * quarter]),
    }


def _disturb(supplier: Supplier, dice: random.Random) -> None:
    (order,) = dice.choices([order for _, order in ORDERS], [weight for weight, _ in ORDERS])
    if order is not None:
        supplier.order(order)


def _calls(number: int, session: Any, supplier: Supplier, outcomes: Outcomes, stop: threading.Event) -> None:
    import requests

    with requests.Session() as http:
        http.trust_env = False
        while not stop.is_set():
            url = f"{supplier.base_url}deliveries/{number}"
            try:
                _note(outcomes, http.get(url, auth=session.requests, timeout=10).status_code)
            except requests.RequestException as error:
                outcomes[_kind(error)] += 1
            stop.wait(0.05)


async def _tasks(session: Any, supplier: Supplier, outcomes: Outcomes, stop: threading.Event) -> None:
    import httpx

    limits = httpx.Limits(max_connections=100)
    timeout = httpx.Timeout(10, pool=30)
    async with httpx.AsyncClient(
        auth=session.httpx, follow_redirects=True, trust_env=False, limits=limits, timeout=timeout
    ) as http:

        async def call(number: int) -> None:
            while not stop.is_set():
                try:
                    answer = await http.get(f"{supplier.base_url}deliveries/{number}")
                    _note(outcomes, answer.status_code)
                except httpx.HTTPError as error:
                    outcomes[_kind(error)] += 1
                await asyncio.sleep(0.5)

        await asyncio.gather(*(call(THREADS + number) for number in range(TASKS)))


def _note(outcomes: Outcomes, status: int) -> None:
    outcomes[str(status)] += 1
    if status == 200:
        outcomes.served()


def _kind(error: BaseException) -> str:
    """The name of our own error where it is one; that of the client's otherwise."""
    names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "authflow.errors"]
    return names[0] if names else f"the client's {type(error).__name__}"


def _recovers(supplier: Supplier, session: Any) -> float | None:
    """Seconds until a request is served again when all is well, or None."""
    for path in ("login", "refresh", "data", "tracking"):
        supplier.order({"latency": 0, "fault": {"path": path, "times": 0}})
    started = time.monotonic()
    while (took := time.monotonic() - started) < RECOVERS_WITHIN:
        with contextlib.suppress(Exception):
            session.token()
            return took
        time.sleep(0.05)
    return None


def _left_behind(session: Any, store: Any) -> int:
    """Does the store's lock, or a flight, stay with somebody?"""
    try:
        with store.lock(session._manager.grants.identity_now()[1].key, limit=1.0, wait=1.0):
            grant = 0
    except Exception:
        grant = 1
    return grant + len(session._manager.grants.flights._under_way)


def _wrong_password(supplier: Supplier, seconds: float) -> int:
    """How often a wrong password reaches the supplier while many callers try again and again."""
    import requests

    supplier.collect()
    before = supplier.total["login_refused"]
    session = _session(supplier, password="wrong")
    ends = time.monotonic() + seconds

    def call() -> None:
        while time.monotonic() < ends:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{supplier.base_url}deliveries/7", auth=session.requests, timeout=10)
            time.sleep(0.05)

    callers = [threading.Thread(target=call) for _ in range(THREADS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    supplier.collect()
    return supplier.total["login_refused"] - before


def _forbidden_paths(supplier: Supplier) -> int:
    """How many exchanges it costs that a good token is rejected on one path after another, within a minute."""
    import requests

    session = _session(supplier)
    supplier.collect()
    before = supplier.total["login"] + supplier.total["refresh"]
    supplier.order({"fault": {"path": "data", "status": 401, "times": 10_000}})
    for number in range(FORBIDDEN):
        requests.get(f"{supplier.base_url}deliveries/{number}", auth=session.requests, timeout=10)
    supplier.order({"fault": {"path": "data", "times": 0}})
    supplier.collect()
    return supplier.total["login"] + supplier.total["refresh"] - before


def _several_passwords(supplier: Supplier) -> int:
    """How often an account is refused within an hour, three wrong passwords in turn."""
    from authflow.errors import CredentialsRefused
    from authflow.stores import MemoryStore

    store, ahead = MemoryStore(), [0.0]
    more = {"store": store, "clock": lambda: time.time() + ahead[0]}
    sessions = [_session(supplier, password=f"wrong-{number}", **more) for number in range(3)]
    supplier.collect()
    before = supplier.total["login_refused"]
    while ahead[0] < 3600:
        for session in sessions:
            with contextlib.suppress(CredentialsRefused):
                session.token()
        ahead[0] += 45
    supplier.collect()
    return supplier.total["login_refused"] - before


def _crashes(options: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    """The same for processes, at a supplier of their own: what is under way for one that was killed goes on there."""
    supplier = Supplier(SHORT)
    try:
        found = crash(supplier, min(options.seconds, MOST_CRASHES), dice)
        supplier.collect()
        found["reused"] = supplier.total["refresh_reused"]
        found["refused"] = supplier.total["login_refused"]
    finally:
        supplier.stop()
    supplier = Supplier(LONG)
    try:
        fault = {"fault": {"path": "data", "status": 401, "times": 10_000}}
        hours_apart(supplier, "paths", FORBIDDEN // 4 + 1, 0.0, lambda: supplier.order(fault))
        supplier.collect()
        found["forbidden"] = supplier.total["login"] + supplier.total["refresh"]
        hours_apart(supplier, "passwords", 30, 120.0, lambda: None)
        supplier.collect()
        found["an hour"] = supplier.total["login_refused"]
    finally:
        supplier.stop()
    return found


# --- what came of it --------------------------------------------------------------------------------------------------


def _report(found: dict[str, Any], supplier: Supplier, options: argparse.Namespace) -> Report:
    total, outcomes = supplier.total, found["outcomes"]
    report = Report(
        "soak",
        "What holds while everything around it fails?",
        f"{found['seconds']:g} s, {THREADS} threads with requests and {TASKS} tasks with httpx, one session, faults "
        f"drawn with seed {options.seed}, the supplier started again {supplier.restarts} times.",
        versions=versions(("authflow-http", "requests", "httpx")),
    )
    columns = (("what", "", 0), ("count", "count", 0))
    answers = [{"what": what, "count": count} for what, count in outcomes.most_common()]
    report.tables.append(Table("what callers got", columns, answers))
    names = ("login", "login_refused", "refresh", "refresh_refused", "refresh_reused", "data", "data_401", "faults")
    report.tables.append(
        Table("what the supplier counted", columns, [{"what": name, "count": total[name]} for name in names])
    )
    crashes = found["crashes"]
    rows = [{"what": what, "count": count} for what, count in sorted(crashes["said"].items())]
    report.tables.append(Table("four processes that are killed, forked and stopped", columns, rows))
    report.goal("refresh tokens sent twice", 0, total["refresh_reused"])
    report.goal("exchanges at once", 1, supplier.at_once)
    report.goal("times that a wrong password was sent", 1, found["attempts"])
    report.goal("refusals of an account within an hour", 4, found["an hour"])
    report.goal(f"exchanges for {FORBIDDEN} forbidden paths", 7, found["forbidden"])
    report.goal("longest time in which nobody was served", RECOVERS_WITHIN, found["longest"], " s")
    report.goal("callers that never came back", 0, found["stuck"])
    report.goal("threads of ours at once", MOST_THREADS, found["ours"])
    report.goal("threads left behind", 0, found["threads"])
    report.goal("locks and flights left behind", 0, found["locks"])
    recovered = found["recovered"]
    report.goal("recovery when all is well again", RECOVERS_WITHIN, 1e9 if recovered is None else recovered, " s")
    report.goal("processes: refresh tokens sent twice", 0, crashes["reused"])
    for mishap in ("kill", "fork", "stop"):
        report.goal(f"processes: {mishap} in a refresh", 1, crashes["said"][f"{mishap} in a refresh"], at_least=True)
    report.goal("processes: good logins refused", 0, crashes["refused"])
    report.goal("processes: broken off, or never ended", 0, crashes["said"]["broken off"] + crashes["stuck"])
    report.goal("processes: longest time in which nobody was served", RECOVERS_WITHIN, crashes["longest"], " s")
    report.goal("processes: threads of ours at once in one", MOST_THREADS, crashes["threads"])
    report.goal(f"clocks hours apart: exchanges for {FORBIDDEN} forbidden paths", 7, crashes["forbidden"])
    report.goal("clocks hours apart: refusals of an account within an hour", 4, crashes["an hour"])
    report.goal("memory growth, second half", MEMORY_GROWTH, max(0.0, found["growth"]), " MiB")
    return report


def _resident() -> float:
    """MiB of this process that are in memory; 0 where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return 0.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
