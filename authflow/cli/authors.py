"""check, schema, show, new, vendors, demo: for those who write vendor files."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from authflow import plugins
from authflow.accounts import check_settings, complete
from authflow.cli.exits import MISUSED, REFUSED, UNKEPT, Failed
from authflow.cli.needs import give_up, need
from authflow.cli.options import json_option, pairs
from authflow.errors import ConfigurationError, Finding, VendorFileError, harmless
from authflow.vendors import UNUSED, Given, line_of, load, schema_text
from authflow.vendors import drawing as draw

PAGE: Final = "Also write a page (one HTML file) that shows what happened."


@click.command()
@click.argument("vendors", metavar="FILE…", nargs=-1, required=True)
@click.option("--explore", is_flag=True, help="Also simulate the vendor, and try every turn of its flow.")
@click.option("--examples", type=click.IntRange(min=1), default=200, show_default=True, help="How many stories to try.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=50, show_default=True, help="How many steps a story has at most."
)
@click.option("--seed", type=int, help="Try the stories of this seed again.")
@click.option("--against", metavar="BASE_URL", help="Also log in at the real vendor, use the token, and renew it.")
@click.option("--get", default="", metavar="PATH", help="With --against: what to fetch there with the token.")
@click.option("--refuse", is_flag=True, help="With --against: try a wrong secret there, once.")
@click.option(
    "--yes", is_flag=True, help="With --against: send secrets there even if the file does not declare this origin."
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Check with this setting.")
@click.option(
    "--plugin", "modules", metavar="FILE", multiple=True, help="Also use this plugin: a module that is not installed."
)
@json_option
def check(
    vendors: tuple[str, ...],
    explore: bool,
    examples: int,
    steps: int,
    seed: int | None,
    against: str | None,
    get: str,
    refuse: bool,
    yes: bool,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check vendor files: list every error and every warning.

    FILE is a path, or the name of an installed vendor. Each finding is one line, FILE:LINE:KEY: REASON (HINT).

    With --explore, files without errors are simulated and tried in many stories: requests alone and together, passing
    time, outages, refusals, killed processes. It prints which cells of the flow they visited or, where a promise is
    broken, the shortest story that breaks it, as a list and as a sequence diagram.

    This tests a file against itself. With --against, authflow logs in at the vendor itself (or its sandbox), and
    prints for each answer what the patterns took, and what they overlooked.
    """
    if explore:
        need("the exploration", {"hypothesis": "test", **({} if find_spec("httpx2") else {"httpx": "httpx"})})

    for module in modules:
        with contextlib.redirect_stdout(sys.stderr):
            plugins.register_file(module)
    given = {**pairs(settings), **({} if against is None else {"base_url": against})}
    found = [finding for vendor in vendors for finding in _findings(vendor, given)]
    shown = ("file", "line", "key", "reason", "hint", "warning")
    facts = [{name: getattr(finding, name) for name in shown} for finding in found]
    errors = {finding.file for finding in found if not finding.warning}
    if as_json and (errors or not (explore or against)):
        print(json.dumps(facts, indent=1))
    for finding in found if not as_json else ():
        print(f"warning: {finding}" if finding.warning else finding)
    if errors:
        wrong = sum(not finding.warning for finding in found)
        raise Failed(f"{_count(wrong, 'error')} in {_count(len(errors), 'file')}", REFUSED)
    if not as_json:
        print(f"{_count(len(vendors), 'file')} checked, nothing wrong")
    if explore:
        from authflow.cli.explore import explore as explore_all

        explore_all(vendors, examples, steps, seed, facts if as_json else None)
    for vendor in vendors if against is not None else ():
        from authflow.cli.against import check_against

        check_against(vendor, str(against), settings, get=get, yes=yes, refuse=refuse, as_json=as_json)


@click.command()
@json_option
def schema(as_json: bool) -> None:
    """Print the JSON Schema of the vendor file, for editors. (It is JSON in any case.)"""

    sys.stdout.write(schema_text())


@click.command()
@click.argument("vendor")
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "svg"]), default="text", help="How to draw it.")
@click.option("--sequence", is_flag=True, help="Draw the longest walk instead of the states.")
@json_option
def show(vendor: str, form: str, sequence: bool, as_json: bool) -> None:
    """Draw the flow of VENDOR: an installed vendor, a preset, or a path to a vendor file."""
    from authflow.cli.scaffold import VENDORS, vendor_file

    preset = vendor in VENDORS and vendor not in plugins.vendors()
    found = load(tomllib.loads(vendor_file(vendor, vendor))) if preset else plugins.find_vendor(vendor)
    if as_json:
        print(json.dumps([step._asdict() for step in draw.walk(found)] if sequence else draw.facts(found), indent=1))
        return

    if form == "svg" and not sequence:
        from authflow.recording import picture

        sys.stdout.write(picture(found.flow, "", f"The flow of {found.title}"))
        return
    if form == "svg":
        raise click.UsageError("--sequence is drawn as text or mermaid")
    pictures = {
        ("text", False): draw.outline,
        ("text", True): draw.story,
        ("mermaid", False): draw.diagram,
        ("mermaid", True): draw.sequence,
    }
    sys.stdout.write(pictures[form, sequence](found))


@click.command()
@click.argument("name")
@click.option("--preset", default="password", show_default=True, help="The preset that the vendor file extends.")
@click.option("--into", type=click.Path(path_type=Path), help="The folder to create (default: ./authflow-NAME).")
@json_option
def new(name: str, preset: str, into: Path | None, as_json: bool) -> None:
    """Write a plugin package for a vendor NAME, which passes `check` and its own tests."""
    from authflow.cli.scaffold import files

    try:
        texts = files(name, preset)
    except ValueError as error:
        raise Failed(str(error), MISUSED) from None
    folder = into or Path(f"authflow-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Failed(f"{folder} exists already, and is not empty", MISUSED)
    try:
        _write(folder, texts)
    except OSError as error:
        raise Failed(f"{error.filename or folder} cannot be written: {error.strerror}", UNKEPT) from None
    written = [str(folder / path) for path in texts]
    print(json.dumps(written, indent=1) if as_json else "\n".join(written))


@click.command()
@json_option
def vendors(as_json: bool) -> None:
    """List the installed vendors: name, title, and what each needs."""

    rows = []
    for name in sorted(plugins.vendors()):
        try:
            vendor = plugins.find_vendor(name)
        except VendorFileError as error:
            rows.append({"name": name, "title": f"not right: {error}", "needs": []})
        else:
            rows.append({"name": name, "title": vendor.title, "needs": draw.needed(vendor)})
    if as_json:
        print(json.dumps(rows, indent=1))
    for row in rows if not as_json else ():
        print(harmless(f"{row['name']}: {row['title']} ({', '.join(row['needs']) or 'needs nothing'})"))
    if not rows and not as_json:
        print("none installed; a vendor file needs no plugin: give its path")


@click.command()
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, writable=True, path_type=Path), help=PAGE)
@json_option
def demo(html: Path | None, as_json: bool) -> None:
    """Show requests and httpx at work against a supplier on this machine, and check every claim."""
    need("the demo", {"requests": "requests", "httpx": "httpx"})
    if find_spec("authflow_supplier") is None:
        give_up("the demo needs the supplier's plugin, in a checkout of authflow: pip install ./plugins/supplier")
    from authflow.cli.demo import run

    sys.exit(run(html, as_json=as_json))


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """All the files below a folder that is empty or not there; or none of them, and an OSError."""
    try:
        for path, content in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, "utf-8")
    except OSError:
        for path in texts:
            (folder / path).unlink(missing_ok=True)
            for above in (folder / path).parents:
                with contextlib.suppress(OSError):  # not empty, or not ours
                    if above.is_relative_to(folder):
                        above.rmdir()
        raise


def _findings(name: str, settings: Mapping[str, str]) -> list[Finding]:
    """All that is to be said about a vendor file, or about an installed vendor's, each with its line."""

    try:
        vendor = plugins.find_vendor(name)
        hooks = plugins.implemented()
        in_code = any(hook is not None for hook in (hooks.sign, hooks.exchange, hooks.rewrite_url))
        found = [one for one in vendor.warnings if not (in_code and one.reason == UNUSED)]
        if settings:
            needed = {key: lambda: "" for key, entry in vendor.credentials.items() if not entry.optional}
            check_settings(vendor, complete(vendor, Given({**needed, **settings})))
    except VendorFileError as error:
        found = list(error.findings)
    except ConfigurationError as error:
        found = [Finding(name, "", str(error))]
    return [replace(finding, line=line_of(finding.file, finding.key)) for finding in found]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
