"""`authflow-learn CAPTURE…`: the vendor file of a captured login.

Exit codes: 0 done, 1 the capture holds no login or the file is not right, 2 used wrongly.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import click

from authflow.errors import VendorFileError, harmless
from authflow.vendors import load
from authflow_learn import asking, checking, names
from authflow_learn.captures import read_capture
from authflow_learn.inference import learn
from authflow_learn.messages import CaptureError
from authflow_learn.writing import vendor_file


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("captures", metavar="CAPTURE…", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the file there, instead of printing it."
)
@click.option("--name", help="The vendor's name (that of the file, else of the host).")
@click.option("--username", help="The user name that was captured.")
@click.option("--password-env", metavar="VARIABLE", help="The environment variable that holds the captured password.")
@click.option(
    "--value-env", "values", metavar="NAME=VARIABLE", multiple=True, help="Another captured credential; repeatable."
)
def cli(
    captures: tuple[str, ...],
    out: Path | None,
    name: str | None,
    username: str | None,
    password_env: str | None,
    values: tuple[str, ...],
) -> None:
    """Write the vendor file of a captured login.

    CAPTURE is a HAR file (a browser's network tab, mitmproxy, Playwright, Charles) or a transcript of curl (-v,
    --trace-ascii, or -i below its command line). Several are read in their order. What only you know is told apart
    from what the vendor said if you name it: --username alice, --password-env ACME_PASSWORD. Nothing of the capture's
    secrets is in the file, or printed.
    """
    known = {"username": username} if username else {}
    pairs = [("password", password_env)] if password_env is not None else []
    for key, variable in [*pairs, *(pair.partition("=")[::2] for pair in values)]:
        if not (names.is_free(key) and variable):
            raise click.UsageError(f"{key!r} cannot be a credential's name: say --value-env NAME=VARIABLE")
        value = os.environ.get(variable)
        if not value:
            raise click.UsageError(f"the environment variable {variable} is not set")
        known[key] = value
    if out is not None and out.exists() and any(out.samefile(path) for path in captures if Path(path).exists()):
        raise click.UsageError(f"{out} is the capture itself")
    found = [one for path in captures for one in read_capture(path)]
    if asking.somebody_is_there():
        known = asking.credentials(known)
    learnt = learn(found, known)
    if asking.somebody_is_there():
        asking.questions(learnt)
    host = re.sub(r"[^A-Za-z0-9]+", "-", learnt.base_url.partition("://")[2].partition("/")[0].partition(":")[0])
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", out.stem) if out is not None else host
    text = vendor_file(learnt, name or plain.strip("-_") or "acme")
    load(tomllib.loads(text))
    for question in learnt.questions:
        click.echo(harmless(f"question: {question.text}"), err=True)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror or error}") from None
    click.echo(f"{out}: try it with {shlex.join(checking.words(learnt, str(out)))}", err=True)


def main() -> None:
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except CaptureError as error:
        print(f"authflow-learn: {harmless(str(error))}", file=sys.stderr)
        sys.exit(1)
    except VendorFileError as error:
        print(f"authflow-learn: what was learnt is not a vendor file yet: {harmless(str(error))}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # where it prints to is full, or gone
        print(f"authflow-learn: it cannot be printed: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
