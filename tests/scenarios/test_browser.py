# ruff: noqa: E501 -- vendor files keep their lines
"""A person at a browser: the code flow with PKCE, as a strict server checks it (RFC 6749 §4.1, RFC 7636, RFC 8252, RFC 9207).

The browser is a thread that follows redirects, to the port of this machine too.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

import authflow
from authflow.renewing import browser
from authflow.stores import MemoryStore
from authflow.vendors import load
from tests.scenarios.stage import Stage
from tests.servers import Came, Says, closed_port

FILE = {
    "name": "acme",
    "extends": "oauth2-code",
    "settings": {"client_id": {"default": "app"}, "scope": {"default": "read offline"}},
}


def one(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}


@dataclass
class Server:
    """An authorization server. A code is good once, for who has the verifier, at the redirect URI that asked for it."""

    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh: str = ""
    revoked: list[str] = field(default_factory=list)
    refuses: bool = False
    issuer: str = ""

    def authorize(self, came: Came) -> Says:
        asked = one(came.target.partition("?")[2])
        assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", "app", "read offline")
        assert asked["code_challenge_method"] == "S256"
        where = urlsplit(asked["redirect_uri"])
        assert where.hostname == "127.0.0.1"
        code = f"c-{len(self.codes) + 1}"
        self.codes[code] = asked
        said = {"error": "access_denied"} if self.refuses else {"code": code}
        said |= {"iss": self.issuer} if self.issuer else {}
        return Says(302, {}, {"Location": f"{asked['redirect_uri']}?{urlencode({**said, 'state': asked['state']})}"})

    def token(self, came: Came) -> Says:
        form = one(came.body.decode())
        assert form["client_id"] == "app"
        if form["grant_type"] == "refresh_token":
            good = form["refresh_token"] == self.refresh
        else:
            asked = self.codes.pop(form["code"], {})
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            proved = base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked.get("code_challenge")
            good = proved and form["redirect_uri"] == asked["redirect_uri"] and len(form["code_verifier"]) >= 43
        if not good:
            return Says(400, {"error": "invalid_grant"})
        self.refresh = f"r-{self.refresh}"
        return Says(200, {"access_token": f"a{self.refresh}", "refresh_token": self.refresh, "expires_in": 600})

    def revoke(self, came: Came) -> Says:
        self.revoked.append(one(came.body.decode())["token"])
        return Says(200, {})


def visit(url: str) -> tuple[int, str]:
    """What a browser shows in the end."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@dataclass
class Browser:
    """`first` is called with the URL that is to be opened, before the person acts."""

    shown: list[tuple[int, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    first: Callable[[str], Any] = lambda url: None
    threads: list[threading.Thread] = field(default_factory=list)

    def __call__(self, kind: str, text: str, url: str) -> bool:
        assert kind == "open"
        self.asked.append(url)
        self.threads.append(threading.Thread(target=self._go, args=(url,)))
        self.threads[-1].start()
        return True

    def _go(self, url: str) -> None:
        self.first(url)
        self.shown.append(visit(url))

    def page(self) -> str:
        for thread in self.threads:
            thread.join()
        return self.shown[-1][1]


def load_code(stage: Stage, server: Server, file: dict[str, Any] = FILE, **given: Any) -> Stage:
    script = {"authorize": server.authorize, "token": server.token, "revoke": server.revoke}
    own = {"base_url": stage.url, "authorize_url": f"{stage.url}authorize", "token_url": f"{stage.url}token"}
    return stage.load(file, script, **{**own, "revoke_url": f"{stage.url}revoke", **given})


def test_a_person_signs_in_once_and_the_token_renews_itself(stage: Stage) -> None:
    server, person = Server(), Browser()
    load_code(stage, server, ask=person)
    assert stage.call().status_code == 200
    assert "Signed in" in person.page()
    assert "close this window" in person.page()
    assert stage.sent("data")[0].headers["authorization"] == "Bearer ar-"
    stage.clock.ahead += 600
    assert stage.call().status_code == 200
    assert len(person.asked) == 1
    stage.session.logout()
    assert server.revoked == ["r-r-"]
    assert stage.walked() == ["token", "data", "revoke"]


def test_nothing_of_the_login_is_kept_at_rest(stage: Stage) -> None:
    store = MemoryStore()
    load_code(stage, Server(), ask=Browser(), store=store)
    stage.call()
    kept = stage.session._manager.grants.current.record.captured
    assert sorted(kept) == ["access", "expires_in", "refresh"]  # no code, no verifier


def test_where_nobody_is_there_nothing_is_sent(stage: Stage) -> None:
    load_code(stage, Server())
    with pytest.raises(authflow.ConfigurationError, match="authflow login acme"):
        stage.call()
    assert stage.walked() == []


def test_renewing_ahead_opens_no_browser(stage: Stage) -> None:
    server, person = Server(), Browser()
    load_code(stage, server, ask=person)
    stage.call()
    server.refresh = "another's"
    stage.clock.ahead += 570
    for _ in range(3):
        assert stage.call().status_code == 200
        for flight in list(stage.session._manager.grants.flights._under_way.values()):
            flight.wait()
    assert len(person.asked) == 1


def test_a_person_who_refuses(stage: Stage) -> None:
    server, person = Server(refuses=True), Browser()
    load_code(stage, server, ask=person)
    with pytest.raises(authflow.CredentialsRefused, match="The sign-in was refused: access_denied"):
        stage.call()
    assert "Not signed in" in person.page()


def test_a_stranger_at_the_port_is_turned_away_and_the_person_waited_for(stage: Stage) -> None:
    turned: list[int] = []

    def stranger(url: str) -> None:
        asked = one(urlsplit(url).query)
        back = asked["redirect_uri"]
        addresses = (
            f"{back}?code=stolen",
            f"{back}?code=stolen&state=guessed",
            f"{back}?code=stolen&state={asked['state']}&state=twice",
            f"{back}?error=access_denied",
            back.replace("/callback", "/other") + f"?code=stolen&state={asked['state']}",
        )
        turned.extend(visit(address)[0] for address in addresses)

    person = Browser(first=stranger)
    load_code(stage, Server(), ask=person)
    assert stage.call().status_code == 200
    assert turned == [404] * 5


def test_one_redirect_and_the_port_is_closed(stage: Stage) -> None:
    person = Browser()
    load_code(stage, Server(), ask=person)
    stage.call()
    person.page()
    with pytest.raises(urllib.error.URLError):
        visit(one(urlsplit(person.asked[0]).query)["redirect_uri"])


def test_a_mixed_up_server_is_found_out(stage: Stage) -> None:
    file = {**FILE, "settings": {**FILE["settings"], "issuer": {}}, "exchanges": {"authorize": {"answers": {"came": {"form": {"code": "{code}", "iss": "{=issuer}"}}}}}}  # fmt: skip
    server = Server(issuer="https://other.example")
    load_code(stage, server, file, ask=Browser(), issuer="https://acme.example")
    with pytest.raises(authflow.VendorAnswerError, match="no pattern of authorize fits"):
        stage.call()
    assert stage.walked() == ["authorize"]
    server.issuer = "https://acme.example"
    load_code(stage, server, file, ask=Browser(), issuer="https://acme.example")
    assert stage.call().status_code == 200


def test_nobody_comes_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PATIENCE", 0.3)
    load_code(stage, Server(), ask=lambda kind, text, url: True)
    with pytest.raises(authflow.VendorUnavailable, match="nobody came back from the browser"):
        stage.call()


def test_without_a_browser_the_address_is_pasted(stage: Stage) -> None:
    told: list[str] = []
    typed = iter(["https://acme.example/?code=other", "", None])

    def ask(kind: str, text: str, url: str) -> Any:
        told.append(kind)
        if kind == "open":
            return False
        address = next(typed)
        if address is not None:
            return address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stays())
        return opener.open(url, timeout=10).headers["Location"]

    load_code(stage, Server(), ask=ask)
    assert stage.call().status_code == 200
    assert told == ["open", "enter", "enter", "enter"]


class _Stays(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req: Any, fp: Any, *rest: Any) -> Any:
        return fp


def test_a_redirect_uri_that_the_vendor_knows_says_the_port(stage: Stage) -> None:
    with closed_port() as url:
        port = urlsplit(url).port
    file = {**FILE, "settings": {**FILE["settings"], "redirect_uri": {"default": f"http://127.0.0.1:{port}/done"}}}
    person = Browser()
    load_code(stage, Server(), file, ask=person)
    assert stage.call().status_code == 200
    assert one(urlsplit(person.asked[0]).query)["redirect_uri"] == f"http://127.0.0.1:{port}/done"


def test_a_port_that_another_has_is_named(stage: Stage) -> None:
    with closed_port() as url:
        file = {**FILE, "settings": {**FILE["settings"], "redirect_uri": {"default": f"{url}/done"}}}
        load_code(stage, Server(), file, ask=Browser())
        with pytest.raises(authflow.ConfigurationError, match="another login under way"):
            stage.call()


def test_whose_login_it_is(tmp_path: Any) -> None:
    """A login by a browser has no user name: `identity=` tells users apart, and else there is one."""
    raw = {**FILE, "base_url": "https://acme.example/", "credentials": {"client_secret": {"secret": True}}}
    vendor = load(raw)
    assert vendor.identity == ()
    given = {"authorize_url": "https://acme.example/a", "token_url": "https://acme.example/t", "client_secret": "s"}
    keys = {who: authflow.AuthSession(vendor, identity=who, **given)._manager.grants.key for who in ("a", "b", None)}
    assert len(set(keys.values())) == 3

    class Shared(MemoryStore):
        shared = True

    with pytest.raises(authflow.ConfigurationError, match="identity="):
        authflow.AuthSession(vendor, store=Shared(), **given)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"request": {"url": "authorize", "query": {"redirect_uri": "{redirect_uri}"}}}, "nothing says whose redirect comes back"),
        ({"request": {"url": "authorize", "query": {"state": "{state}"}}}, "nothing says where the browser is to go back"),
        ({"request": {"url": "authorize?s={state}&r={redirect_uri}", "form": {"a": "b"}}}, "a browser opens a URL, with a query"),
        ({"answers": {"came": {"json": {"code": "{code}"}}}}, "what comes back from a browser is a form"),
    ],
)  # fmt: skip
def test_what_a_browser_cannot_do(change: dict[str, Any], finding: str) -> None:
    raw = {**FILE, "base_url": "https://acme.example/", "exchanges": {"authorize": change}}
    with pytest.raises(authflow.VendorFileError, match=finding):
        load(raw)


def test_a_code_without_pkce_is_warned_of() -> None:
    query = {"state": "{state}", "redirect_uri": "{redirect_uri}", "client_id": "{client_id}"}
    raw = {
        **FILE,
        "base_url": "https://acme.example/",
        "exchanges": {"authorize": {"request": {"url": "authorize", "query": query}}},
    }
    assert any("RFC 7636" in str(warning) for warning in load(raw).warnings)


def test_a_second_redirect_changes_nothing() -> None:
    came: list[bytes] = []
    with browser.Visit("acme", None) as own:
        back = f"{own.asks_with['redirect_uri']}?state={own.asks_with['state']}&code="
        waiting = threading.Thread(target=lambda: came.append(own.answer("", lambda *_: True).content))
        waiting.start()
        assert own._server is not None
        own._server.taken.acquire()  # the first is being answered
        assert visit(f"{back}second")[0] == 410
        own._server.taken.release()
        assert visit(f"{back}first")[0] == 200
        waiting.join()
    assert b"code=first" in came[0]
