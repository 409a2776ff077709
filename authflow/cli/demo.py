"""The story that `authflow demo` tells: three clients, one supplier, and a claim that is checked at every step.

    STEPS        what is ordered from the supplier, what is called, and what the supplier must have counted then
    CLIENTS      how each client fetches many deliveries at once
    Witness      what happened meanwhile: state changes, from the plugin hook; exchanges, from the session's own client
    Supplier     the other process, asked for its counts and told what to do

A claim holds if the deliveries are the right ones, the supplier counted exactly what it should, and never saw two
exchanges at once. Half a day passes in no time: the session's clock and the supplier's are moved ahead together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import requests

import authflow
from authflow.cli.demo_page import Page, Row, page
from authflow.cli.exits import MISUSED, UNAVAILABLE, UNKEPT, Failed
from authflow.plugins import manager
from authflow.recording import Recording, html_page

LIFETIME = 12 * 3600
PASSWORD = "open-sesame"
TIMEOUT = 30
SERVER = (sys.executable, "-m", "authflow_supplier.server", "--exit-with-stdin", f"--lifetime={LIFETIME}")


@dataclass(frozen=True)
class Step:
    claim: str
    counted: dict[str, int]
    orders: dict[str, Any] = field(default_factory=dict)
    pass_time: float = 0
    calls: int = 1


STEPS = (
    Step("the first call logs in", {"login": 1, "tracking": 1, "data": 1}),
    Step("the second call reuses the token", {"tracking": 1, "data": 1}),
    Step(
        "12 hours later: refreshed, by the old bearer",
        {"refresh": 1, "tracking": 1, "data": 1},
        pass_time=LIFETIME + 1,
    ),
    Step(
        "token and refresh token revoked: logged in again, call repeated",
        {"refresh": 1, "refresh_refused": 1, "login": 1, "tracking": 2, "tracking_401": 1, "data": 1},
        orders={"revoke": "family"},
    ),
    Step(
        "50 calls at once on an expired token: one exchange",
        {"refresh": 1, "tracking": 50, "data": 50},
        orders={"latency": 0.2},
        pass_time=LIFETIME + 1,
        calls=50,
    ),
)


@dataclass(frozen=True)
class Fetched:
    """One delivery, and the URLs that the call went through."""

    delivery: dict[str, Any]
    urls: tuple[str, ...]


def with_requests(session: authflow.AuthSession, urls: Sequence[str]) -> list[Fetched]:
    def fetch(url: str) -> Fetched:
        answer = requests.get(url, auth=session.requests, timeout=TIMEOUT)
        answer.raise_for_status()
        return Fetched(answer.json(), tuple(hop.url for hop in (*answer.history, answer)))

    with ThreadPoolExecutor(len(urls)) as threads:
        return list(threads.map(fetch, urls))


def with_httpx(session: authflow.AuthSession, urls: Sequence[str]) -> list[Fetched]:
    # httpx closes surplus idle connections that another thread is about to use: a ReadError, with or without auth.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with (
        httpx.Client(auth=session.httpx, follow_redirects=True, timeout=TIMEOUT, limits=limits) as client,
        ThreadPoolExecutor(len(urls)) as threads,
    ):
        return [_fetched(answer) for answer in threads.map(client.get, urls)]


def with_async_httpx(session: authflow.AuthSession, urls: Sequence[str]) -> list[Fetched]:
    async def fetch_all() -> list[Fetched]:
        async with httpx.AsyncClient(auth=session.httpx, follow_redirects=True, timeout=TIMEOUT) as client:
            return [_fetched(answer) for answer in await asyncio.gather(*(client.get(url) for url in urls))]

    return asyncio.run(fetch_all())


def _fetched(answer: httpx.Response) -> Fetched:
    answer.raise_for_status()
    return Fetched(answer.json(), tuple(str(hop.url) for hop in (*answer.history, answer)))


#: The recordings made so far, where a page is wanted.
Seen = list[Recording] | None
Fetch = Callable[[authflow.AuthSession, Sequence[str]], list[Fetched]]
CLIENTS: dict[str, Fetch] = {
    "requests": with_requests,
    "httpx.Client": with_httpx,
    "httpx.AsyncClient": with_async_httpx,
}


class Witness:
    """Sees every state change and every exchange, and keeps no secret."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.state = ""
        self.changes: list[tuple[str, str, str]] = []
        self.exchanges: list[str] = []

    @authflow.hookimpl
    def authflow_transition(self, before: str, event: str, after: str) -> None:
        self.changes.append((before, event, after))

    def client(self) -> httpx.Client:
        return httpx.Client(event_hooks={"response": [self._see]})

    def _see(self, answer: httpx.Response) -> None:
        request = answer.request
        sent = json.loads(request.content)
        shown = [f"{name}={value if name == 'username' else '***'}" for name, value in sent.items()]
        bearer = ["Bearer ***"] if "authorization" in request.headers else []
        path = str(request.url).removeprefix(self.base_url)
        self.exchanges.append(" ".join([request.method, path, *bearer, *shown, "->", str(answer.status_code)]))

    def recall(self) -> tuple[str, str]:
        """The state changes and exchanges since the last time, as text."""
        changes, exchanges = self.changes, self.exchanges
        self.changes, self.exchanges = [], []
        states = changes[0][0] if changes else f"{self.state} (no change)"
        for _, event, after in changes:
            states += f" -{event}-> {after}"
            self.state = after
        return states, "; ".join(exchanges) or "none"


@dataclass
class Supplier:
    """The supplier's process, seen from outside."""

    base_url: str
    data_url: str
    ahead: float = 0

    def clock(self) -> float:
        return time.time() + self.ahead

    def prepare(self, orders: dict[str, Any], pass_time: float) -> None:
        self.ahead += pass_time
        self._ask("/__control", {"latency": 0, "advance": pass_time, "reset_counts": True} | orders)

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._ask("/__counts")
        return {name: count for name, count in counts.items() if count and name != "connections"}

    def _ask(self, path: str, orders: dict[str, Any] | None = None) -> Any:
        body = None if orders is None else json.dumps(orders).encode()
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            self.data_url + path, body, timeout=TIMEOUT
        ) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running_supplier() -> Iterator[Supplier]:
    """A supplier on this machine. It also ends by itself when this process is gone, since that closes its stdin."""
    process = subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    overdue = threading.Timer(TIMEOUT, process.kill)
    overdue.start()
    try:
        line = process.stdout.readline()
        overdue.cancel()
        if not line:
            raise Failed("the supplier did not start", UNAVAILABLE)
        yield Supplier(**json.loads(line))
    finally:
        overdue.cancel()
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def run(html: Path | None = None, *, as_json: bool = False) -> int:
    """Tell the story, and draw it on a page if one is wanted; the exit status is 0 if all of it was so.

    Raises Failed, OSError.
    """
    if html is not None and not html.absolute().parent.is_dir():
        raise Failed(f"{html}: there is no folder {html.parent}", MISUSED)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    show = page(as_json=as_json)
    seen: Seen = [] if html is not None else None
    with running_supplier() as supplier:
        show.title(f"A supplier runs on {supplier.base_url}, its data on {supplier.data_url}.")
        for number, (name, fetch) in enumerate(CLIENTS.items(), start=1):
            _tell(show, supplier, name, fetch, 1000 * number, seen)
    if html is not None and seen is not None:
        _write(html, html_page(seen, "authflow demo"))
        show.title(f"\n\n{html} shows what happened.")
    return show.verdict()


def _write(html: Path, text: str) -> None:
    try:
        html.write_text(text, "utf-8")
    except OSError as error:
        raise Failed(f"{html} cannot be written: {error.strerror or error}", UNKEPT) from None


def _tell(show: Page, supplier: Supplier, name: str, fetch: Fetch, first_id: int, seen: Seen) -> None:
    witness = Witness(supplier.base_url)
    manager().register(witness)
    fetched: list[Fetched] = []
    try:
        show.chapter(name)
        with witness.client() as client:
            with _session(supplier, client, PASSWORD) as session, _recorded(session, name, seen):
                for step in STEPS:
                    ids = [str(first_id + number) for number in range(step.calls)]
                    supplier.prepare(step.orders, step.pass_time)
                    try:
                        fetched = fetch(session, [f"{supplier.base_url}deliveries/{id}" for id in ids])
                        wrong = "" if [one.delivery["id"] for one in fetched] == ids else "not the deliveries asked for"
                    except Exception as error:
                        wrong = _named(error)
                    note = _journey(supplier, fetched[0]) if step is STEPS[0] and fetched else ""
                    show.row(_judge(step.claim, step.counted, wrong, note, supplier, witness))
            show.row(_wrong_password(supplier, name, fetch, client, witness, seen))
    finally:
        manager().unregister(witness)
    if fetched:
        show.deliveries([one.delivery for one in fetched[:4]])


def _wrong_password(
    supplier: Supplier, name: str, fetch: Fetch, client: httpx.Client, witness: Witness, seen: Seen
) -> Row:
    supplier.prepare({}, 0)
    wrong, note = "", ""
    with _session(supplier, client, "open-barley") as session, _recorded(session, f"{name}, wrong password", seen):
        for _ in range(2):
            try:
                fetch(session, [f"{supplier.base_url}deliveries/1"])
                wrong = "a delivery came, in spite of the wrong password"
            except authflow.CredentialsRefused as error:
                note = _named(error)
            except Exception as error:
                wrong = _named(error)
    claim = "a wrong password, two calls: sent once, then refused here"
    return _judge(claim, {"login": 1, "login_refused": 1}, wrong, note, supplier, witness)


def _session(supplier: Supplier, client: httpx.Client, password: str) -> authflow.AuthSession:
    return authflow.AuthSession(
        "supplier",
        username="demo",
        password=password,
        base_url=supplier.base_url,
        data_origin=supplier.data_url,
        client=client,
        clock=supplier.clock,
    )


def _recorded(session: authflow.AuthSession, title: str, seen: Seen) -> contextlib.AbstractContextManager[object]:
    if seen is None:
        return contextlib.nullcontext()
    recording = session.record(title)
    seen.append(recording)
    return recording


def _judge(claim: str, expected: dict[str, int], wrong: str, note: str, supplier: Supplier, witness: Witness) -> Row:
    counted = supplier.counts()
    at_once = counted.pop("max_concurrent_exchanges", 0)
    if not wrong and at_once > 1:
        wrong = f"{at_once} exchanges at once"
    if not wrong and counted != expected:
        wrong = f"expected {_listed(expected)}"
    states, exchange = witness.recall()
    return Row(claim, states, exchange, _listed(counted), note, wrong)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _journey(supplier: Supplier, fetched: Fetched) -> str:
    """Where the first call went: asked for under the base URL, up a level, redirected to the second origin."""
    return " -> ".join(["deliveries/{id}", *fetched.urls])
