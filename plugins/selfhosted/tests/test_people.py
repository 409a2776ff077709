"""Logins that need a person, on a real OpenID Provider: by a browser, with PKCE, and by a device.

The person is a thread with a `requests.Session`, and once a headless Chromium.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from authflow import AuthSession, ConfigurationError, CredentialsRefused, VendorUnavailable
from authflow.stores import MemoryStore
from authflow.vendors import load
from authflow_selfhosted.servers import Unavailable
from authflow_selfhosted.servers.oidc_provider import person, provider
from tests.browser import CHROMIUM, DRIVER, MISSING, Page, browser

pytestmark = [pytest.mark.slow, pytest.mark.program]
FILES = Path(__file__).parents[3] / "tests" / "testing" / "vendors"
SCOPE = "openid offline_access"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who does nothing is not waited for as long as a real one."""
    monkeypatch.setattr("authflow.renewing.browser.PATIENCE", 60.0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    try:
        with provider() as url:
            yield url
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(params=[False, True], ids=["bearer", "dpop"], scope="module")
def vendor_at(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """A provider, and what a vendor file adds for it: nothing, or proofs that need nonces (plugins/signers)."""
    dpop = {"sign": {"dpop": {}}, "states": {"signed_in": {"present": {"headers": {"Authorization": "DPoP {access}"}}}}}
    if request.param:
        pytest.importorskip("authflow_signers")
    try:
        with provider(nonces=request.param) as url:
            yield url, dpop if request.param else {}
    except Unavailable as error:
        pytest.skip(str(error))


class Clock:
    """Seconds by which a session is ahead of the world; who waits on it waits for a moment only."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
        time.sleep(0.1)


@dataclass
class Person:
    """Does what is asked, in a thread of their own; `acts` is given the address."""

    acts: Callable[[str], Any]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def __call__(self, kind: str, text: str, url: str) -> bool:
        self.asked.append((kind, text, url))
        threading.Thread(target=lambda: self.ended.append(str(self.acts(url)))).start()
        return True


def signs_in(url: str, *, refuses: bool = False) -> str:
    with requests.Session() as client:
        client.trust_env = False
        client.get(place, timeout=10) if "/callback" in (place := person(url, client, refuses=refuses)) else None
        return place


def enters(url: str) -> str:
    """What the page says to a person who enters the code."""
    with requests.Session() as client:
        client.trust_env = False
        page = client.get(url, timeout=10)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        (action,) = re.findall(r'action="([^"]+)"', page.text)
        return client.post(urljoin(page.url, action), data=fields, timeout=10).text


def refuses(url: str) -> str:
    return signs_in(url, refuses=True)


def code(url: str) -> dict[str, Any]:
    """A vendor with code and PKCE."""
    query = {"response_type": "code", "client_id": "app", "redirect_uri": "{redirect_uri}", "scope": SCOPE}
    query |= {"prompt": "consent", "state": "{state}"}
    query |= {"code_challenge": "{code_challenge}", "code_challenge_method": "S256"}
    return {
        "name": "provider",
        "extends": "oauth2-code",
        "base_url": url,
        "settings": {
            "authorize_url": {"default": "auth"},
            "token_url": {"default": "token"},
            "revoke_url": {"default": "token/revocation"},
            "client_id": {"default": "app"},
        },
        "exchanges": {"authorize": {"request": {"url": "{authorize_url}", "query": query}}},
    }


def device(url: str) -> dict[str, Any]:
    return {
        "name": "tv",
        "extends": "oauth2-device",
        "base_url": url,
        "settings": {
            "device_url": {"default": "device/auth"},
            "token_url": {"default": "token"},
            "revoke_url": {"default": "token/revocation"},
            "client_id": {"default": "app"},
            "scope": {"default": SCOPE},
        },
    }


def me(session: AuthSession, url: str) -> int:
    with requests.Session() as client:
        client.trust_env = False
        return client.get(f"{url}/me", auth=session.requests, timeout=30).status_code


def is_bound(session: AuthSession, url: str, bound: bool) -> None:
    """Does its token need a proof beside it? A bearer is anybody's."""
    headers = {"Authorization": f"{'DPoP' if bound else 'Bearer'} {session.token().access}"}
    with requests.Session() as thief:
        thief.trust_env = False
        assert (thief.get(f"{url}/me", headers=headers, timeout=10).status_code == 200) is not bound


def renews_and_is_revoked(session: AuthSession, clock: Clock, url: str) -> None:
    """What holds of each of them: the refresh token rotates, and a logout makes it void."""
    first = session._manager.grants.current.record.captured["refresh"]
    clock.ahead += 601
    assert me(session, url) == 200
    last = session._manager.grants.current.record.captured["refresh"]
    assert last != first
    session.logout()
    form = {"grant_type": "refresh_token", "refresh_token": last, "client_id": "app"}
    assert requests.post(f"{url}/token", data=form, timeout=10).json()["error"] == "invalid_grant"


def test_code_with_pkce(vendor_at: tuple[str, dict[str, Any]]) -> None:
    url, more = vendor_at
    clock, somebody = Clock(), Person(signs_in)
    session = AuthSession(code(url) | more, ask=somebody, clock=clock)
    assert [me(session, url), me(session, url)] == [200, 200]
    is_bound(session, url, bool(more))
    renews_and_is_revoked(session, clock, url)
    assert [kind for kind, _, _ in somebody.asked] == ["open"]


def test_a_client_that_discovers_and_registers(url: str) -> None:
    somebody = Person(signs_in)
    session = AuthSession(load(FILES / "browser.toml"), ask=somebody, clock=Clock(), issuer=url)
    assert [me(session, url), me(session, url)] == [200, 200]
    session.logout()
    assert [kind for kind, _, _ in somebody.asked] == ["open"]


def test_a_code_that_is_refused(url: str) -> None:
    session = AuthSession(load(code(url)), ask=Person(refuses))
    with pytest.raises(CredentialsRefused, match="The sign-in was refused: "):
        me(session, url)


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)
def test_code_with_pkce_in_chromium(url: str) -> None:
    def acts(address: str) -> str:
        with browser(width=800, height=600) as page:
            page._ask("/url", url=address)
            for fields in (1, 0):  # the login, then the consent
                until(lambda fields=fields: shows(page, f"document.getElementsByName('login').length == {fields}"))  # type: ignore[misc]
                page.run(FILL_IN)
            until(lambda: shows(page, "document.title == 'Signed in'"))
            return str(page.run("return document.body.innerText"))

    somebody = Person(acts)
    session = AuthSession(load(code(url)), ask=somebody)
    assert me(session, url) == 200
    until(lambda: somebody.ended)
    assert "You can close this window." in somebody.ended[0]


#: Fill in the provider's own page, whichever it is, and send it.
FILL_IN = (
    "for (const name of ['login', 'password'])"
    "  for (const field of document.getElementsByName(name)) field.value = 'alice';"
    "document.forms[0].submit()"
)


def shows(page: Page, what: str) -> bool:
    """Is such a page there? While one page follows another, there is none."""
    ready = "document.readyState == 'complete' && (document.forms.length > 0 || document.title == 'Signed in')"
    with contextlib.suppress(OSError):
        return bool(page.run(f"return {ready} && {what}"))
    return False


def until(done: Callable[[], Any], patience: float = 30.0) -> None:
    ends = time.monotonic() + patience
    while not done():
        assert time.monotonic() < ends, "it never came about"
        time.sleep(0.05)


def test_a_device(vendor_at: tuple[str, dict[str, Any]]) -> None:
    url, more = vendor_at
    clock, somebody = Clock(), Person(signs_in)
    session = AuthSession(device(url) | more, ask=somebody, clock=clock)
    assert me(session, url) == 200
    is_bound(session, url, bool(more))
    ((kind, text, address),) = somebody.asked
    assert kind == "tell"
    assert text.startswith(f"Go to {url}/device and enter ")
    assert "user_code=" in address
    renews_and_is_revoked(session, clock, url)


def test_a_device_that_is_refused(url: str) -> None:
    session = AuthSession(load(device(url)), ask=Person(refuses), clock=Clock())
    with pytest.raises(CredentialsRefused, match="access_denied"):
        me(session, url)


def test_a_device_to_which_nobody_comes() -> None:
    """As long as the provider said that the code would last, and no longer."""
    try:
        with provider(patience=8) as url:
            clock, somebody = Clock(), Person(lambda url: None)
            never = AuthSession(load(device(url)), ask=somebody, clock=clock)
            for told in (1, 2):
                clock.ahead += 3600
                with pytest.raises(VendorUnavailable, match="was not done in time; the next call starts again"):
                    me(never, url)
                assert len(somebody.asked) == told, "each call shows a code of its own"
    except Unavailable as error:
        pytest.skip(str(error))


def test_a_device_for_which_it_is_too_late() -> None:
    """The code ends while this side would wait longer. Who comes then is told so at the provider."""
    try:
        with provider(patience=4) as url:
            file = device(url)
            pending = {"json": {"error": "authorization_pending"}, "again": "{interval?}", "for": "30m"}
            file["exchanges"] = {"poll": {"answers": {"pending": [pending]}}}
            somebody = Person(lambda url: None)
            with pytest.raises(CredentialsRefused, match="expired"):
                me(AuthSession(load(file), ask=somebody, clock=Clock()), url)
            assert "incorrect" in enters(somebody.asked[0][2])
    except Unavailable as error:
        pytest.skip(str(error))


def test_a_service_whose_token_an_operator_brings(url: str) -> None:
    """A program where nobody is names the command, and finds what that has brought."""
    store = MemoryStore()
    service = AuthSession(load(code(url)), store=store)
    with pytest.raises(ConfigurationError, match="authflow login provider"):
        me(service, url)
    AuthSession(load(code(url)), store=store, ask=Person(signs_in)).login()
    assert me(service, url) == 200


def test_such_a_vendor_is_eight_lines(url: str) -> None:
    lines = f"""
        name = "provider"
        extends = "oauth2-code"
        base_url = "{url}"
        settings.authorize_url = {{ default = "auth" }}
        settings.token_url = {{ default = "token" }}
        settings.client_id = {{ default = "app" }}
        settings.scope = {{ default = "openid" }}
    """
    assert len(lines.strip().splitlines()) <= 8
    session = AuthSession(load(tomllib.loads(lines)), ask=Person(signs_in))
    assert me(session, url) == 200
