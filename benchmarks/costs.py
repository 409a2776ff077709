"""README's rows of figures, from the results: `python -m benchmarks.costs` writes them anew after `make bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.measure import ROOT
from benchmarks.report import RESULTS

README: Final = ROOT / "README.md"


def main() -> None:
    text = README.read_text("utf-8")
    for begins, row in _rows().items():
        found = [line for line in text.splitlines() if line.startswith(f"| {begins} ")]
        if len(found) == 1:
            text = text.replace(found[0], f"| {begins} | {row} |")
            print(f"| {begins} | {row} |")
        else:
            print(f"(README has no single row that begins with {begins!r})")
    README.write_text(text, "utf-8")


def _rows() -> dict[str, str]:
    """How a row begins, and its other two cells."""
    ours = [float(row["request_ratio"]) for row in _of("hot_path") if row["name"] == "authflow"]
    others = [float(row["request_ratio"]) for row in _of("hot_path") if _is_peer(row["name"])]
    across = [float(row["ratio"]) for row in _of("ahead") if str(row["contender"]).startswith("authflow")]
    opened = [float(row["open_us"]) for row in _of("accounts") if row.get("sessions", 0) >= 10_000]
    used = [float(row["used_bytes"]) for row in _of("accounts") if row.get("used_bytes")]
    found = {
        "a request with a good token, beside one with a header written by hand": (
            f"{_more(min(ours))} to {_more(max(ours))} % more, no lock | up to {_more(max(others))} % more"
        ),
        "one session more": f"{used[-1] / 1024:.1f} KiB, {min(opened):.0f} to {max(opened):.0f} µs |",
    }
    if max(across) > 1.0:
        found["p99 while a token is renewed ahead"] = (
            f"at most {_more(max(across))} % more than at other times | "
            "as long as the exchange, where nobody renews ahead"
        )
    return found


def _of(name: str) -> Iterator[dict[str, Any]]:
    for table in json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["tables"]:
        yield from table["rows"]


def _is_peer(name: str) -> bool:
    return not name.startswith(("authflow", "floor"))


def _more(ratio: float) -> int:
    return max(0, round((ratio - 1) * 100))


if __name__ == "__main__":
    main()
