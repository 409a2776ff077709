"""A person signs in at a browser; somebody else on the machine, and a server that is another, try to profit.

    at the port     another local user finds the port and sends redirects there: forged, repeated, slow, in hundreds
    mixed up        the redirect of another server's login, with its code and its `iss`
    stolen          who has seen the code, and the whole redirect, tries to use it
    in the way      another user already sits at the port that the vendor knows

Expected: no forged code reaches the token endpoint, no code is of use without the verifier, which nobody has seen, the
person's own redirect is still taken, and a port that is taken is said.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import authflow
from authflow.http import Answer, Request
from authflow.vendors import load

VENDOR = {
    "name": "acme",
    "extends": "oauth2-code",
    "base_url": "https://acme.example/",
    "settings": {
        "authorize_url": {"default": "authorize"},
        "token_url": {"default": "token"},
        "client_id": {"default": "app"},
        "issuer": {"default": "https://acme.example"},
    },
    "exchanges": {
        "authorize": {
            "answers": {
                "came": {"form": {"code": "{code}", "iss": "{=issuer}"}},
                "denied": {"form": {"error": "{reason}"}},
            }
        }
    },
}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """acme: codes are good once, for who has the verifier. It is also where exchanges are sent (`client=`)."""

    challenge: str = ""
    codes: set[str] = field(default_factory=set)
    seen: list[dict[str, str]] = field(default_factory=list)

    def exchange(self, request: Request, timeout: float) -> Answer:
        form = {name: values[0] for name, values in parse_qs((request.body or b"").decode()).items()}
        self.seen.append(form)
        return self.token(form)

    def token(self, form: dict[str, str]) -> Answer:
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(digest).decode().rstrip("=") == self.challenge
        if form.get("code") not in self.codes or not proved:
            return Answer(400, (), b'{"error": "invalid_grant"}')
        self.codes.discard(form["code"])
        return Answer(200, (), b'{"access_token": "the-token", "expires_in": 600}')


def get(url: str) -> int:
    try:
        with _OPENER.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def signed_in(server: Server, before: Callable[[dict[str, str]], Any], redirect: dict[str, str] | None = None) -> str:
    """The token of a login during which `before` happens, and then the person comes back; or the error's class."""

    def ask(kind: str, text: str, url: str) -> bool:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        server.challenge = asked["code_challenge"]
        server.codes.add("the-persons")
        query = {"code": "the-persons", "iss": "https://acme.example", "state": asked["state"], **(redirect or {})}

        def acts() -> None:
            before(asked)
            get(f"{asked['redirect_uri']}?{urlencode(query)}")

        threading.Thread(target=acts).start()
        return True

    session = authflow.AuthSession(load(VENDOR), client=server, ask=ask)
    try:
        return session.token().access
    except authflow.AuthFlowError as error:
        return type(error).__name__


def attack() -> Iterator[str]:
    yield from at_the_port()
    yield from mixed_up()
    yield from stolen()
    yield from in_the_way()


def at_the_port() -> Iterator[str]:
    server = Server(codes={"mallorys"})

    def forges(asked: dict[str, str]) -> None:
        back, where = asked["redirect_uri"], urlsplit(asked["redirect_uri"])
        idle = [socket.create_connection((where.hostname, where.port)) for _ in range(40)]  # who says nothing
        for guess in (
            "",
            "x",
            asked["state"][:-1],
            asked["state"] + "x",
            asked["state"].swapcase(),
            asked["code_challenge"],
        ):
            get(f"{back}?{urlencode({'code': 'mallorys', 'iss': 'https://acme.example', 'state': guess})}")
        get(f"{back}?error=access_denied")
        for line in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST /callback HTTP/1.1\r\n\r\n",
            b"\xff\x00" * 4096,
            b"GET " + b"/" * 70000,
        ):
            with socket.create_connection((where.hostname, where.port)) as mallory:
                mallory.sendall(line)
        for one in idle:
            one.close()

    got = signed_in(server, forges)
    if got != "the-token":
        yield f"who forges redirects ends the person's login: {got}"
    if any(form.get("code") != "the-persons" for form in server.seen):
        yield "a forged code was used"


def mixed_up() -> Iterator[str]:
    for iss in ("https://mallory.example", "https://acme.example/", ""):
        server = Server()
        got = signed_in(server, lambda asked: None, {"iss": iss})
        if got == "the-token" or server.seen:
            yield f"a code of {iss or 'nobody'} went to acme"


def stolen() -> Iterator[str]:
    server, tried = Server(), list[int]()

    def steals(asked: dict[str, str]) -> None:
        for verifier in ("", asked["code_challenge"], asked["state"], "a" * 43):
            form = {"code": "the-persons", "redirect_uri": asked["redirect_uri"], "code_verifier": verifier}
            tried.append(server.token(form).status)

    got = signed_in(server, steals)
    if 200 in tried:
        yield "a stolen code is good without its verifier"
    if got != "the-token":
        yield f"who tries a stolen code ends the person's login: {got}"
    shown = [value for form in server.seen for value in form.values()]
    if server.challenge in shown:
        yield "the verifier is the challenge"


def in_the_way() -> Iterator[str]:
    with socket.socket() as mallory:
        mallory.bind(("127.0.0.1", 0))
        mallory.listen()
        at = f"http://127.0.0.1:{mallory.getsockname()[1]}/callback"
        asked: list[str] = []
        session = authflow.AuthSession(
            load({**VENDOR, "settings": {**VENDOR["settings"], "redirect_uri": {"default": at}}}),  # type: ignore[dict-item]
            client=Server(),
            ask=lambda kind, text, url: asked.append(url),
        )
        try:
            session.token()
        except authflow.ConfigurationError:
            pass
        except authflow.AuthFlowError as error:
            yield f"a port that another has is a {type(error).__name__}"
        else:
            yield "a token came from nowhere"
        if asked:
            yield "the browser was sent to a port that another has"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found))
    sys.exit(1 if found else 0)
