"""How the demo looks: its story on one screen, or JSON when all is told.

    the first client      a line for each claim, with the exchanges that it took
    the others            a line each
    what was not so       all that is known of it

Both remember whether any claim was not so.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

DELIVERY = ("id", "status", "carrier", "last_seen", "eta")
NEXT: Final = (
    ("authflow demo --html demo.html", "draws all of this on one page"),
    ("python -m authflow_supplier.server", "runs that supplier, and prints an example to paste"),
    ("authflow new acme", "writes the files of a vendor of your own"),
)


@dataclass(frozen=True)
class Row:
    """One claim: what was seen, and, if it was not so, what is wrong."""

    claim: str
    states: str
    exchange: str
    counted: str
    note: str = ""
    wrong: str = ""


class Page(Protocol):
    def title(self, text: str) -> None: ...
    def chapter(self, client: str) -> None: ...
    def row(self, row: Row) -> None: ...
    def deliveries(self, deliveries: Sequence[Mapping[str, Any]]) -> None: ...
    def verdict(self) -> int: ...


def page(*, as_json: bool = False) -> Page:
    return Document() if as_json else Screen()


class Tally:
    """How many claims were made, and how many were not so."""

    def __init__(self) -> None:
        self.claims = self.wrong = 0

    def take(self, row: Row) -> None:
        self.claims += 1
        self.wrong += bool(row.wrong)

    def __str__(self) -> str:
        return f"{self.wrong} of {self.claims} claims were not so." if self.wrong else f"All {self.claims} claims hold."


class Screen:
    """Lines, each printed at once; in colour on a terminal."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.clients: list[str] = []
        self.told: Sequence[Mapping[str, Any]] = ()

    def title(self, text: str) -> None:
        click.secho(text, bold=True)

    def chapter(self, client: str) -> None:
        if self.clients:
            click.echo("\n" if len(self.clients) == 1 else "")
        self.clients.append(client)
        click.echo("\n" + click.style(client, fg="cyan") if len(self.clients) == 1 else client.ljust(20), nl=False)

    def row(self, row: Row) -> None:
        self.tally.take(row)
        mark = click.style("NOT SO", fg="red") if row.wrong else click.style("ok", fg="green")
        if row.wrong:
            facts = (
                f"state: {row.states}",
                f"exchange: {row.exchange}",
                f"counted: {row.counted}",
                row.note,
                row.wrong,
            )
            click.echo(f"\n  {mark}  {row.claim}" + "".join(f"\n        {fact}" for fact in facts if fact))
        elif len(self.clients) == 1:
            click.echo(f"\n  {mark}  {row.claim.ljust(64)}  {click.style(_short(row.exchange), dim=True)}", nl=False)
        else:
            click.echo(f"  {mark}", nl=False)

    def deliveries(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        self.told = deliveries

    def verdict(self) -> int:
        rows = [DELIVERY, *(tuple(str(one[name]) for name in DELIVERY) for one in self.told)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(DELIVERY))]
        click.echo("\n")
        for row in rows:
            click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        click.secho(f"\n{self.tally}", bold=True, fg="red" if self.tally.wrong else "green")
        for command, what in NEXT if not self.tally.wrong else ():
            click.echo(f"  {_as_typed(command).ljust(44)}  {what}")
        return 1 if self.tally.wrong else 0


def _as_typed(command: str) -> str:
    """With its folder, where the shell would not find it: in a checkout's own environment."""
    beside = Path(sys.executable).parent
    found = shutil.which(command.partition(" ")[0])
    known = found is not None and Path(found).parent == beside
    return command if known or not beside.is_relative_to(Path.cwd()) else f"{beside.relative_to(Path.cwd())}/{command}"


def _short(exchanges: str) -> str:
    """What was sent, without what stood in it."""
    return ", ".join(" ".join(one.split()[:2]) for one in exchanges.split("; ") if one != "none") or "nothing sent"


class Document:
    def __init__(self) -> None:
        self.tally = Tally()
        self.told: list[dict[str, Any]] = []

    def title(self, text: str) -> None:
        pass

    def chapter(self, client: str) -> None:
        self.told.append({"client": client, "claims": [], "deliveries": []})

    def row(self, row: Row) -> None:
        self.tally.take(row)
        self.told[-1]["claims"].append({**asdict(row), "holds": not row.wrong})

    def deliveries(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        self.told[-1]["deliveries"] = [{name: one[name] for name in DELIVERY} for one in deliveries]

    def verdict(self) -> int:
        print(json.dumps({"claims": self.tally.claims, "wrong": self.tally.wrong, "clients": self.told}, indent=1))
        return 1 if self.tally.wrong else 0
