"""The command line: `authflow demo`.

Its packages, click and rich, come with the extra `cli`; without them there is one line that says so. A command imports
what it needs when it runs, so that `--version` is quick and a lack is named where it is felt.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import click


def main() -> None:
    _need("the command line", {"click": "cli", "rich": "cli"})
    _commands()(prog_name="authflow")


def _commands() -> click.Group:
    import click

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(version("authflow-http"), message="authflow %(version)s")
    def authflow() -> None:
        """Any vendor's login as a small file, and the token in your own HTTP client."""

    @authflow.command()
    def demo() -> None:
        """Show requests and httpx at work against a supplier on this machine, and check every claim."""
        _need("the demo", {"requests": "requests", "httpx": "httpx"})
        if find_spec("authflow_supplier") is None:
            _give_up("the demo needs the supplier's plugin: pip install authflow-supplier")
        from authflow.demo import run

        sys.exit(run())

    return authflow


def _need(what: str, extras: dict[str, str]) -> None:
    missing = [package for package in extras if find_spec(package) is None]
    if missing:
        wanted = ",".join(dict.fromkeys(extras.values()))
        _give_up(f"{what} needs {' and '.join(missing)}: pip install 'authflow-http[{wanted}]'")


def _give_up(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(2)
