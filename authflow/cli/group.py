"""The command: its verbs are in `verbs`, each imported when it is used, so that `--version` is quick.

Its packages, click and rich, come with the extra `cli`; without them there is one line that says so. `exits` has the
exit codes, `front` is where every error becomes one line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from authflow.cli.needs import need

if TYPE_CHECKING:
    import click


def main() -> None:
    try:
        need("the command line", {"click": "cli", "rich": "cli"})
        _commands()(prog_name="authflow")
    except KeyboardInterrupt:  # before there was a command that could hear it
        sys.exit(130)


def _commands() -> click.Group:
    import click

    from authflow.cli.front import Front, show_log
    from authflow.cli.verbs import attach

    @click.group(cls=Front, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="authflow-http", message="authflow %(version)s")
    @click.option("-v", "--verbose", is_flag=True, help="Show the log: renewals and state changes, on standard error.")
    @click.pass_context
    def authflow(context: click.Context, verbose: bool) -> None:
        """Any vendor's login as a small file, and the token in your own HTTP client."""
        if verbose:
            show_log()
        if context.invoked_subcommand is None:
            click.echo(context.get_help())

    attach(authflow)
    return authflow
