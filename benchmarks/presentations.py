"""What does a request cost that presents something else than a bearer, and what does each promise of the hook cost?

The hook over requests, in instructions, as in `hot_path`; no network. A good token is held throughout.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from benchmarks.measure import answer, child_arguments, counts, fresh, is_short, is_whole, versions
from benchmarks.report import Report, Table

ORIGIN: Final = "https://api.example"
URL: Final = f"{ORIGIN}/v1/orders/7?page=2"
KEPT_GOAL: Final = 1.2
LOGIN: Final = {
    "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
    "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
}
BEARER: Final = {"headers": {"Authorization": "Bearer {access}"}}
#: What is presented → what its file says besides.
FILES: Final[dict[str, dict[str, Any]]] = {
    "bearer": {"present": BEARER},
    "key header": {"present": {"headers": {"X-Key": "{access}"}}},
    "cookie": {"present": {"cookies": {"sid": "{access}"}}},
    "query token": {"present": {"query": {"token": "{access}"}}, "insecure_url": True},
    "Basic": {"present": {"basic": ["{username}", "{access}"]}},
    "minted JWT": {
        "present": {"headers": {"Authorization": "Bearer {minted}"}},
        "derive": {"minted": {"jwt": {"key": "{password}", "claims": {"sub": "{access}"}}}},
    },
    "rewrites": {"present": BEARER, "rewrites": [{"from": "v1/orders/{id}", "to": "v2/orders/{id}"}]},
    "vary": {"present": BEARER, "vary": ["scope"], "more": {"status": 403, "headers": {"X-Need": "{scope}"}}},
    "a body pattern on 200s": {"present": BEARER, "ended": {"status": 200, "json": {"error": "session ended"}}},
}


def main() -> None:
    report = Report(
        "presentations",
        "What does a request cost that presents something else than a bearer?",
        "Machine instructions of the hook over requests, by callgrind, and over the bearer's. In the second table the "
        "same hook is written by hand, promise by promise.",
        versions=versions(("authflow-http", "requests")),
    )
    found = counts("presentations", 50 if is_short() else 500)
    if found is not None:
        columns = (("what", "", 0), ("count", "instructions", 0), ("ratio", "×", 2))
        ours = [
            {"what": what, "count": found[what], "ratio": found[what] / found["bearer"]}
            for what in FILES
            if what in found
        ]
        hand = [
            {"what": what, "count": found[what], "ratio": found[what] / found["listens"]}
            for what in HAND
            if what in found
        ]
        hand.append({"what": "authflow, bearer", "count": found["bearer"], "ratio": found["bearer"] / found["listens"]})
        report.tables += [
            Table("presented, × the bearer's hook", columns, ours),
            Table("by hand, promise by promise, × a listener that does nothing", columns, hand),
        ]
        report.goal("minted JWT, kept", KEPT_GOAL, found["minted JWT"] / found["bearer"], " × bearer")
        report.notes.append(
            "Only headers of a grant that is the same for each request go the short way. All others have a hook of "
            "their own, which thinks of the URL, the answer's body or the next hop, as the row says: to take a URL "
            "apart, to match it or to read a body is most of it. To be faster would take a second copy of that code "
            "beside the first: legibility wins."
        )
        if not all(goal.met for goal in report.goals):
            told = fresh("presentations", "profile", "minted JWT")["lines"]
            report.profile += ["minted JWT, where the hook's time goes:", *told]
    report.publish(keep=is_whole())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def child(what: str, calls: str = "0") -> None:
    import requests

    from benchmarks.measure import count, hottest

    if what == "profile":
        import cProfile

        run, profiler = _hook(requests, _session(calls).requests, 2100), cProfile.Profile()
        run(100)
        profiler.runcall(run, 2000)
        answer({"lines": hottest(profiler, 8)})
        return
    most = int(calls) + 20
    parts = {name: _hook(requests, _session(name).requests, most) for name in FILES}
    count({**parts, **{name: _hook(requests, auth, most) for name, auth in HAND.items()}}, int(calls))


def _session(name: str) -> Any:
    from authflow import AuthSession
    from authflow.http import Answer

    file = dict(FILES[name])
    events = {event: file.pop(event) for event in ("more", "ended") if event in file}
    state: dict[str, Any] = dict.fromkeys(events, "signed_out")
    state["present"] = file.pop("present")
    vendor = {
        "name": "bench",
        "extends": "relogin",
        "base_url": f"{ORIGIN}/",
        "exchanges": {"login": LOGIN},
        "states": {"signed_in": state},
        **({"answers": events} if events else {}),
        **file,
    }

    class Sender:
        def exchange(self, request: Any, timeout: float) -> Answer:
            return Answer(200, (), b'{"token": "a-token-of-some-length-as-vendors-give-them"}')

    secret = "a-password-that-is-long-enough-to-sign-with"
    session = AuthSession(vendor, client=Sender(), username="demo", password=secret)
    session.token()
    return session


def _hook(lib: ModuleType, auth: Callable[[Any], Any], most: int) -> Callable[[int], None]:
    made = []
    for _ in range(most):
        response = lib.Response()
        response.request = lib.Request("GET", URL, headers={"User-Agent": "bench"}).prepare()
        response.status_code, response.url, response.raw = 200, URL, io.BytesIO(b"{}")
        made.append(response)
    left = iter(made)

    def run(times: int) -> None:
        for _ in range(times):
            response = next(left)
            auth(response.request)
            for hook in response.request.hooks["response"]:
                hook(response)

    return run


# --- by hand ----------------------------------------------------------------------------------------------------------


class _Floor:
    header, ends, allowed = "Bearer " + "0" * 40, time.time() + 36000, (f"{ORIGIN}/",)
    worth = frozenset({301, 302, 303, 307, 308, 401})

    def _nothing(self, response: Any, **kwargs: Any) -> None:
        """Nothing is done."""

    def _status(self, response: Any, **kwargs: Any) -> None:
        if response.status_code in self.worth:
            raise LookupError

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self.header
        request.hooks["response"].append(self._nothing)
        return request


class _Hears(_Floor):
    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self.header
        request.hooks["response"].append(self._status)
        return request


class _Expires(_Floor):
    def __call__(self, request: Any) -> Any:
        if time.time() < self.ends:
            request.headers["Authorization"] = self.header
            request.hooks["response"].append(self._status)
        return request


class _Bounded(_Floor):
    def __call__(self, request: Any) -> Any:
        if time.time() < self.ends and request.url.startswith(self.allowed):
            request.headers["Authorization"] = self.header
            request.hooks["response"].append(self._status)
        return request


HAND: Final = {
    "listens": _Floor(),
    "and looks at the status": _Hears(),
    "and at the clock": _Expires(),
    "and at the origin": _Bounded(),
}

if __name__ == "__main__":
    arguments = child_arguments()
    if arguments is None:
        main()
    else:
        child(*arguments[-2:])
