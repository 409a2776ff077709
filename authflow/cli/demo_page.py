"""How the demo looks: columns in colour on a terminal, one plain line a claim in a pipe, or JSON when all is told.

All show the same rows, and remember whether any claim was not so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

DELIVERY = ("id", "status", "carrier", "last_seen", "eta")


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
    if as_json:
        return Document()
    console = Console()
    return Colourful(console) if console.is_terminal else Plain()


class Tally:
    """How many claims were made, and how many were not so."""

    def __init__(self) -> None:
        self.claims = self.wrong = 0

    def take(self, row: Row) -> None:
        self.claims += 1
        self.wrong += bool(row.wrong)

    def __str__(self) -> str:
        return f"{self.wrong} of {self.claims} claims were not so." if self.wrong else f"All {self.claims} claims hold."


class Plain:
    def __init__(self) -> None:
        self.tally = Tally()

    def title(self, text: str) -> None:
        print(text, flush=True)

    def chapter(self, client: str) -> None:
        print(f"\n{client}", flush=True)

    def row(self, row: Row) -> None:
        self.tally.take(row)
        cells = (row.claim, f"state: {row.states}", f"exchange: {row.exchange}", f"counted: {row.counted}")
        print(f"  {'NOT SO' if row.wrong else 'ok'}  {' | '.join(cells)}")
        for more in (row.note, row.wrong):
            if more:
                print(f"        {more}")
        sys.stdout.flush()

    def deliveries(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        rows = [DELIVERY, *(tuple(str(one[name]) for name in DELIVERY) for one in deliveries)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(DELIVERY))]
        print()
        for row in rows:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def verdict(self) -> int:
        print(f"\n{self.tally}")
        return 1 if self.tally.wrong else 0


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


class Colourful:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.tally = Tally()

    def title(self, text: str) -> None:
        self.console.print(Text(text, "bold"))

    def chapter(self, client: str) -> None:
        self.console.print()
        self.console.rule(Text(client, "bold cyan"), align="left", style="cyan")
        self._line(" ", Text("claim"), Text("state"), Text("exchange"), Text("the supplier counted"), style="dim")

    def row(self, row: Row) -> None:
        self.tally.take(row)
        mark = Text("✗", "bold red") if row.wrong else Text("✓", "bold green")
        states, exchanges = row.states.replace(" -", "\n-"), row.exchange.replace("; ", "\n")
        counted = row.counted.replace(", ", "\n")
        self._line(mark, Text(row.claim, "bold"), Text(states), Text(exchanges), Text(counted))
        for more, style in ((row.note, "cyan"), (row.wrong, "red")):
            if more:
                self.console.print(Padding(Text(more, style), (0, 0, 0, 3)))

    def _line(self, mark: Text | str, *cells: Text, style: str = "") -> None:
        """Printed at once, each line a table of its own: equal widths keep the columns in line."""
        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        line.add_column(width=1)
        for ratio in (4, 3, 4, 3):
            line.add_column(ratio=ratio, overflow="fold")
        line.add_row(mark, *cells, style=style)
        self.console.print(line)

    def deliveries(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        table = Table(*(name.replace("_", " ") for name in DELIVERY), box=box.ROUNDED)
        for one in deliveries:
            table.add_row(*(Text(str(one[name])) for name in DELIVERY))
        self.console.print(table)

    def verdict(self) -> int:
        self.console.print(Text(f"\n{self.tally}", "bold red" if self.tally.wrong else "bold green"))
        return 1 if self.tally.wrong else 0
