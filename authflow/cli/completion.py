"""completion: the script of click's own that teaches a shell to complete verbs, options and accounts."""

from __future__ import annotations

import json

import click
from click.shell_completion import get_completion_class

from authflow.cli.exits import MISUSED, Failed
from authflow.cli.options import json_option

_HOW = {
    "bash": 'eval "$(authflow completion bash)"',
    "zsh": 'eval "$(authflow completion zsh)"',
    "fish": "authflow completion fish | source",
}


@click.command(
    help="Print the script with which your shell completes these commands.\n\n\b\n"
    + "\n".join(f"{shell}: {line}" for shell, line in _HOW.items()),
)
@click.argument("shell", type=click.Choice(sorted(_HOW)))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"no completion for {shell}", MISUSED)
    script = kind(context.find_root().command, {}, "authflow", "_AUTHFLOW_COMPLETE").source()
    click.echo(json.dumps({"shell": shell, "script": script}) if as_json else script)
