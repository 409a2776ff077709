"""The server as a process: options, two listeners on 127.0.0.1, one line of JSON, and an orderly end.

A person at a terminal gets, below that line, what to paste to try it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import sys
import threading
from pathlib import Path

from authflow_supplier.server.connection import Respond, serve
from authflow_supplier.server.issuer import Issuer
from authflow_supplier.server.service import AUTH, Service
from authflow_supplier.server.wire import HEAD_LIMIT

BACKLOG = 4096


def main() -> None:
    options = _options()
    _allow_many_connections()
    try:
        asyncio.run(_run(options))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"the supplier cannot listen on 127.0.0.1: {error.strerror or error}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m authflow_supplier.server", description="A supplier to try")
    parser.add_argument("--port", type=_port, default=0, help="of login and tracking; any free one unless told")
    parser.add_argument("--data-port", type=_port, default=0, help="of the data; any free one unless told")
    parser.add_argument("--lifetime", type=float, default=43200, metavar="SECONDS", help="of a token (%(default)s)")
    parser.add_argument("--latency", type=float, default=0, metavar="SECONDS", help="of an exchange (%(default)s)")
    parser.add_argument("--username", default="demo")
    parser.add_argument("--password", default="open-sesame")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when stdin is closed")
    return parser.parse_args()


def _port(text: str) -> int:
    if not 0 <= (number := int(text)) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{number} is not a port: 0 to 65535")
    return number


async def _run(options: argparse.Namespace) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    if options.exit_with_stdin:
        threading.Thread(target=_await_end_of_stdin, args=(loop, stop), daemon=True).start()
    service = Service(Issuer({options.username: options.password}, options.lifetime), options.latency)
    open_connections: set[asyncio.Task[None]] = set()
    listen = functools.partial(_listen, service, open_connections)
    first, base = await listen(service.first, options.port)
    second, service.data_origin = await listen(service.second, options.data_port)
    print(json.dumps({"base_url": base + AUTH, "data_url": service.data_origin}), flush=True)
    if sys.stdout.isatty():
        given = {"username": options.username, "base_url": base + AUTH, "data_origin": service.data_origin}
        print(_to_paste(given, options.password), flush=True)
    await stop.wait()
    for _ in range(3):  # a server that is closed while a connection is being accepted complains (CPython 3.12, 3.13)
        await asyncio.sleep(0)
    first.close()
    second.close()
    for connection in open_connections:
        connection.cancel()
    await asyncio.gather(*open_connections, return_exceptions=True)


def _to_paste(given: dict[str, str], password: str) -> str:
    """The README's first example, and the same in a shell, with the addresses and names of this server."""
    words = shlex.join(f"--set={name}={value}" for name, value in given.items())
    arguments = ",\n    ".join(f"{name}={value!r}" for name, value in {**given, "password": password}.items())
    url = f"{given['base_url']}deliveries/42"
    beside = Path(sys.executable).with_name("authflow")
    command = "authflow" if shutil.which("authflow") else shlex.quote(os.path.relpath(beside))
    return f"""
In Python:

import authflow, requests

session = authflow.AuthSession(
    "supplier",
    {arguments},
)
print(requests.get({url!r}, auth=session.requests).json()["status"])

In a shell:

AUTHFLOW_PASSWORD={shlex.quote(password)} {command} request GET deliveries/42 -a supplier {words}
"""


async def _listen(
    service: Service, open_connections: set[asyncio.Task[None]], respond: Respond, port: int
) -> tuple[asyncio.Server, str]:
    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer, service, respond))
        open_connections.add(task)
        task.add_done_callback(open_connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", port, backlog=BACKLOG, limit=HEAD_LIMIT)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)


def _allow_many_connections() -> None:
    """A thousand clients need more open files than many systems allow at first."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
