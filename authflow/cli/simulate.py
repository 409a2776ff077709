"""`authflow simulate`: a vendor's server on this machine, made from the vendor's file alone.

It prints one line of JSON with what a session needs to use it, and logs a line per request to standard error.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading

import click

from authflow.cli.exits import MISUSED, Failed
from authflow.cli.options import complete_account, json_option, pairs
from authflow.errors import harmless


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A time as people write it, in seconds. Raises click.BadParameter."""
    from authflow.vendors import seconds

    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("vendor", shell_complete=complete_account)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port to listen on (0, the default: any free port)."
)
@click.option("--lifetime", callback=_seconds, metavar="TIME", help="How long a token is good: 5s, 30m, 12h.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[=VALUE][@WHERE][:HOW]",
    help="Make something go wrong: 503:0.1, 429=30@refresh, timeout-after@login:x2; repeatable.",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting or credential; repeatable.")
@click.option("--quiet", is_flag=True, help="Print no line for each request.")
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input is closed.")
@json_option
def simulate(
    vendor: str,
    port: int,
    lifetime: float | None,
    faults: tuple[str, ...],
    settings: tuple[str, ...],
    quiet: bool,
    exit_with_stdin: bool,
    as_json: bool,
) -> None:
    """Run a simulation of VENDOR on this machine, made from its file: an installed vendor, or a path to a vendor file.

    It prints one line of JSON: its base URL, and the account that it knows. While it runs, POST /__fault orders a
    fault, and GET /__counts tells what was called how often.
    """
    from authflow.testing import Simulator, serving, unreached

    simulator = Simulator(vendor, inputs=pairs(settings), lifetime=lifetime)
    for fault in faults:
        try:
            simulator.faults.add(fault)
        except ValueError as error:
            raise Failed(f"--fault {fault}: {error}", MISUSED) from None
    for reason in (*simulator.cannot, *unreached(simulator)):
        print(harmless(f"not simulated: {reason}"), file=sys.stderr)
    with contextlib.ExitStack() as stack:
        try:
            base_url = stack.enter_context(serving(simulator, port, verbose=not quiet))
        except OSError as error:
            raise Failed(f"cannot listen on port {port}: {error.strerror or error}", MISUSED) from None
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        print(json.dumps({"base_url": base_url, "inputs": simulator.inputs}), flush=True)
        _wait(exit_with_stdin)


def _wait(for_stdin: bool) -> None:
    """Until standard input is closed, or until Ctrl-C."""
    if for_stdin:
        while sys.stdin.read(4096):
            pass
    else:
        threading.Event().wait()
