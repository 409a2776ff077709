"""Cookies that come with a rejection, for the second send: kept, changed or deleted, as a browser would have it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from authflow.clients.base import keep_cookies
from tests.clients.drivers import GIVEN, Driver
from tests.clients.test_habits import Vendor
from tests.servers import Came, Listener, Says

URL = "https://api.acme.example/v1/data?x=1"
OVER, LATER = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01-Jan-2099 00:00:00 GMT"


@pytest.mark.parametrize(
    "lines",
    [
        ["x=; Max-Age=0"],
        ["x=; max-age=-1; path=/v1"],
        ["x=; Max-Age=0; Path=/; Secure; HttpOnly"],
        ["x=; Max-Age=0; Path=/v1/data"],
        [f"x=; Expires={OVER}"],
        [f"x=; Expires={LATER}; Max-Age=0"],
        ["x=; Domain=.acme.example; Max-Age=0"],
        ["x=; Expires=Thursday, 01-Jan-70 00:00:00 GMT"],
        ["x=1", "x=; Max-Age=0"],
    ],
)
def test_deleted(lines: list[str]) -> None:
    headers = {"Cookie": "mine=1;x=old"}
    keep_cookies(headers, (), tuple(("set-cookie", line) for line in lines), URL)
    assert headers == {"Cookie": "mine=1"}
    headers = {"Cookie": "x=old"}
    keep_cookies(headers, (), tuple(("Set-Cookie", line) for line in lines), URL)
    assert headers == {}


@pytest.mark.parametrize(
    "lines",
    [
        ["x"],
        ["x=; Max-Age=0; Path=/v"],
        ["x=; Max-Age=0; Path=/v1/data/"],
        ["x=; Max-Age=0; Domain=other.example"],
        [f"x=1; Expires={OVER}; Max-Age=60"],
        [f"x=1; Expires={LATER}"],
        ["x=1; Expires=Thu, 01 Jan 99999999999 00:00:00 GMT"],
        ["x=1; Max-Age=" + "9" * 5000],
        ["x=; Max-Age=0", "x=1"],
    ],
)
def test_left_as_it_is(lines: list[str]) -> None:
    headers = {"Cookie": "mine=1;x=old"}
    keep_cookies(headers, (), tuple(("Set-Cookie", line) for line in lines), URL)
    assert headers == {"Cookie": "mine=1;x=old"}


class Balanced(Vendor):
    """Its rejections delete one cookie and set another."""

    def says(self, came: Came) -> Says:
        said = super().says(came)
        if said.status == 401:
            return Says(401, {}, {"Set-Cookie": "node=; Max-Age=0; Path=/" if "old" in came.everything else "node=b7"})
        return said


def acme(listen: Callable[..., Listener]) -> tuple[Balanced, Any, str]:
    vendor = Balanced(listen, lambda came: Says(json={"cookie": came.headers.get("cookie")}))
    session = vendor.session()
    session.token()
    vendor.revoke()
    return vendor, session, vendor.listener.url


def test_what_a_rejection_deletes_is_not_sent_again(client: Driver, listen: Callable[..., Listener]) -> None:
    _, session, url = acme(listen)
    reply = client.call(session, f"{url}/data", headers={"Cookie": "node=old; mine=1"})
    assert reply.json == {"cookie": "mine=1"}


@pytest.mark.parametrize("library", GIVEN)
def test_the_clients_own_jar(library: str, listen: Callable[..., Listener]) -> None:
    """What the client kept from an earlier answer: another node is given back, and a deleted one is gone for good."""
    lib = importlib.import_module(library)
    vendor, session, url = acme(listen)
    with (lib.Session if hasattr(lib, "Session") else lib.Client)() as http:
        http.auth = getattr(session, library)
        first = http.get(f"{url}/data").json()["cookie"]
        http.cookies.clear()
        http.cookies.set("node", "old", domain="127.0.0.1", path="/")
        vendor.revoke()
        second = [http.get(f"{url}/data").json()["cookie"] for _ in range(2)]
        assert (first, second, dict(http.cookies)) == ("node=b7", [None, None], {})
