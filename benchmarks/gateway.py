"""What the gateway costs, and what its callers notice of a renewal.

    vendor      a bare server on this machine: a token endpoint, and data for those who carry the token
    floor       the same program without auth: its client carries nothing, and no answer is searched for a secret
    nginx       a proxy with a header written by hand, where nginx is installed: the limit of what a proxy can do
    gateway     as people run it

Floor, gateway and nginx take turns, each in a process of its own, under the same load: keep-alive connections that each
send the next request when the last was answered. They have one core, vendor and load the others: who shares a core with
the load is measured by how the two meet. Only ratios are goals; processor time is what repeats on a busy machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import ROOT, child_arguments, is_short, is_whole, parser
from benchmarks.report import Report, Table

CONNECTIONS: Final = 16
CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
ROUTE: Final = """
[[routes]]
path = "/acme/{path}"
account = "acme"
methods = ["GET"]
paths = ["items/*"]
"""
ACCOUNT: Final = """
[accounts.acme]
vendor = "acme.toml"
store = "memory"
username = "demo"
password = { env = "PASSWORD" }
"""
VENDOR: Final = """
name = "acme"
extends = "relogin"
base_url = "%s/api/"
[exchanges.login]
request = { url = "login", json = { user = "{username}", pass = "{password}" } }
answers.granted = { json = { token = "{access}" } }
"""


# --- the vendor, in a process of its own ------------------------------------------------------------------------------


async def vendor() -> None:
    """Takes the newest token only; `POST /revoke` makes it old, and the next login takes 0.2 s. Counts its logins."""
    known = {"token": 0, "logins": 0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            await reader.readexactly(int(fields.get("content-length", 0)))
            path, status, body = lines[0].split(" ")[1], 200, b'{"ok": true}'
            if path.endswith("/login"):
                await asyncio.sleep(0.2)
                known["logins"] += 1
                known["token"] = known["logins"]
                body = json.dumps({"token": f"token-number-{known['token']}"}).encode()
            elif path == "/revoke":
                known["token"] = -1
            elif path == "/api/items/stream":
                writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                writer.write(b"4\r\nopen\r\n")
                await writer.drain()
                await asyncio.sleep(50)
                break
            elif path == "/counts":
                body = json.dumps(known).encode()
            elif path.startswith("/api/") and fields.get("authorization") != f"Bearer token-number-{known['token']}":
                status = 200 if fields.get("x-floor") else 401
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await server.serve_forever()


def floor() -> None:
    """The same program, with a client that carries nothing and answers that nobody searches."""
    import httpx

    import authflow_gateway.app as app
    from authflow_gateway.command import main

    class Bare(app.Vendor):
        def __init__(self, session: Any) -> None:
            super().__init__(session)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
            self.client = httpx.AsyncClient(limits=limits, event_hooks={"request": [self._marked]})
            self.known = Path("url").read_text("utf-8")

        async def _marked(self, request: httpx.Request) -> None:
            request.headers["X-Floor"] = "1"

        async def base_url(self) -> str:
            return f"{self.known}/api/"

        def shows(self, sent: httpx.Request) -> Callable[[str], bool]:
            return lambda text: False

    app.Vendor = Bare  # type: ignore[misc]
    sys.argv[1:] = ["gateway.toml"]
    main()


# --- the load ---------------------------------------------------------------------------------------------------------


async def load(url: str, key: str, requests: int, connections: int) -> tuple[list[float], int]:
    """Seconds that each request took, and how many did not bring a 200."""
    host, port = url.removeprefix("http://").split(":")
    line = f"GET /acme/items/1 HTTP/1.1\r\nHost: {host}\r\nX-Gateway-Key: {key}\r\n\r\n".encode()
    took: list[float] = []
    failed = 0

    async def one(count: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(count):
            began = time.perf_counter()
            writer.write(line)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(part[15:]) for part in head.lower().split(b"\r\n") if part.startswith(b"content-length:"))
            await reader.readexactly(length)
            took.append(time.perf_counter() - began)
            failed += b" 200 " not in head[:14]
        writer.close()

    await asyncio.gather(*(one(requests // connections) for _ in range(connections)))
    return took, failed


def per_second(url: str, key: str, requests: int) -> tuple[float, float, float]:
    """Requests per second, and the median and the 99th percentile in milliseconds."""
    began = time.perf_counter()
    took, failed = asyncio.run(load(url, key, requests, CONNECTIONS))
    whole = time.perf_counter() - began
    if failed:
        raise RuntimeError(f"{failed} of {len(took)} requests did not bring a 200")
    marks = statistics.quantiles(took, n=100)
    return len(took) / whole, marks[49] * 1000, marks[98] * 1000


# --- the processes ----------------------------------------------------------------------------------------------------


def keep_to(cores: Sequence[int], pid: int) -> None:
    """A process runs on these cores only, where there is a choice."""
    if len(CORES) > 1:
        os.sched_setaffinity(pid, cores)


@contextmanager
def process(*command: str, folder: str | None = None, proxy: bool = True) -> Iterator[tuple[dict[str, Any], int]]:
    """What it says first, and its id; it is ended by its id. A `proxy` runs on the core that is theirs."""
    env = {**os.environ, "PASSWORD": "open-sesame", "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        command, cwd=folder or ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        if proxy:
            keep_to(CORES[-1:], running.pid)
        assert running.stdout is not None
        yield json.loads(running.stdout.readline()), running.pid
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def main() -> int:
    if (child := child_arguments()) is not None:
        asyncio.run(vendor()) if child[0] == "vendor" else floor()
        return 0
    parser().parse_args()
    requests, rounds = (800, 2) if is_short() else (2000, 21)
    python = sys.executable
    keep_to(CORES[:-1], os.getpid())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here, _ = stack.enter_context(process(python, "-m", "benchmarks.gateway", "--child", "vendor", proxy=False))
        (folder / "url").write_text(here["url"], "utf-8")
        (folder / "acme.toml").write_text(VENDOR % here["url"], "utf-8")
        (folder / "accounts.toml").write_text(ACCOUNT, "utf-8")
        (folder / "accounts.toml").chmod(0o600)
        (folder / "gateway.toml").write_text(f'listen = "127.0.0.1:0"\naccounts = "accounts.toml"\n{ROUTE}', "utf-8")
        command = (python, "-c", "from authflow_gateway.command import main; main()")
        added = subprocess.run(
            [*command, "key", "add", "bench"], cwd=folder, capture_output=True, text=True, check=True
        )
        key = added.stdout.strip()
        ours, pid = stack.enter_context(process(*command, "gateway.toml", folder=str(folder)))
        bare, bare_pid = stack.enter_context(
            process(python, "-m", "benchmarks.gateway", "--child", "floor", folder=str(folder))
        )
        limit = stack.enter_context(nginx(folder, here["url"]))
        urls = (ours["listens"], bare["listens"], limit, here["url"])
        report = measured(*urls, key, requests, rounds, (pid, bare_pid))
    report.publish(keep=is_whole())
    return 0


async def across_a_renewal(url: str, vendor_url: str, key: str) -> tuple[list[float], int]:
    """Seconds that each request took, while the token is revoked in the middle; and how many failed."""
    loading = asyncio.ensure_future(load(url, key, 1600, CONNECTIONS))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(order, vendor_url, "/revoke")
    return await loading


def measured(
    ours: str,
    bare: str,
    limit: str | None,
    vendor_url: str,
    key: str,
    requests: int,
    rounds: int,
    pids: tuple[int, int],
) -> Report:
    report = Report(
        "gateway",
        "What does the gateway cost, and what do its callers notice of a renewal?",
        "Keep-alive callers, one request each; floor, gateway and nginx take turns, on a core of their own. "
        "*× floor*: the median of the rounds' ratios.",
    )
    contenders = [bare, ours, *([limit] if limit is not None else [])]
    for url in contenders:
        per_second(url, key, 200)
    before_all = [processor(pid) for pid in pids]
    pairs = [tuple(per_second(url, key, requests) for url in contenders) for _ in range(rounds)]
    spent = [processor(pid) - before for pid, before in zip(pids, before_all, strict=True)]
    ratio = statistics.median(pair[1][0] / pair[0][0] for pair in pairs)
    rows = [
        {
            "who": name,
            **dict(zip(("rps", "p50", "p99"), map(statistics.median, zip(*figures, strict=True)), strict=True)),
        }
        for name, figures in zip(("floor", "gateway", "nginx"), zip(*pairs, strict=True), strict=False)
    ]
    columns = [("who", "", 0), ("rps", "requests per second", 0), ("p50", "p50, ms", 2), ("p99", "p99, ms", 2)]
    report.tables.append(Table(f"{CONNECTIONS} callers", columns, rows))
    each = [1e6 * seconds / (requests * rounds) for seconds in spent]
    report.notes.append(f"processor time for a request: gateway {each[0]:.0f} µs, floor {each[1]:.0f} µs")
    report.goal("throughput", 0.97, ratio, " × floor", at_least=True)
    before = counts(vendor_url)["logins"]
    order(vendor_url, "/revoke")
    _, failed = asyncio.run(load(ours, key, 500, 500))
    logins = counts(vendor_url)["logins"] - before
    report.goal("exchanges for 500 callers at a revoked token", 1, logins)
    report.goal("of them failed", 0, failed)
    took, lost = asyncio.run(across_a_renewal(ours, vendor_url, key))
    marks = statistics.quantiles(took, n=100)
    report.notes.append(
        f"{len(took)} requests across a renewal of 200 ms: p50 {marks[49] * 1000:.1f} ms, p99 {marks[98] * 1000:.0f} ms"
    )
    report.goal("of them failed, across the renewal", 0, lost)
    if limit is None:
        report.notes.append("nginx with a static header: not measured, nginx is not installed")
    memory = resident(pids[0])
    if memory:
        report.notes.append(f"resident memory after {requests * rounds} requests: {memory / 1024:.0f} MiB")
    count = 100 if is_short() else 1000
    # Last: a process that has held a thousand streams is another than one that has not.
    grown, broken = asyncio.run(streams(ours, key, count, pids[0]))
    held = [{"streams": count, "memory": grown / 1024, "per": grown * 1000 / count / 1024, "broken": broken}]
    report.tables.append(
        Table(
            "Open streams",
            [
                ("streams", "streams", 0),
                ("memory", "memory, MiB", 0),
                ("per", "MiB for 1,000", 0),
                ("broken", "broken", 0),
            ],
            held,
        )
    )
    report.goal(f"of {count} open streams broken", 0, broken)
    return report


NGINX: Final = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    upstream vendor {{ server {vendor}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location /acme/ {{
            proxy_pass http://vendor/api/; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Authorization "Bearer {token}"; proxy_set_header X-Floor 1;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, vendor_url: str) -> Iterator[str | None]:
    """A proxy whose header was written by hand; None where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = NGINX.format(vendor=vendor_url.removeprefix("http://"), port=port, token="token-number-1")
    (folder / "nginx.conf").write_text(told, "utf-8")
    keep_to(CORES[-1:], os.getpid())  # its worker is born before anybody could be told
    running = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    keep_to(CORES[:-1], os.getpid())
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(timeout=20)


async def streams(url: str, key: str, count: int, pid: int) -> tuple[int, int]:
    """KiB of memory for so many answers that are open at once, and how many of them did not begin or have ended."""
    host, port = url.removeprefix("http://").split(":")
    before, held = resident(pid) or 0, []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /acme/items/stream HTTP/1.1\r\nHost: {host}\r\nX-Gateway-Key: {key}\r\n\r\n".encode())
        held.append((reader, writer))
    begun = [await _begins(reader) for reader, _ in held]
    await asyncio.sleep(2)
    broken = sum(not good or reader.at_eof() for good, (reader, _) in zip(begun, held, strict=True))
    after = resident(pid) or 0
    for _, writer in held:
        writer.close()
    return after - before, broken


async def _begins(reader: asyncio.StreamReader) -> bool:
    try:
        await asyncio.wait_for(reader.readuntil(b"open"), 60)
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        return False
    return True


def order(url: str, path: str) -> dict[str, Any]:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url + path, b""), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def counts(url: str) -> dict[str, Any]:
    return order(url, "/counts")


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int | None:
    """KiB of resident memory, where the system tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), None)


if __name__ == "__main__":
    sys.exit(main())
