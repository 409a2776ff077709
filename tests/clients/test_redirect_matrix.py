"""The redirect matrix: each status, presentation, method and way there, over every client. No token at an undeclared
origin, the right answer at a declared one, each asked once, and nothing of ours in the history.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import authflow

pytest.importorskip("rich", reason="everything that could show a secret is looked at, tracebacks of rich too")

from tests.clients.drivers import Driver, Reply
from tests.clients.test_expectations import IN_PLACE, asgi, mock, wsgi
from tests.clients.test_redirects import vendor
from tests.servers import Came, Listener, Says
from tests.trust.everything import found

Listen = Callable[..., Listener]
TOKEN = "that-nobody-else-may-see"
STATUSES = (301, 302, 303, 307, 308)
PRESENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "bearer": {"headers": {"Authorization": "Bearer {access}"}},
    "basic": {"basic": ["{username}", "{access}"]},
    "key": {"headers": {"X-Api-Key": "{access}"}},
    "cookie": {"cookies": {"sid": "{access}"}},
    "query": {"query": {"key": "{access}"}},
    "json": {"json": {"auth": {"key": "{access}"}}},
    "form": {"form": {"key": "{access}"}},
    "bearer_and_cookie": {"headers": {"Authorization": "Bearer {access}"}, "cookies": {"sid": "{access}"}},
    "key_and_query": {"headers": {"X-Api-Key": "{access}"}, "query": {"key": "{access}"}},
}
#: What the caller's own POST carries; where the token goes into the body, one that takes it.
BODIES: Mapping[str, Mapping[str, Any]] = {"json": {"json": {"mine": "1"}}, "form": {"data": {"mine": "1"}}}


class Home:
    """Grants token after token, takes the last one only, and redirects what asks for `/go` with a good one."""

    def __init__(self, listen: Listen) -> None:
        self.granted, self.status, self.to = 0, 302, ""
        self.listener, self.elsewhere = listen(self.says), listen(self.there)

    def good(self, came: Came) -> bool:
        return bool(found([f"tok3n-{self.granted}-{TOKEN}"], came.everything))

    def says(self, came: Came) -> Says:
        if came.path == "/api/login":
            self.granted += 1
            return Says(json={"token": f"tok3n-{self.granted}-{TOKEN}"})
        if not self.good(came):
            return Says(401, {})
        return Says(self.status, {}, {"Location": self.to}) if came.path == "/go" else self.there(came)

    def there(self, came: Came) -> Says:
        return Says(json={"good": self.good(came), "mine": "mine" in came.everything})

    def asked(self) -> list[Came]:
        return [came for came in self.listener.seen() if came.path != "/api/login"]


def hops(reply: Reply) -> str:
    return " ".join(f"{hop.url} {dict(hop.sent)}" for hop in reply.history)


def walked(
    client: Driver, listen: Listen, presentation: str, where: str, given: Callable[[Home], Any] | None = None
) -> dict[tuple[Any, ...], Any]:
    """What is wrong at each status, method and turn. `given`: the client for exchanges."""
    home = Home(listen)
    target = home.listener.url if where == "same" else home.elsewhere.url
    declared = () if where in ("undeclared", "same") else (target,)
    file = vendor(home.listener, PRESENTATIONS[presentation], *declared)
    more: dict[str, Any] = {} if given is None else {"client": given(home)}
    wrong: dict[tuple[Any, ...], Any] = {}
    for home.status, method, later in itertools.product(STATUSES, ("GET", "POST"), (False, True)):
        home.to = f"{target}/landing?mine=1"
        if not later or where == "after_a_401":
            session = authflow.AuthSession(file, username="demo", password="open-sesame", **more)
        if where == "after_a_401":
            session.token()
            home.granted += 1
        body = BODIES.get(presentation, BODIES["json"]) if method == "POST" else {}
        reply = client.call(session, f"{home.listener.url}/go", method, **body)
        left = home.asked()
        came = home.elsewhere.seen() or left[1:]
        seen = {
            "status": reply.status,
            "the right answer": reply.json == {"good": where != "undeclared", "mine": True},
            "asked once": (len(left), len(came)) == (2 if where in ("same", "after_a_401") else 1, 1),
            "none of ours elsewhere": where != "undeclared" or not found([TOKEN], came[0].everything),
            "none in the history": not found([TOKEN], hops(reply)),
            "the method": came[-1].method == (method if home.status > 303 else "GET"),
            "the body": home.status > 303 or method == "GET" or bool(b"mine" not in came[-1].body),
        }
        bad = [name for name, right in seen.items() if right not in (True, 200)]
        if bad:
            wrong[home.status, method, "later" if later else "first"] = bad
    return wrong


each_way = pytest.mark.parametrize("where", ["declared", "undeclared", "same", "after_a_401"])


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_the_redirect_matrix(client: Driver, listen: Listen, presentation: str, where: str) -> None:
    assert walked(client, listen, presentation, where) == {}


# --- over what people put in a server's place -------------------------------------------------------------------------


def over(driver: Driver, where: str, presentation: str) -> dict[tuple[Any, ...], Any]:
    """The same where no sockets are: one transport for both origins, told apart by the host that is asked for."""
    lib = importlib.import_module(driver.library)
    here: dict[str, Listener] = {}

    def start(says: Callable[[Came], Says]) -> Listener:
        listener = Listener(f"http://127.0.0.1:{9000 + len(here)}", says)
        return here.setdefault(listener.url, listener)

    def answers(came: Came) -> Says:
        listener = here[f"http://{came.headers['host']}"]
        listener.came.append(came)
        return listener.says(came)

    _, kind, *backend = driver.name.split("-")

    def make(lib: Any) -> Any:
        if kind == "mock":
            return mock(lib, answers)[bool(backend)]
        return (asgi if kind == "asgi" else wsgi)(lib, answers)

    made = type(driver)(driver.library, kind, *backend, make)  # type: ignore[arg-type]
    return walked(made, start, presentation, where, lambda home: lib.Client(transport=mock(lib, answers)[0]))


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("presentation", PRESENTATIONS)
@pytest.mark.parametrize("driver", IN_PLACE, ids=lambda driver: driver.name)
def test_the_redirect_matrix_over_transports(driver: Driver, presentation: str, where: str) -> None:
    assert over(driver, where, presentation) == {}
