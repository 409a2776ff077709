"""What does one authorised request cost more than one whose header is written by hand?

Two figures for each contender, both over the floor of the same client: the whole request, with a transport that answers
in process; and the hook alone, from the bare request until the answer was heard. A token is good throughout. The
hook's instructions are counted too, since they do not wander as times do.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.endpoint import Endpoint, order
from benchmarks.measure import (
    Batch,
    Compared,
    Failed,
    Row,
    alternate,
    answer,
    child_arguments,
    clock,
    fresh,
    instructions,
    instrument,
    is_short,
    is_whole,
    middle,
    options,
    timed,
    versions,
)
from benchmarks.near_end import Gate
from benchmarks.peers import BY_NAME, CONTENDERS, VERSIONED, Contender, floor_of
from benchmarks.report import Report, Table

#: Client → how many instructions a hook may have, × a listener that does nothing where there is one, else × the floor.
HOOK_GOALS = {"requests": 1.2, "niquests": 1.25, "aiohttp": 1.15}
HOOK_GOAL = 1.12
REQUEST_GOAL, NIQUESTS_GOAL = 1.01, 1.02
#: Interpreters and rounds: for authflow, whose figures have goals, and for the peers, whose figures stand beside them.
OURS, THEIRS, SHORT = (3, 15), (1, 9), (1, 3)
#: Runs of the hook whose instructions are compared.
FEW, MANY = 100, 2100


def main() -> None:
    kinds = [kind for kind in CONTENDERS if kind.name != "floor" and selected(kind)]
    report = Report(
        "hot_path",
        "What does one authorised request cost more than one with a hand-written header?",
        "The token is good, the transport answers in process, `trust_env` is off. *Hook*: from the bare request until "
        "its answer was heard. *× floor*: the median of ratios in alternating batches, over fresh interpreters.",
        versions=versions(VERSIONED),
    )
    with Endpoint() as endpoint:
        order(endpoint.base_url, lifetime=360000)
        found: dict[type[Contender], list[Row]] = {kind: [] for kind in kinds}
        for turn in range(OURS[0]):
            for kind in kinds:
                processes, rounds = effort(kind)
                if turn >= processes:
                    continue
                try:
                    row = fresh("hot_path", kind.__name__, endpoint.base_url, rounds, python=kind.python)
                    found[kind].append(row)
                except Failed as failed:
                    report.notes.append(f"{kind.name} ({kind.client}) gave no figure: {failed}")
        rows = {kind: middle(some) for kind, some in found.items() if some}
        if not is_short():
            _count(rows, endpoint.base_url)
    for client in dict.fromkeys(kind.client for kind in rows):
        table = Table(
            client,
            (
                ("name", "", 0),
                ("hook_us", "hook, µs", 2),
                ("hook_ratio", "hook × floor", 2),
                ("instructions_ratio", "instructions × floor", 2),
                ("request_us", "request, µs", 1),
                ("request_ratio", "request × floor", 3),
            ),
            chart="hook_us",
        )
        here = [row for kind, row in rows.items() if kind.client == client]
        floor = {"name": "floor", "hook_us": here[0]["hook_floor_us"], "request_us": here[0]["request_floor_us"]}
        table.rows = [{**floor, "hook_ratio": 1.0, "request_ratio": 1.0, "instructions_ratio": 1.0}, *here]
        report.tables.append(table)
        ours = next((row for row in here if row["name"] == "authflow"), None)
        if ours is None:
            continue
        listens = next((row for row in here if row["name"] == "floor that listens"), ours)
        limit = listens.get("instructions" if listens is not ours else "floor_instructions")
        if limit and ours.get("instructions"):
            what = " × floor that listens" if listens is not ours else " × floor"
            report.goal(
                f"{client}: hook, instructions", HOOK_GOALS.get(client, HOOK_GOAL), ours["instructions"] / limit, what
            )
        most = NIQUESTS_GOAL if client == "niquests" else REQUEST_GOAL
        report.goal(f"{client}: whole request", most, ours["request_ratio"], " × floor")
        light = next((row for row in here if row["name"] == "singleflight-auth"), None)
        if light is not None:
            found_ratio = ours["request_ratio"] / light["request_ratio"]
            report.goal(f"{client}: whole request against singleflight-auth", 1.0, found_ratio, " × peer")
            if found_ratio > 1:
                report.notes.append(
                    f"{client}: singleflight-auth minds no expiry, no origin and no redirect: it renews a "
                    "token after the vendor has refused it. For what the whole request costs more, a token that is "
                    "known to end is renewed before, and goes to declared origins only."
                )
        others = [row["hook_ratio"] for kind, row in rows.items() if kind.client == client and kind.minds_expiry]
        others.remove(ours["hook_ratio"])
        if others:
            found_ratio = ours["hook_ratio"] / min(others)
            report.goal(f"{client}: hook against the fastest peer that minds expiry", 1.0, found_ratio, " × peer")
        if not all(goal.met for goal in report.goals if goal.what.startswith(f"{client}:")) and not is_short():
            _explain(report, client, rows)
    report.publish(keep=is_whole())


def _explain(report: Report, client: str, rows: dict[type[Contender], Row]) -> None:
    """Why a goal was missed: what the client itself takes for hearing of answers, and where the hook's time goes."""
    here = {kind.name: row for kind, row in rows.items() if kind.client == client}
    if (listens := here.get("floor that listens")) is not None:
        report.notes.append(
            f"{client}: to hear of a 401 takes a listener. One that does nothing costs "
            f"{listens['hook_ratio']:.2f} × the floor's hook and {listens['request_ratio']:.3f} × its request: "
            f"{client} itself does more for a request with listeners. The rest is the clock, the origin, the grant "
            "and the status: what each of them costs is in the second table of `presentations`. To be cheaper, one of "
            "them would have to go, or be written in a way that a reader would have to be told twice."
        )
    if client == "aiohttp":
        report.notes.append(
            "aiohttp: a middleware that is an object, and one that looks at the status of the answer, cost more than "
            "the goal allows before anything is minded; the other half is the URL, which yarl takes apart when asked."
        )
    if client == "niquests":
        report.notes.append(
            "niquests copies a request whose lazy answer redirects before any listener is called, and its own rules "
            "for what goes along are not relied on: so each request is given another class at once."
        )
    kind = next(kind for kind in rows if kind.name == "authflow" and kind.client == client)
    report.profile += [f"{client}, where the hook's time goes:", *_profile(kind)]


def selected(kind: type[Contender]) -> bool:
    """Is it among the names or clients of the command line (all, where there are none), and its environment made?"""
    only = options().only
    if only and kind.name not in only and kind.client not in only:
        return False
    return kind.python.exists() or kind.client != "niquests"


def effort(kind: type[Contender]) -> tuple[int, int]:
    """How many interpreters, and how many rounds in each."""
    return SHORT if is_short() else OURS if kind.name.startswith(("authflow", "floor")) else THEIRS


def _count(rows: dict[type[Contender], Row], base_url: str) -> None:
    """Lay the instructions beside the times: ours and the floors', two at once; times tell enough of the others."""
    ours = [kind for kind in rows if kind.name.startswith(("authflow", "floor"))]
    both = [one for kind in ours for one in (kind, floor_of(kind))]
    with ThreadPoolExecutor(2) as workers:
        counts = dict(zip(both, workers.map(lambda kind: _instructions(kind, base_url), both), strict=True))
    for kind in ours:
        row, own, floor = rows[kind], counts[kind], counts[floor_of(kind)]
        row["instructions"], row["floor_instructions"] = own, floor
        if own and floor:
            row["instructions_ratio"] = own / floor


def _instructions(kind: type[Contender], base_url: str) -> float | None:
    return instructions("hot_path", "count", kind.__name__, base_url, python=kind.python, few=FEW, many=MANY)


def _profile(kind: type[Contender]) -> list[str]:
    with Endpoint() as endpoint:
        lines: list[str] = fresh("hot_path", "profile", kind.__name__, endpoint.base_url, python=kind.python)["lines"]
    return lines


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def ready(kind: type[Contender], base_url: str) -> Contender:
    """A contender with a good token, ready for its first request."""
    from benchmarks.endpoint import grant

    contender = kind(f"{base_url}/token", Gate())
    if kind.renews is not None and not kind.logs_in:
        contender.seed(grant(base_url))
    return contender


def compare(kind: type[Contender], base_url: str, rounds: int) -> None:
    floor, contender = ready(floor_of(kind), base_url), ready(kind, base_url)
    assert (floor.get(), contender.get()) == (200, 200), "a request with a good token failed"
    whole = alternate(timed(floor.get), timed(contender.get), rounds=rounds, batch=400)
    hook = alternate(floor.hooked, contender.hooked, rounds=rounds, batch=800)
    _tell(kind, whole, hook)


def compare_async(kind: type[Contender], base_url: str, rounds: int) -> None:
    with asyncio.Runner() as runner:

        async def prepared() -> tuple[Contender, Contender]:
            both = ready(floor_of(kind), base_url), ready(kind, base_url)
            assert (await both[0].aget(), await both[1].aget()) == (200, 200), "a request with a good token failed"
            return both

        floor, contender = runner.run(prepared())

        def requests_of(one: Contender) -> Batch:
            async def go(times: int) -> float:
                started = clock()
                for _ in range(times):
                    await one.aget()
                return clock() - started

            return lambda times: runner.run(go(times))

        whole = alternate(requests_of(floor), requests_of(contender), rounds=rounds, batch=400)
        hook = alternate(
            lambda times: runner.run(floor.ahooked(times)),
            lambda times: runner.run(contender.ahooked(times)),
            rounds=rounds,
            batch=800,
        )
    _tell(kind, whole, hook)


def _tell(kind: type[Contender], whole: Compared, hook: Compared) -> None:
    answer(
        {
            "name": kind.name,
            "client": kind.client,
            "hook_us": hook.us,
            "hook_floor_us": hook.floor_us,
            "hook_ratio": hook.ratio,
            "request_us": whole.us,
            "request_floor_us": whole.floor_us,
            "request_ratio": whole.ratio,
        }
    )


def run_hook(kind: type[Contender], base_url: str, times: int) -> None:
    """Only the hook, again and again: for callgrind, which shall not count a garbage collection here or there."""
    from benchmarks import peers

    contender = ready(kind, base_url)
    gc.disable()
    readings = iter((True, False))

    def switch() -> float:
        """In the clock's place, which is read when the requests are made, and again when the last was answered."""
        instrument(next(readings))
        return 0.0

    if not kind.is_async:
        contender.get()
        setattr(peers, "clock", switch)  # noqa: B010
        contender.hooked(times, MANY)
        return

    async def go() -> None:
        await contender.aget()
        setattr(peers, "clock", switch)  # noqa: B010
        await contender.ahooked(times, MANY)

    asyncio.run(go())


def profile_hook(kind: type[Contender], base_url: str) -> None:
    """Where the hook's time goes: what runs between its two readings of the clock, without what was prepared before."""
    import cProfile

    from benchmarks import peers
    from benchmarks.measure import hottest

    profiler = cProfile.Profile()
    switches: Iterator[Callable[[], object]] = iter((profiler.enable, profiler.disable))

    def switch() -> float:
        next(switches)()
        return 0.0

    async def run_async(contender: Contender) -> None:
        await contender.aget()
        setattr(peers, "clock", switch)  # noqa: B010
        await contender.ahooked(20000)

    contender = ready(kind, base_url)
    if kind.is_async:
        asyncio.run(run_async(contender))
    else:
        contender.get()
        setattr(peers, "clock", switch)  # noqa: B010
        contender.hooked(20000)
    answer({"lines": hottest(profiler, 8)})


def child(what: str, *rest: str) -> None:
    if what == "count":
        answer({})
        run_hook(BY_NAME[rest[0]], rest[1], int(rest[2]))
    elif what == "profile":
        profile_hook(BY_NAME[rest[0]], rest[1])
    else:
        kind = BY_NAME[what]
        (compare_async if kind.is_async else compare)(kind, rest[0], int(rest[1]))


if __name__ == "__main__":
    given = child_arguments()
    main() if given is None else child(*given)
