"""`authflow-gateway CONFIG.toml`, and `authflow-gateway key` for those who may call.

Exit codes: 0 done, or stopped by SIGTERM; 2 used wrongly (the file, a key, an account); 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import socket
import stat
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import uvicorn
from starlette.applications import Starlette

import authflow
from authflow.errors import harmless
from authflow.vendors import line_of
from authflow_gateway.app import app_from_environment, create_app
from authflow_gateway.callers import Callers
from authflow_gateway.config import CONFIG_VARIABLE, Config, address, read_config, wrong
from authflow_gateway.wire import Protocol

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess as ParentProcess

log: Final = logging.getLogger("authflow_gateway")
#: As many open files as the gateway asks for.
MOST_FILES: Final = 65536
FORMAT: Final = "%(asctime)s %(name)s %(levelname)s %(message)s"

config_option = click.option(
    "--config",
    envvar=CONFIG_VARIABLE,
    default="gateway.toml",
    show_default=True,
    metavar="FILE",
    help="The gateway's file.",
)


class _Verbs(click.Group):
    """`authflow-gateway FILE` serves; a verb is a verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["serve", *args])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A vendor's odd login behind a plain HTTP address.

    authflow-gateway CONFIG.toml serves what the file says; with --check it says what is wrong with the file and
    the accounts, and serves nothing.

    Exit codes: 0 done, or stopped; 2 used wrongly (the file, a key, an account); 130 interrupted.
    """


@cli.command(hidden=True)
@click.argument("file")
@click.option("--check", is_flag=True, help="Read the file and the accounts, and say what is wrong; serve nothing.")
def serve(file: str, check: bool) -> None:
    """Serve the routes of FILE."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what uvicorn raises again when it has stopped
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # of nohup it is ignored
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    config = read_config(file)
    application = create_app(config, file=file)  # what is wrong is said before anything listens
    try:
        known = Callers(config.keys).keys()
    except authflow.ConfigurationError as error:
        raise wrong(file, "keys", str(error)) from None
    if check:
        click.echo(f"{len(config.routes)} route{'s' * (len(config.routes) != 1)}, nothing wrong")
        return
    os.environ[CONFIG_VARIABLE] = str(Path(file).absolute())
    where = address(config) or {}
    server = uvicorn.Config(
        "authflow_gateway.command:served",
        factory=True,
        http=Protocol,
        ws="none",  # an upgrade is a request like others
        workers=config.workers,
        timeout_graceful_shutdown=config.grace,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        proxy_headers=False,
        **({} if "uds" in where else where),
    )
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    if not known and not config.socket_needs_no_key:
        log.warning("nobody may call yet: authflow-gateway key add NAME")
    if config.workers > 1:
        for name, vendor in application.state.gateway.vendors.items():
            if vendor.session.status().store == "MemoryStore":
                log.warning(
                    "%s: each of %d workers logs in by itself: give it a store they share", name, config.workers
                )
    _allow_many()
    try:
        listening = _socket(config, where["uds"]) if "uds" in where else _port(where["host"], where["port"])
        listening.listen(2048)  # from now on callers wait in line until the application is up
    except OSError as error:
        raise wrong(file, "listen", f"{config.listen}: {error.strerror or error}") from None
    shown = where.get("uds") or "http://{}:{}".format(*_written(listening))
    print(json.dumps({"listens": shown}), flush=True)
    try:
        if config.workers > 1:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(server, sockets=[listening]).run()
        else:
            uvicorn.Server(server).run(sockets=[listening])
    finally:
        if "uds" in where:
            Path(where["uds"]).unlink(missing_ok=True)


def served() -> Starlette:
    """The application of a worker, which writes the log itself: a process that is spawned has none of its parent's."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), name="authflow-gateway-parent", daemon=True).start()
    return app_from_environment()


def _end_with(parent: ParentProcess) -> None:
    """A worker whose parent was killed would hold the address, and nobody could stop it."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _allow_many() -> None:
    """Each open stream has two connections, and many systems allow 1,024 files unless they are asked for more."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(MOST_FILES, hard) if hard != resource.RLIM_INFINITY else MOST_FILES
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _port(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, proto)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.set_inheritable(True)
    except OSError:
        listening.close()
        raise
    return listening


def _written(listening: socket.socket) -> tuple[str, int]:
    host, port = listening.getsockname()[:2]
    return f"[{host}]" if ":" in host else host, port


def _socket(config: Config, path: str) -> socket.socket:
    """A Unix socket with its permissions from the start. Raises OSError."""
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(f"{sys.platform} has no Unix sockets")
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~int(config.socket_mode, 8))
    try:
        if Path(path).exists() and stat.S_ISSOCK(Path(path).stat().st_mode):
            _refuse_if_served(path)
            Path(path).unlink()
        listening.bind(path)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _refuse_if_served(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError("somebody listens there already")


@cli.group()
def key() -> None:
    """Who may call: make, list and revoke keys."""


@key.command()
@click.argument("name")
@config_option
def add(name: str, config: str) -> None:
    """Make a key for NAME. It is printed this once: the file keeps its hash."""
    click.echo(Callers(read_config(config).keys).add(name))


@key.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(config: str, as_json: bool) -> None:
    """List who has a key, and since when."""
    keys = Callers(read_config(config).keys).keys()
    if as_json:
        click.echo(json.dumps([{"name": one.name, "made": one.made} for one in keys]))
        return
    for one in keys:
        click.echo(f"{harmless(one.name)}  {time.strftime('%Y-%m-%d', time.gmtime(one.made))}")


@key.command()
@click.argument("name")
@config_option
def revoke(name: str, config: str) -> None:
    """Revoke the key of NAME; a gateway that runs hears of it with the next request."""
    Callers(read_config(config).keys).revoke(name)


def main() -> None:
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except authflow.VendorFileError as error:
        for one in error.findings:
            print(f"authflow-gateway: {replace(one, line=line_of(one.file, one.key))}", file=sys.stderr)
        sys.exit(2)
    except authflow.AuthFlowError as error:
        print(f"authflow-gateway: {harmless(str(error))}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
