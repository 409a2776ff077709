"""The supplier's paths: what each one answers, what is counted, and what `/__control` can order.

    first origin     POST /api/v1/auth/login            a password for a pair of tokens
                     POST /api/v1/auth/refresh          the old pair for a new one
                     GET|POST /api/v1/tracking/{id}     up a level, and on to the second origin
    second origin    GET|POST /delivery-status/v2/{id}  where the parcel is
    both             GET /__counts, POST /__control     not counted, never faulty

An exchange is settled between two awaits, so its latency delays the answer and nothing else.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, unquote

from authflow_supplier.server.faults import Faults
from authflow_supplier.server.issuer import Issuer, Refused
from authflow_supplier.server.parcels import delivery
from authflow_supplier.server.wire import Answer, Request

AUTH = "/api/v1/auth/"
TRACKING = "/api/v1/tracking/"
DATA = "/delivery-status/v2/"
COUNTS = (
    *("login", "login_refused", "refresh", "refresh_refused", "refresh_reused", "max_concurrent_exchanges"),
    *("tracking", "tracking_401", "tracking_without_token", "data", "data_401", "data_without_token"),
    *("other", "malformed", "faults", "connections"),
)
SEEN = ("GET", "HEAD", "POST")


class Service:
    def __init__(self, issuer: Issuer, latency: float) -> None:
        self.issuer = issuer
        self.latency = latency
        self.data_origin = ""
        self.counts = Counter(dict.fromkeys(COUNTS, 0))
        self._faults = Faults()
        self._exchanging = 0

    async def first(self, request: Request) -> Answer:
        """What the origin of login, refresh and tracking answers."""
        if request.path == AUTH + "login":
            return await self._call("login", ("POST",), request, self._login)
        if request.path == AUTH + "refresh":
            return await self._call("refresh", ("POST",), request, self._refresh)
        if _names_one(request.path, TRACKING):
            return await self._call("tracking", SEEN, request, self._tracking)
        return self._anywhere(request)

    async def second(self, request: Request) -> Answer:
        """What the origin of the data answers."""
        if _names_one(request.path, DATA):
            return await self._call("data", SEEN, request, self._data)
        return self._anywhere(request)

    def _anywhere(self, request: Request) -> Answer:
        if request.path == "/__counts":
            return Answer(200, dict(self.counts)) if request.method == "GET" else _only("GET")
        if request.path == "/__control":
            return self._control(request.json()) if request.method == "POST" else _only("POST")
        self.counts["other"] += 1
        return Answer(404, {"error": "not_found"})

    async def _call(
        self, name: str, methods: tuple[str, ...], request: Request, answer: Callable[[Request], Awaitable[Answer]]
    ) -> Answer:
        if request.method not in methods:
            self.counts["other"] += 1
            return _only(*methods)
        self.counts[name] += 1
        fault = self._faults.next(name)
        if fault is None:
            return await answer(request)
        self.counts["faults"] += 1
        if fault.after:
            await answer(request)
        return fault.answer()

    async def _login(self, request: Request) -> Answer:
        match request.json():
            case {"username": str(username), "password": str(password)}:
                return await self._exchange("login", lambda: self.issuer.login(username, password))
        return await self._exchange("login", _incomprehensible)

    async def _refresh(self, request: Request) -> Answer:
        match request.json():
            case {"refreshToken": str(refresh)}:
                return await self._exchange("refresh", lambda: self.issuer.refresh(_bearer(request), refresh))
        return await self._exchange("refresh", _incomprehensible)

    async def _exchange(self, name: str, issue: Callable[[], dict[str, str]]) -> Answer:
        """One exchange: done at once, answered after the latency, as on a slow network."""
        self._exchanging += 1
        self.counts["max_concurrent_exchanges"] = max(self.counts["max_concurrent_exchanges"], self._exchanging)
        try:
            answer = Answer(200, issue())
        except Refused as refused:
            self.counts[f"{name}_refused"] += 1
            self.counts["refresh_reused"] += refused.error == "refresh_token_reused"
            answer = Answer(refused.status, {"error": refused.error})
        try:
            await asyncio.sleep(self.latency)
        finally:
            self._exchanging -= 1
        return answer

    async def _tracking(self, request: Request) -> Answer:
        id = unquote(request.path.removeprefix(TRACKING))
        elsewhere = f"{self.data_origin}{DATA}{quote(id, safe='')}"
        return self._refusal("tracking", request) or Answer(307, {"id": id}, {"Location": elsewhere})

    async def _data(self, request: Request) -> Answer:
        received = {"received": len(request.body)} if request.method == "POST" else {}
        return self._refusal("data", request) or Answer(
            200, delivery(unquote(request.path.removeprefix(DATA))) | received
        )

    def _refusal(self, name: str, request: Request) -> Answer | None:
        self.counts[f"{name}_without_token"] += "authorization" not in request.headers
        try:
            self.issuer.check(_bearer(request))
        except Refused as refused:
            self.counts[f"{name}_401"] += 1
            return Answer(refused.status, {"error": refused.error}, {"WWW-Authenticate": 'Bearer realm="supplier"'})
        return None

    def _control(self, orders: Any) -> Answer:
        try:
            for name, value in orders.items():
                self._obey(name, value)
        except (AttributeError, TypeError, ValueError) as reason:
            return Answer(400, {"error": "invalid_order", "reason": str(reason)})
        return Answer(200, {"ok": True})

    def _obey(self, name: str, value: Any) -> None:
        match name, value:
            case "lifetime", int() | float() if math.isfinite(value):
                self.issuer.lifetime = value
            case "latency", int() | float() if 0 <= value < math.inf:
                self.latency = value
            case "advance", int() | float() if math.isfinite(value):
                self.issuer.ahead += value
            case "expire", True:
                self.issuer.expire_access()
            case "revoke", "access":
                self.issuer.revoke_access()
            case "revoke", "refresh":
                self.issuer.revoke_refresh()
            case "revoke", "family":
                self.issuer.revoke_access()
                self.issuer.revoke_refresh()
            case "unlock", True:
                self.issuer.unlock()
            case "reset_counts", True:
                self.counts = Counter(dict.fromkeys(COUNTS, 0))
            case "fault", dict(members):
                self._faults.order(members)
            case _:
                raise ValueError(f"{name!r} takes no such value, or is no order at all")


def _names_one(path: str, folder: str) -> bool:
    rest = path.removeprefix(folder)
    return rest != path and rest != "" and "/" not in rest


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _only(*methods: str) -> Answer:
    return Answer(405, {"error": "method_not_allowed"}, {"Allow": ", ".join(methods)})


def _incomprehensible() -> dict[str, str]:
    raise Refused(400, "invalid_request")
