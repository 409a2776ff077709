"""Which cells of a vendor's flow were visited: a row for each state, a cell for each outcome that it can meet."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from authflow.vendors import EXPIRED, LOST, UNAVAILABLE, Presenting, Sending, Vendor, next_step, refusals, rotates
from authflow.vendors import drawing as draw

Cell = tuple[str, str]


class Row(NamedTuple):
    """A cell, the state to which it leads, and how often it was visited."""

    state: str
    outcome: str
    leads_to: str
    visits: int


def cells(vendor: Vendor) -> list[Cell]:
    """Every (state, outcome) that the file foresees, the built-in outcomes included."""
    found: list[Cell] = []
    for state in vendor.flow.states.values():
        if isinstance(state, Sending):
            exchange = vendor.flow.exchanges[state.send]
            outcomes = [*exchange.outcomes, UNAVAILABLE]
            if rotates(exchange) and (state.missing is not None or refusals(exchange)):
                outcomes.append(LOST)
            if state.missing is not None:
                outcomes.append("missing")
            found += [(state.name, outcome) for outcome in dict.fromkeys(outcomes)]
        elif isinstance(state, Presenting):
            found += [(state.name, event) for event in state.next if event != EXPIRED or _expires(vendor)]
    return found


def _expires(vendor: Vendor) -> bool:
    """Does anything tell when a token ends?"""
    patterns = [pattern for exchange in vendor.flow.exchanges.values() for _, pattern in exchange.answers]
    placeholders = [
        placeholder
        for pattern in (*patterns, *(item for _, item in vendor.answers))
        for placeholder in pattern.placeholders()
    ]
    told = any(
        placeholder.name in ("expires_in", "expires_at") or (placeholder.name, placeholder.kind) == ("access", "jwt")
        for placeholder in placeholders
    )
    return told or vendor.lifetime is not None or vendor.idle is not None


class Coverage:
    """Counts visits. `cell in coverage` says whether one was made."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.visits: Counter[Cell] = Counter()

    def note(self, before: str, event: str) -> None:
        self.visits[before, event] += 1

    def __contains__(self, cell: Cell) -> bool:
        return self.visits[cell] > 0

    @property
    def missed(self) -> list[Cell]:
        return [cell for cell in cells(self.vendor) if cell not in self]

    def rows(self) -> list[Row]:
        """Every cell, where it leads, and how often it was visited."""
        return [Row(*cell, after(self.vendor, *cell), self.visits[cell]) for cell in cells(self.vendor)]

    def table(self) -> str:
        """The rows as text."""
        lines = [("state", "outcome", "leads to", "visits")]
        lines += [(*row[:3], str(row.visits or "never")) for row in self.rows()]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        total = len(lines) - 1
        return "\n".join([*text, f"{total - len(self.missed)} of {total} cells visited"])

    def drawing(self) -> str:
        """The cells as a Mermaid state diagram; what was never visited says so."""
        edges = [(row.state, f"{row.outcome} ({row.visits or 'never'})", row.leads_to) for row in self.rows()]
        return draw.diagram(self.vendor, edges)


def after(vendor: Vendor, state: str, outcome: str) -> str:
    """The state to which an outcome leads."""
    here = vendor.flow.states[state]
    following = getattr(here, "next", {})
    if outcome in following:
        return str(following[outcome])
    if isinstance(here, Sending) and outcome in (LOST, "missing"):
        return next_step(here, vendor.flow.exchanges[here.send])
    return state
