"""What a benchmark found: printed, kept as JSON, and laid into README.md beside what the others found.

A benchmark fills a `Report` and calls `publish`. README.md is written from the JSON of all of them, so that one that
runs singly renews its own part and leaves the rest as it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.chart import Bar, bars
from benchmarks.measure import Row, machine

HOME: Final = Path(__file__).resolve().parent
RESULTS: Final = HOME / "results"
ORDER: Final = (
    "hot_path",
    "presentations",
    "signing",
    "start",
    "contention",
    "storm",
    "ahead",
    "renewal",
    "fleet",
    "accounts",
    "growth",
    "import",
    "template",
)
#: Beside them, and not of `make bench`: one wants ten minutes, the other the plugin, which lies in `.venv`.
SINGLY: Final = ("soak", "gateway")
#: Which of two groups a bar belongs to, by the name of its row.
OURS: Final = ("authflow", "floor")


@dataclass
class Table:
    """Rows under headings: `columns` are key, heading and digits after the point. `chart` is the key that is drawn."""

    title: str
    columns: Sequence[tuple[str, str, int]]
    rows: list[Row] = field(default_factory=list)
    chart: str = ""
    unit: str = ""


@dataclass
class Goal:
    """What was wanted and what was found. `short` figures prove nothing, for or against."""

    what: str
    wanted: str
    found: str
    met: bool


@dataclass
class Report:
    """Everything that one benchmark has to say."""

    name: str
    question: str
    how: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    profile: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def goal(self, what: str, limit: float, found: float, unit: str = "", *, at_least: bool = False) -> None:
        """A figure that should be no larger than `limit`, or no smaller."""
        met = found >= limit if at_least else found <= limit
        self.goals.append(Goal(what, f"{'≥' if at_least else '≤'} {limit:g}{unit}", f"{found:.4g}{unit}", met))

    def publish(self, *, keep: bool) -> None:
        """Print it; keep it as JSON with its charts, and write README.md anew, if the run was a whole one."""
        print(f"\n{self.name}: {self.question}\n")
        for table in self.tables:
            print(f"{table.title}\n{_plain(table)}\n")
        for goal in self.goals:
            print(f"  {'met   ' if goal.met else 'MISSED'} {goal.what}: {goal.wanted}, found {goal.found}")
        for line in [*self.notes, *self.profile]:
            print(f"  {line}")
        if not keep:
            print("  (not a whole run: nothing was kept)")
            return
        RESULTS.mkdir(exist_ok=True)
        kept = {**asdict(self), "machine": machine()}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for index, table in enumerate(self.tables):
            if table.chart:
                (RESULTS / f"{self.name}-{index}.svg").write_text(_chart(table), "utf-8")
        write_readme()


def write_readme() -> None:
    """README.md from what was kept."""
    kept = [
        json.loads(path.read_text("utf-8")) for name in (*ORDER, *SINGLY) if (path := RESULTS / f"{name}.json").exists()
    ]
    parts = [_HEAD, _where(kept), _summary(kept), *(_section(report) for report in kept)]
    (HOME / "README.md").write_text("\n".join(parts).rstrip() + "\n", "utf-8")


_HEAD = """# What the layer costs

Written by the scripts in this folder. `make bench` runs them all, in some thirteen minutes on two cores, but the soak,
which takes ten by itself; `.venv-peers/bin/python -m benchmarks.hot_path` (or another) runs one of them, and `--short`
tries whether it does. Each figure comes from one run in which the floor, authflow and the peers take turns. The floor
is the least that one can write by hand: an `AuthBase` or `httpx.Auth` that sets a fixed header, and does nothing about
expiry, origins or 401. Every peer is set up as its documentation recommends (`peers.py`).
"""


def _where(kept: Sequence[dict[str, Any]]) -> str:
    """On what the figures were taken; each section says with which versions."""
    places = {(one["machine"]["day"], one["machine"]["cpu"], one["machine"]["python"]) for one in kept}
    told = "; ".join(f"{day}, {cpu}, Python {python}" for day, cpu, python in sorted(places))
    return f"Taken on: {told}. What was missed comes first.\n"


def _summary(kept: Sequence[dict[str, Any]]) -> str:
    kept = sorted(kept, key=lambda report: all(goal["met"] for goal in report["goals"]))
    lines = ["| | question | goals met | missed |", "|---|---|--:|---|"]
    for report in kept:
        goals = report["goals"]
        missed = "; ".join(f"{goal['what']} {goal['found']} ({goal['wanted']})" for goal in goals if not goal["met"])
        met = f"{sum(goal['met'] for goal in goals)} of {len(goals)}"
        lines.append(f"| [{report['name']}](#{report['name']}) | {report['question']} | {met} | {missed} |")
    return "\n".join(lines) + "\n"


def _goals(goals: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {goal['what']} | {goal['wanted']} | {goal['found']} | {'met' if goal['met'] else '**missed**'} |"
        for goal in goals
    ]
    return ["| goal | wanted | found | |", "|---|--:|--:|---|", *rows, ""] if rows else []


def _section(report: dict[str, Any]) -> str:
    lines = [f"## {report['name']}", "", f"{report['question']} {report['how']}", ""]
    for index, kept in enumerate(report["tables"]):
        table = Table(**kept)
        lines += [f"**{table.title}**", "", _markdown(table), ""]
        if table.chart:
            lines += [f"![{table.title}](results/{report['name']}-{index}.svg)", ""]
    lines += _goals(report["goals"])
    lines += [f"- {note}" for note in report["notes"]] + ([""] if report["notes"] else [])
    if report["profile"]:
        lines += ["```", *report["profile"], "```", ""]
    where = report["machine"]
    told = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines.append(
        f"<sub>{where['day']}, {where['cpu']}, {where['cpus']} CPUs, {where['system']}, Python {where['python']}"
        f"{'; ' + told if told else ''}</sub>\n"
    )
    return "\n".join(lines)


def _cells(table: Table) -> list[list[str]]:
    return [[_cell(row.get(key), digits) for key, _, digits in table.columns] for row in table.rows]


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.{digits}f}"
    return str(value)


def _markdown(table: Table) -> str:
    heads = [heading for _, heading, _ in table.columns]
    sides = ["---" if index == 0 else "--:" for index in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, sides, *_cells(table)))


def _plain(table: Table) -> str:
    rows = [[heading for _, heading, _ in table.columns], *_cells(table)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(table.columns))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in pairs)
        for pairs in (enumerate(zip(row, widths, strict=True)) for row in rows)
    )


def _chart(table: Table) -> str:
    first = table.columns[0][0]
    digits = next(digits for key, _, digits in table.columns if key == table.chart)
    drawn = [
        Bar(
            str(row[first]),
            float(row[table.chart]),
            f"{row[table.chart]:,.{digits}f}",
            str(row[first]).startswith(OURS),
        )
        for row in table.rows
        if isinstance(row.get(table.chart), int | float)
    ]
    heading = next(heading for key, heading, _ in table.columns if key == table.chart)
    return bars(f"{table.title}: {heading}", drawn)
