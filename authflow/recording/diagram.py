"""A flow as an SVG state diagram: states in rows by their distance from the start, edges as curves.

    forward, to the next row     down the middle
    within a row                 across the gap, which is as wide as the label; under what stands between
    all others                   around the side, further out the longer they are

Pure: a flow goes in, text comes out. Every state and edge carries its name, so that a page can mark where a session is.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Final, NamedTuple

from authflow.errors import harmless
from authflow.vendors import Failing, Flow, Presenting, Sending, State

ROW: Final = 118
BOX: Final = 50
GAP: Final = 34
LETTER: Final = 8.2
LANE: Final = 26
MARGIN: Final = 10
_SIDES: Final = {"left": -1, "right": 1}


def escape(text: str) -> str:
    """Text on the page, whoever said it."""
    return html.escape(harmless(text, "\n"))


@dataclass(frozen=True, slots=True)
class Box:
    """A state's place: the middle of the box, and its width."""

    state: State
    row: int
    x: float
    y: float
    width: float


class Line(NamedTuple):
    """All that leads from one state to another, drawn as one."""

    before: str
    after: str
    events: tuple[str, ...]


def picture(flow: Flow, live: str, label: str) -> str:
    """The drawing as a file of its own: the page's colours and arrow heads are in it."""
    frame = (resources.files("authflow.recording") / "page.html").read_text("utf-8")
    style = frame.partition("<style>")[2].partition("</style>")[0]
    tips = frame.partition('<svg id="tips" aria-hidden="true">')[2].partition("</svg>")[0]
    start, end, drawn = diagram(flow, live, label).partition(">")
    return f'{start} xmlns="http://www.w3.org/2000/svg"{end}<style>{style}.states{{background:var(--card)}}</style>{tips}{drawn}\n'


def diagram(flow: Flow, live: str, label: str) -> str:
    """The drawing; `live` is the state that is marked, `label` says what it shows to those who cannot see it."""
    lines = list(_lines(flow))
    boxes = _placed(flow, lines)
    edges = list(_drawn(lines, boxes))
    left = min([edge.left for edge in edges] + [box.x - box.width / 2 for box in boxes.values()]) - MARGIN
    right = max([edge.right for edge in edges] + [box.x + box.width / 2 for box in boxes.values()]) + MARGIN
    height = max(box.y for box in boxes.values()) + BOX / 2 + MARGIN
    drawn = [*(edge.svg for edge in edges), *(_box(box, box.state.name == live) for box in boxes.values())]
    return (
        f'<svg class="states" viewBox="{left:.0f} 0 {right - left:.0f} {height:.0f}" '
        f'style="--natural:{right - left:.0f}px" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )


def _lines(flow: Flow) -> Iterator[Line]:
    for state in flow.states.values():
        if isinstance(state, Failing):
            continue
        led: defaultdict[str, list[str]] = defaultdict(list)
        for event, after in state.next.items():
            led[after].append(event)
        if isinstance(state, Sending) and state.missing is not None:
            led[state.missing].append("missing")
        for after, events in led.items():
            yield Line(state.name, after, tuple(dict.fromkeys(events)))


def _placed(flow: Flow, lines: list[Line]) -> dict[str, Box]:
    """Each row in the middle, which is at nought."""
    rows = {flow.start: 0}
    reached = [flow.start]
    for name in reached:
        for line in lines:
            if line.before == name and line.after not in rows:
                rows[line.after] = rows[name] + 1
                reached.append(line.after)
    names: defaultdict[int, list[str]] = defaultdict(list)
    for name, row in rows.items():
        names[row].append(name)
    widths = {name: max(104.0, LETTER * max(len(name), len(_does(flow.states[name]))) + 22) for name in rows}
    across = {frozenset(line[:2]): LETTER * max(map(len, line.events)) + GAP for line in lines}
    boxes = {}
    for row, found in names.items():
        members = [found.pop(0)]
        while found:
            members.append(next((name for name in found if frozenset((members[-1], name)) in across), found[0]))
            found.remove(members[-1])
        gaps = [0.0, *(across.get(frozenset(pair), GAP) for pair in pairwise(members))]
        left = -(sum(widths[name] for name in members) + sum(gaps)) / 2
        for name, gap in zip(members, gaps, strict=True):
            left += gap + widths[name]
            y = MARGIN + BOX / 2 + ROW * row
            boxes[name] = Box(flow.states[name], row, left - widths[name] / 2, y, widths[name])
    return boxes


def _does(state: State) -> str:
    match state:
        case Sending():
            return f"sends {state.send}"
        case Presenting():
            return "presents"
        case Failing():
            return "fails"


def _box(box: Box, live: bool) -> str:
    state = box.state
    kind = type(state).__name__.lower()
    left, top = box.x - box.width / 2, box.y - BOX / 2
    return (
        f'<g class="state {kind}{" live" if live else ""}" data-state="{escape(state.name)}">'
        f"<title>{escape(f'{state.name}: {described(state)}')}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{BOX}" rx="11"/>'
        f'<text x="{box.x:.1f}" y="{box.y - 3:.1f}" class="name">{escape(state.name)}</text>'
        f'<text x="{box.x:.1f}" y="{box.y + 14:.1f}" class="does">{escape(_does(state))}</text></g>'
    )


def described(state: State) -> str:
    """What a state does, in a sentence: a failing one says why."""
    match state:
        case Sending():
            return f"Sends the exchange {state.send}."
        case Presenting():
            return "Presents what it holds with your requests."
        case Failing():
            return state.says()


class _Edge(NamedTuple):
    """A line as it is drawn, and how far it reaches to both sides."""

    svg: str
    left: float
    right: float


def _drawn(lines: list[Line], boxes: dict[str, Box]) -> Iterator[_Edge]:
    lanes = {"left": 0, "right": 0}
    for line in lines:
        before, after = boxes[line.before], boxes[line.after]
        if after.row == before.row + 1:
            path, at, anchor = _down(before, after)
        elif after.row == before.row and before is not after:
            path, at, anchor = _across(before, after, boxes)
        else:
            crossed = {side: _crossed(before, after, boxes, sign) for side, sign in _SIDES.items()}
            side = min(lanes, key=lambda name: (crossed[name], lanes[name]))
            if crossed[side] and after.row == before.row - 1:
                path, at, anchor = _down(after, before, up=True)
            else:
                lanes[side] += 1
                passed = [box for box in boxes.values() if _between(box.row, before.row, after.row)]
                path, at, anchor = _around(before, after, passed, side, lanes[side])
        marks = " ".join(f"{line.before}|{event}|{line.after}" for event in line.events)
        length = LETTER * max(map(len, line.events))
        left = at[0] - length * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        yield _Edge(
            f'<g class="edge" data-edges="{escape(marks)}"><path class="line" d="{path}"/>'
            f"{_label(line.events, at, anchor)}</g>",
            left,
            left + length,
        )


def _down(upper: Box, lower: Box, up: bool = False) -> tuple[str, tuple[float, float], str]:
    """Between two rows; `up` leads from the lower to the upper one, beside what leads down."""
    ends = [(upper.x + 20 * up, upper.y + BOX / 2), (lower.x + 20 * up, lower.y - BOX / 2)]
    (x1, y1), (x2, y2) = ends[::-1] if up else ends
    middle = (y1 + y2) / 2
    path = f"M{x1:.1f} {y1:.1f} C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    return path, ((x1 + 2 * x2) / 3, middle + 4 - 16 * up), "middle"


def _across(before: Box, after: Box, boxes: dict[str, Box]) -> tuple[str, tuple[float, float], str]:
    """Within a row: to a neighbour through the gap, to the right above its middle, to the left below it; else under the
    boxes between.
    """
    sign = 1 if after.x > before.x else -1
    ends = sorted((before.x, after.x))
    if any(box.row == before.row and ends[0] < box.x < ends[1] for box in boxes.values()):
        x1, x2, y, low = before.x, after.x, before.y + BOX / 2, before.y + BOX / 2 + 46
        path = f"M{x1:.1f} {y:.1f} C{x1:.1f} {low:.1f} {x2:.1f} {low:.1f} {x2:.1f} {y:.1f}"
        return path, ((x1 + 2 * x2) / 3, y + 36), "middle"
    x1, x2, y = before.x + sign * before.width / 2, after.x - sign * after.width / 2, before.y - 7 * sign
    path = f"M{x1:.1f} {y:.1f} L{x2:.1f} {y:.1f}"
    return path, ((x1 + x2) / 2, y - 7 if sign > 0 else y + 17), "middle"


def _crossed(before: Box, after: Box, boxes: dict[str, Box], sign: int) -> int:
    """How many boxes stand between the two and that side."""
    return sum(box.row == end.row and sign * box.x > sign * end.x for end in (before, after) for box in boxes.values())


def _between(row: int, one: int, other: int) -> bool:
    return min(one, other) <= row <= max(one, other)


def _around(before: Box, after: Box, passed: list[Box], side: str, lane: int) -> tuple[str, tuple[float, float], str]:
    sign = _SIDES[side]
    x1, x2 = before.x + sign * before.width / 2, after.x + sign * after.width / 2
    lift = 12 if before is after else 5
    y1, y2 = before.y - lift, after.y + lift
    # A cubic curve is three quarters of the way out at its middle, and must clear the boxes that it passes there.
    clear = max(sign * box.x + box.width / 2 for box in passed) + 8 + LANE * (lane - 0.5)
    out = (sign * clear - (x1 + x2) / 8) / 0.75
    path = f"M{x1:.1f} {y1:.1f} C{out:.1f} {y1:.1f} {out:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    at = (sign * (clear + 7), (y1 + y2) / 2 + 4)
    return path, at, "start" if sign > 0 else "end"


def _label(events: tuple[str, ...], at: tuple[float, float], anchor: str) -> str:
    x, y = at
    up = (len(events) - 1) * 7.5
    rows = "".join(
        f'<tspan x="{x:.1f}" y="{y - up + 15 * number:.1f}">{escape(event)}</tspan>'
        for number, event in enumerate(events)
    )
    return f'<text class="event" text-anchor="{anchor}">{rows}</text>'
