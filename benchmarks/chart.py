"""A bar chart in SVG, written by hand: readable on light and on dark pages, and the same from run to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

ROW: Final = 22
LEFT: Final = 230
WIDTH: Final = 760
RIGHT: Final = 90
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}.ours{fill:#1a7f64}.other{fill:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#adbac7}.ours{fill:#3fb58f}.other{fill:#636e7b}}"
)


class Bar(NamedTuple):
    """One row: what it is called, how long it is, what is written at its end, and whether it is ours."""

    label: str
    value: float
    text: str
    ours: bool


def bars(title: str, rows: Sequence[Bar]) -> str:
    """The chart. Where the values span more than a factor of 30, lengths are logarithmic, and the title says so."""
    values = [row.value for row in rows if row.value > 0]
    wide = bool(values) and max(values) / min(values) > 30
    height = 40 + ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}{" (logarithmic)" if wide else ""}</text>',
    ]
    for index, row in enumerate(rows):
        top = 34 + ROW * index
        length = _length(row.value, values, wide)
        lines += [
            f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect class="{"ours" if row.ours else "other"}" x="{LEFT}" y="{top + 2}" width="{length:.1f}" '
            f'height="{ROW - 8}" rx="2"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{top + 13}">{escape(row.text)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _length(value: float, values: Sequence[float], wide: bool) -> float:
    room = WIDTH - LEFT - RIGHT
    if value <= 0:
        return 1.0
    if not wide:
        return room * value / max(values)
    low, high = math.log10(min(values)) - 0.3, math.log10(max(values))
    return room * (math.log10(value) - low) / (high - low)
