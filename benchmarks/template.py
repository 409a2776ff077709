"""Is rendering and matching linear in the document, and how far is it from the same work written by hand?

The document is an object of n keys, every other of them nested, each with a placeholder alone or inside a text.
The work by hand makes the same checks: every key must be there, every literal must fit, every value is collected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from benchmarks.measure import alternate, answer, child_arguments, fresh, is_short, middle, timed, versions
from benchmarks.report import Report, Table

SIZES: Final = (1, 10, 100, 1000, 10_000)
GOAL: Final = 3.0
#: The function by hand is linear; by so much the ratio to it may grow while documents grow a thousandfold.
LINEAR: Final = 1.2

Document = dict[str, Any]


def main() -> None:
    report = Report(
        "template",
        "Is rendering and matching linear, and how far from the same work written by hand?",
        "Microseconds for a document of so many keys; × is over the hand-written function that fills or checks and "
        "collects the same.",
        versions=versions(("authflow-http",)),
    )
    rounds, processes = (5, 1) if is_short() else (31, 5)
    row = middle([fresh("template", rounds) for _ in range(processes)])
    for what in ("render", "match"):
        table = Table(
            what,
            (("keys", "keys", 0), ("by_hand", "by hand, µs", 2), ("us", "template, µs", 2), ("ratio", "× by hand", 2)),
        )
        for size in SIZES:
            key = f"{what}_{size}"
            table.rows.append(
                {"keys": size, "by_hand": row[f"{key}_hand"], "us": row[f"{key}_us"], "ratio": row[f"{key}_ratio"]}
            )
        report.tables.append(table)
        worst = max(line["ratio"] for line in table.rows)
        report.goal(f"{what}: slowest against the same by hand", GOAL, worst, " × by hand")
        ratios = {line["keys"]: line["ratio"] for line in table.rows}
        report.goal(f"{what}: linear, 10,000 keys against 10", LINEAR, ratios[10_000] / ratios[10], " × the ratio")
    report.publish(keep=not is_short())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def _template(size: int) -> Document:
    """What vendors write: names of keys, a literal here and there, placeholders of both kinds."""
    made: Document = {}
    for index in range(size):
        placeholder = f"{{v{index}}}" if index % 3 else f"Bearer {{v{index}}}"
        made[f"key{index}"] = {"type": "bearer", "value": placeholder} if index % 2 else placeholder
    return made


def _render_by_hand(size: int) -> Callable[[Document], Document]:
    keys = [(f"key{index}", f"v{index}", index % 2, index % 3) for index in range(size)]

    def render(values: Document) -> Document:
        made: Document = {}
        for key, name, nested, plain in keys:
            value = values.get(name)
            if value is None:
                raise LookupError(name)
            if not plain:
                if not isinstance(value, str):
                    raise ValueError(name)
                value = f"Bearer {value}"
            made[key] = {"type": "bearer", "value": value} if nested else value
        return made

    return render


def _match_by_hand(size: int) -> Callable[[Document], Document]:
    keys = [(f"key{index}", f"v{index}", index % 2, index % 3) for index in range(size)]

    def match(document: Document) -> Document:
        if not isinstance(document, dict):
            raise ValueError("an object is wanted")
        found: Document = {}
        for key, name, nested, plain in keys:
            value = document.get(key)
            if nested:
                if not isinstance(value, dict):
                    raise ValueError(f"{key}: an object is wanted")
                if value.get("type") != "bearer":
                    raise ValueError(f"{key}.type: another text")
                value = value.get("value")
            if value is None:
                raise ValueError(f"{key}: missing")
            if not plain:
                if not isinstance(value, str) or not value.startswith("Bearer "):
                    raise ValueError(f"{key}: another text")
                value = value[7:]
            if found.setdefault(name, value) != value:
                raise ValueError(f"{name} reads two different values")
        return found

    return match


def run(rounds: int) -> None:
    from authflow.templates import documents as t

    row: Document = {}
    for size in SIZES:
        made = t.compile(_template(size))
        values = {f"v{index}": f"value-{index}" for index in range(size)}
        by_hand, match_by_hand = _render_by_hand(size), _match_by_hand(size)
        document = by_hand(values)
        assert t.render(made, values) == document
        assert t.match(made, document) == match_by_hand(document) == values
        batch = max(1, 20_000 // size)
        for what, hand, call in (
            ("render", partial(by_hand, values), partial(t.render, made, values)),
            ("match", partial(match_by_hand, document), partial(t.match, made, document)),
        ):
            compared = alternate(timed(hand), timed(call), rounds=max(3, rounds // 2), batch=batch)
            row[f"{what}_{size}_hand"], row[f"{what}_{size}_us"] = compared.floor_us, compared.us
            row[f"{what}_{size}_ratio"] = compared.ratio
    answer(row)


if __name__ == "__main__":
    given = child_arguments()
    if given is None:
        main()
    else:
        run(int(given[0]))
