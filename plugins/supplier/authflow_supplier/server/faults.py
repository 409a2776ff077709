"""Failures on order: which path fails next, how, and how often.

Some kinds are answers like any other, only not what a client hopes for; the rest break the connection, and reach it as
the exception `Broken`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authflow_supplier.server.wire import Answer

PATHS = ("login", "refresh", "tracking", "data")
KINDS = ("answer", "garbage", "huge", "hang", "reset", "drip")


class Broken(Exception):
    """The connection itself shall fail, in the manner of `kind`: hang, reset or drip."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Fault:
    path: str
    kind: str = "answer"
    status: int = 503
    times: int = 1
    retry_after: float | str | None = None
    json: object = None
    after: bool = False

    def __post_init__(self) -> None:
        if self.path not in PATHS or self.kind not in KINDS:
            raise ValueError(f"a fault's path is one of {', '.join(PATHS)}; its kind is one of {', '.join(KINDS)}")
        if not all(isinstance(item, int) for item in (self.times, self.status)) or not 200 <= self.status <= 599:
            raise ValueError("a fault's times and status are whole numbers, the status from 200 to 599")
        if self.retry_after is not None and any(ord(letter) not in range(32, 127) for letter in str(self.retry_after)):
            raise ValueError("a fault's retry_after is the value of a header field")

    def answer(self) -> Answer:
        match self.kind:
            case "answer":
                headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
                return Answer(self.status, {"error": "fault"} if self.json is None else self.json, headers)
            case "garbage":
                return Answer(200, headers={"Content-Type": "text/html"}, raw=b"<html>\xff\xfe this is no JSON {")
            case "huge":
                return Answer(200, {"token": "a.b.c", "refreshToken": "r", "padding": "x" * 4 * 1024 * 1024})
            case kind:
                raise Broken(kind)


class Faults:
    """At most one ordered fault for each path."""

    def __init__(self) -> None:
        self._ordered: dict[str, Fault] = {}

    def order(self, members: Mapping[str, Any]) -> None:
        fault = Fault(**members)
        self._ordered.pop(fault.path, None)
        if fault.times > 0:
            self._ordered[fault.path] = fault

    def next(self, path: str) -> Fault | None:
        fault = self._ordered.get(path)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self._ordered[path]
        return fault
