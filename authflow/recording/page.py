"""Recordings as one HTML page that needs nothing else: no network, no script for reading it, no font of its own.

    states      the flow as a diagram, with the state where the session is; a slider walks through what happened
    exchanges   a sequence diagram: your code, authflow, the vendor
    timeline    renewals, exchanges and requests over time, and what each request waited for

The frame, with style and script, is `page.html`; here is what stands in it. All text is escaped.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any, Final

from authflow.recording.diagram import described, diagram, escape
from authflow.recording.events import Asked, Edge, Renewal, Story, Wire

#: So many requests with the same end are drawn one by one in the sequence.
ONE_BY_ONE: Final = 2
_CLASSES: Final = {"2": "good", "3": "good", "4": "bad", "5": "bad"}


def html_page(recordings: Sequence[Story], title: str = "") -> str:
    """The whole page: one card, in which several recordings open one by one."""
    heading = title or " · ".join(dict.fromkeys(recording.title for recording in recordings)) or "Nothing recorded"
    frame = Template((resources.files("authflow.recording") / "page.html").read_text("utf-8"))
    if len(recordings) == 1:
        cards = f'<div id="r0" class="story">{_facts(recordings[0])}{_story(recordings[0], "r0", 2)}</div>'
    else:
        cards = "".join(
            f'<details id="r{number}" class="story"{"" if number else " open"}>'
            f"<summary><h2>{escape(one.title)}</h2>{_facts(one)}</summary>{_story(one, f'r{number}', 3)}</details>"
            for number, one in enumerate(recordings)
        )
    return frame.substitute(title=escape(heading), recordings=cards)


def _facts(one: Story) -> str:
    counted = "".join(
        f"<li><b>{count}</b> {what}</li>" for count, _, what in (text.partition(" ") for text in one.counts)
    )
    return f'<ul class="facts"><li>state <b class="now">{escape(one.state)}</b></li>{counted}</ul>'


def _story(one: Story, mark: str, level: int) -> str:
    """`level` is that of its headings."""
    steps = [{"before": edge.before, "event": edge.event, "after": edge.after} for edge in one.edges]
    says = {name: described(state) for name, state in one.vendor.flow.states.items()}
    data = json.dumps({"start": one.start, "steps": steps, "says": says}).replace("<", "\\u003c")
    more = f'<p class="quiet">{one.left_out} more were left out.</p>' if one.left_out else ""
    states, exchanges, timeline = (
        f'<h{level} class="part">{name}</h{level}>' for name in ("States", "Exchanges", "Timeline")
    )
    return f"""{more}
<div class="two">
<div>{states}
<div class="wide" tabindex="0" role="group" aria-label="State diagram">{_diagram(one)}</div>
<p class="says"><b class="now">{escape(one.state)}</b> <span>{escape(says.get(one.state, ""))}</span></p>
{_stepper(mark, one)}
<script type="application/json" class="data">{data}</script></div>
<div>{exchanges}{_sequence(one)}</div>
</div>
{timeline}{_timeline(one, level + 1)}"""


def _diagram(one: Story) -> str:
    names = ", ".join(one.vendor.flow.states)
    return diagram(one.vendor.flow, one.state, f"States: {names}. The session is {one.state}.")


def _stepper(mark: str, one: Story) -> str:
    steps = len(one.edges)
    if not steps:
        return '<p class="quiet">Nothing changed.</p>'
    return (
        f'<div class="stepper"><label for="{mark}-step">Step</label>'
        '<button type="button" class="earlier" aria-label="One step back">‹</button>'
        f'<input id="{mark}-step" type="range" min="0" max="{steps}" value="{steps}">'
        '<button type="button" class="later" aria-label="One step on">›</button>'
        f'<output for="{mark}-step" aria-live="polite">{steps} of {steps}</output></div>'
    )


# --- the sequence -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    at: float
    html: str


def _sequence(one: Story) -> str:
    rows = [*_edges(one.edges), *_wires(one.wires), *_requests(one)]
    listed = "".join(row.html for row in sorted(rows, key=lambda row: row.at))
    heads = "".join(f"<span>{escape(name)}</span>" for name in ("your code", "authflow", one.vendor.name))
    return (
        f'<div class="sequence"><div class="heads" aria-hidden="true">{heads}</div>'
        f'<div class="walk" tabindex="0" role="group" aria-label="Sequence of exchanges"><ol>{listed}</ol></div></div>'
    )


def _unseen(text: str) -> str:
    """What the drawing tells by its arrows, for those who do not see them."""
    return f'<span class="unseen">{escape(text)}</span>'


def _edges(edges: Iterable[Edge]) -> Iterator[_Row]:
    for step, edge in enumerate(edges, start=1):
        walked = f"<b>{escape(edge.before)}</b> <i>{escape(edge.event)}</i> → <b>{escape(edge.after)}</b>"
        yield _Row(edge.at, f'<li class="note" data-step="{step}"><span>{walked}</span></li>')


def _wires(wires: Iterable[Wire]) -> Iterator[_Row]:
    for wire in wires:
        said = str(wire.status) if wire.status is not None else wire.error or "no answer yet"
        kind = _CLASSES.get(said[:1], "bad")
        name = f"{wire.method} {wire.url.rstrip('/').rpartition('/')[2]}"
        took = _took(wire.began, wire.ended)
        body = "\n".join([f"{wire.method} {wire.url}", *wire.request, "", said, *wire.answer])
        yield _Row(
            wire.began,
            f'<li class="there"><details><summary>{_unseen("authflow to the vendor: ")}<b>{escape(name)}</b></summary>'
            f"<pre>{escape(body)}</pre></details></li>",
        )
        yield _Row(
            wire.ended if wire.ended is not None else wire.began,
            f'<li class="back {kind}"><span>{_unseen("the vendor: ")}{escape(said)} <small>{took}</small></span></li>',
        )


def _requests(one: Story) -> Iterator[_Row]:
    """Requests as they were made, the wait before they were sent, and their ends; many that are alike between two
    transitions are one arrow.
    """
    turns = [edge.at for edge in one.edges]
    groups: dict[tuple[int, str, str, str], list[tuple[float, str]]] = {}
    for asked in one.asked:
        for at, kind, end in _arrows(one, asked):
            groups.setdefault((bisect(turns, at), asked.method, kind, end), []).append((at, _short(asked.url)))
    for (_, method, kind, end), group in groups.items():
        alike = [group] if len(group) > ONE_BY_ONE else [[sent] for sent in group]
        for some in alike:
            what = f"{len(some)} × {method}" if len(some) > 1 else f"{method} {some[0][1]}"
            who = _unseen("authflow to your code: " if kind.startswith("told") else "your code: ")
            arrow = f'<li class="own {kind}"><span>{who}{escape(what.strip())} <b>{escape(end)}</b></span></li>'
            yield _Row(some[0][0], arrow)


def _arrows(one: Story, asked: Asked) -> Iterator[tuple[float, str, str]]:
    """When, which arrow, and what stands on it: `asks` ends at authflow, `on` begins there, `told` comes back."""
    waited = False
    for part in asked.parts:
        if part.kind == "sent":
            end = str(part.status or "")
            yield part.began, f"{'on ' if waited else ''}{_CLASSES.get(end[:1], 'good')}", end
        elif part is asked.parts[0]:
            yield part.began, "asks", f"waits: {one.awaited(part)}"
        waited = part.kind == "waited"
    if asked.error:
        at = (asked.parts[-1].ended or asked.began) if asked.parts else asked.began
        yield at, "told bad" if asked.parts else "stopped bad", asked.error


def _short(url: str) -> str:
    parts = [part for part in url.partition("://")[2].split("/")[1:] if part] or [url]
    return "/".join(parts[-2:])


def _took(began: float, ended: float | None) -> str:
    return "" if ended is None else _span(ended - began)


def _span(seconds: float, scale: float = 0.0) -> str:
    """Milliseconds; seconds on a scale of more than one."""
    return f"{seconds:.2f} s" if scale > 1 else f"{seconds * 1000:.{int(0 < scale < 0.05)}f} ms"


# --- the timeline -----------------------------------------------------------------------------------------------------


def _timeline(one: Story, level: int) -> str:
    whole = max([one.length, 0.001, *(renewal.ended or 0.0 for renewal in one.renewals)])
    groups = (
        ("Renewals", _renewals(one.renewals, whole)),
        ("Exchanges", _exchanges(one.wires, whole)),
        ("Requests", _asked(one, whole)),
    )
    heading = f'h{level} class="lanes"'
    lanes = "".join(
        f"<{heading}>{name}</h{level}><ol>{listed}</ol>" for name, group in groups if (listed := "".join(group))
    )
    ticks = "".join(f"<span>{_span(whole * part / 4, whole)}</span>" for part in range(5))
    key = "".join(
        f'<li><i class="bar {kind}"></i>{what}</li>'
        for kind, what in (
            ("renewal", "renewal"),
            ("wire", "exchange"),
            ("waited", "waited for a token"),
            ("sent", "with the vendor"),
        )
    )
    return (
        f'<ul class="key" aria-hidden="true">{key}</ul>'
        f'<div class="timeline" tabindex="0" role="group" aria-label="Timeline of {whole:.2f} seconds">'
        f'<div class="ticks" aria-hidden="true">{ticks}</div>{lanes}</div>'
    )


def _renewals(renewals: Iterable[Renewal], whole: float) -> Iterator[str]:
    for renewal in renewals:
        end = renewal.state or renewal.error or "under way"
        waited = f", {renewal.waiters} waited" if renewal.waiters else ", nobody waited"
        text = f"{renewal.cause} → {end}{waited}"
        yield _lane(text, [_bar("renewal" if renewal.state else "renewal bad", renewal.began, renewal.ended, whole)])


def _exchanges(wires: Iterable[Wire], whole: float) -> Iterator[str]:
    for wire in wires:
        said = wire.status if wire.status is not None else wire.error
        yield _lane(f"{wire.method} {_short(wire.url)} {said}", [_bar("wire", wire.began, wire.ended, whole)])


def _asked(one: Story, whole: float) -> Iterator[str]:
    for asked in one.asked:
        waits = [part for part in asked.parts if part.kind == "waited"]
        text = f"{asked.method} {_short(asked.url)} {asked.end}".strip()
        if waits:
            took = sum((part.ended or whole) - part.began for part in waits)
            text += f", waited {_span(took)}: {one.awaited(waits[0])}"
        yield _lane(text, [_bar(part.kind, part.began, part.ended, whole) for part in asked.parts])


def _bar(kind: str, began: float, ended: float | None, whole: float) -> str:
    left, right = began / whole, (ended if ended is not None else whole) / whole
    return f'<i class="bar {kind}" style="left:{left:.2%};width:{max(0.0, right - left):.2%}"></i>'


def _lane(text: str, bars: Iterable[Any]) -> str:
    return f'<li><span>{escape(text)}</span><div class="track">{"".join(bars)}</div></li>'
