"""completion: the script of click's own that teaches a shell to complete verbs, options and accounts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from authflow.commands.exits import MISUSED, Failed, Verb

_HOW = {
    "bash": 'eval "$(authflow completion bash)"',
    "zsh": 'eval "$(authflow completion zsh)"',
    "fish": "authflow completion fish | source",
}


@click.command(
    cls=Verb,
    help="Print the script that teaches your shell to complete.\n\n\b\n"
    + "\n".join(f"{shell}: {line}" for shell, line in _HOW.items()),
)
@click.argument("shell", type=click.Choice(sorted(_HOW)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"no completion for {shell}", MISUSED)
    click.echo(kind(context.find_root().command, {}, "authflow", "_AUTHFLOW_COMPLETE").source())
