"""Strict servers, each written from what a vendor's page would say, and never from the vendor file.

They keep accounts and tokens, look at every byte that the page mentions, and answer whatever is wrong as the page says.
`logins` and `refused` count what was sent to the login; `revoke` ends every token as an administrator would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers import Came, Says

USER, PASSWORD = "ann & co", "p<ss\"w&rd'"
CREDENTIALS = {"username": USER, "password": PASSWORD}
LIFETIME = 600


class Strict:
    """What all of them have. `body` is what a caller sends, as httpx takes it; `path` is where."""

    given: ClassVar[Mapping[str, Any]] = CREDENTIALS
    wrong: ClassVar[Mapping[str, Any]] = {"password": "wr&ng"}
    path: ClassVar[str] = "orders"
    body: ClassVar[Mapping[str, Any]] = {}
    #: Does its page say how long a token lives?
    ends: ClassVar[bool] = False
    #: Is there a login, and can a token be revoked?
    logs_in: ClassVar[bool] = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.numbers = itertools.count(1)
        self.tokens: dict[str, float] = {}
        self.logins = self.refused = 0
        self.trail: list[str] = []

    def issue(self) -> str:
        self.logins += 1
        token = f"t{next(self.numbers)}<&>"
        self.tokens[token] = self.clock() + LIFETIME
        return token

    def good(self, token: str | None) -> bool:
        return token in self.tokens and self.clock() < self.tokens[token]

    def revoke(self) -> None:
        self.tokens.clear()

    def no(self, said: Says) -> Says:
        self.refused += 1
        return said

    def __call__(self, came: Came) -> Says:
        self.trail.append(f"{came.method} {came.target}")
        return self.answer(came)

    def answer(self, came: Came) -> Says:
        raise NotImplementedError


def read(came: Came) -> Any:
    return json.loads(came.body)


class Soap(Strict):
    """`POST session.asmx` with a login element answers a sessionId; each document says it in its header."""

    body: ClassVar[Mapping[str, Any]] = {"content": "<q><sid>@TOKEN@</sid><ask>1 &lt; 2</ask></q>"}

    def answer(self, came: Came) -> Says:
        document = ElementTree.fromstring(came.body)
        if came.path == "/session.asmx":
            assert came.headers["content-type"] == "text/xml"
            assert [part.tag for part in document] == ["user", "password"]
            if [part.text for part in document] != [USER, PASSWORD]:
                return self.no(xml("<r><error>wrong password</error></r>"))
            return xml(f"<r><sessionId>{escaped(self.issue())}</sessionId></r>")
        assert document.findtext("ask") == "1 < 2"
        if not self.good(document.findtext("sid")):
            return xml("<r><error>invalid session</error></r>")
        return xml("<r>orders</r>")


def xml(text: str) -> Says:
    return Says(200, headers={"Content-Type": "text/xml"}, body=text.encode())


def escaped(text: str) -> str:
    return text.replace("&", "&#38;").replace("<", "&lt;").replace(">", "&gt;")


class Rpc(Strict):
    """JSON-RPC: the first of `params` is the session, empty for `login`."""

    path: ClassVar[str] = "rpc"
    body: ClassVar[Mapping[str, Any]] = {"json": {"method": "call", "params": ["", "system", "board", {}]}}

    def answer(self, came: Came) -> Says:
        call = read(came)
        session, *rest = call["params"]
        if call["method"] == "login":
            assert session == ""
            if rest != [USER, PASSWORD]:
                return self.no(Says(200, {"error": {"code": -32002, "message": "wrong password"}}))
            return Says(200, {"result": [self.issue()]})
        assert rest == ["system", "board", {}]
        if not self.good(session):
            return Says(200, {"error": {"code": -32001}})
        return Says(200, {"result": []})


class Keyed(Strict):
    """There is no login: the user's own key proves who it is, until the vendor's page shows another. Each serves for
    `LIFETIME` at most.
    """

    secret: ClassVar[str]
    logs_in: ClassVar[bool] = False

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.began, self.turn = clock(), 0

    @property
    def key(self) -> str:
        """What the page shows."""
        turn = self.turn + int((self.clock() - self.began) // LIFETIME)
        return f"{self.given[self.secret]}{turn or ''}"

    def revoke(self) -> None:
        self.turn += 1


class InThePath(Keyed):
    """The token is a segment of every path: `/botTOKEN/orders`."""

    secret = "token"

    given: ClassVar[Mapping[str, Any]] = {"token": "17:a/b"}
    wrong: ClassVar[Mapping[str, Any]] = {"token": "18:c"}
    path: ClassVar[str] = "orders/%E9//x?a=+&flag"

    def answer(self, came: Came) -> Says:
        if came.target != f"/bot{quote(self.key, safe='')}/orders/%E9//x?a=+&flag":
            return self.no(Says(401, {}))
        return Says(200, {})


class Nonce(Strict):
    """`GET login/nonce` answers a nonce, good for once; `POST login` takes SHA-256 of nonce:user:password in base64."""

    ends: ClassVar[bool] = True

    def answer(self, came: Came) -> Says:
        if came.target == "/login/nonce":
            self.nonce = f"n{next(self.numbers)}"
            return Says(200, {"nonce": self.nonce})
        if came.target == "/login":
            nonce, self.nonce = self.nonce, ""
            text = f"{nonce}:{USER}:{PASSWORD}".encode()
            right = base64.b64encode(hashlib.sha256(text).digest()).decode()
            if not nonce or read(came) != {"user": USER, "proof": right}:
                return self.no(Says(403, {"error": "no"}))
            return Says(200, {"token": self.issue(), "minutes": LIFETIME / 60})
        return Says(200 if self.good(came.headers.get("x-token")) else 401, {})


KEY = rsa.generate_private_key(65537, 2048)
SPKI = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Encrypted(Strict):
    """`GET key` answers an RSA key (DER in base64) and a stamp; the password comes as password|stamp under it."""

    def answer(self, came: Came) -> Says:
        if came.target == "/key":
            self.stamp = next(self.numbers)
            return Says(200, {"key": base64.b64encode(SPKI).decode(), "stamp": self.stamp})
        if came.target == "/session":
            said = read(came)
            plain = KEY.decrypt(base64.b64decode(said["password"]), padding.PKCS1v15()).decode()
            if (said["identifier"], plain) != (USER, f"{PASSWORD}|{self.stamp}"):
                return self.no(Says(401, {"errorCode": "wrong"}))
            return Says(200, {}, {"X-Security-Token": self.issue()})
        return Says(200 if self.good(came.headers.get("x-security-token")) else 401, {})


class Seats(Strict):
    """One seat: whoever logs in without having logged out is told to come back."""

    ends: ClassVar[bool] = True

    def answer(self, came: Came) -> Says:
        token = came.headers.get("x-token")
        if came.target == "/login":
            if read(came) != CREDENTIALS:
                return self.no(Says(401, {}))
            if self.tokens:
                return Says(200, {"error": "too many sessions", "message": "log out first"})
            return Says(200, {"token": self.issue(), "seconds": LIFETIME})
        if came.target == "/logout":
            assert came.method == "POST"
            return Says(200 if self.tokens.pop(token or "", None) else 401, {})
        return Says(200 if self.good(token) else 401, {})

    def revoke(self) -> None:
        self.tokens = dict.fromkeys(self.tokens, 0.0)


class TooEarly(Strict):
    """A refresh more than 20 s before the token's end is answered "too early"."""

    ends: ClassVar[bool] = True
    early = 0

    def answer(self, came: Came) -> Says:
        if came.target == "/login":
            if read(came) != CREDENTIALS:
                return self.no(Says(401, {}))
            return self.granted()
        if came.target == "/refresh":
            if any(end - self.clock() > 21 for end in self.tokens.values()):
                self.early += 1
                return Says(400, {"error": "too early"})
            if read(came) != {"refresh": self.fresh}:
                return Says(400, {"error": "unknown"})
            return self.granted()
        return Says(200 if self.good(came.headers.get("authorization", "").removeprefix("Bearer ")) else 401, {})

    def granted(self) -> Says:
        self.tokens.clear()
        self.fresh = f"r{next(self.numbers)}"
        return Says(200, {"token": self.issue(), "refresh": self.fresh, "expires_in": LIFETIME})


SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


class Totp(Strict):
    """A second step asks for a code of RFC 6238; a code is good once."""

    given: ClassVar[Mapping[str, Any]] = {**CREDENTIALS, "totp_secret": SEED}

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.used: set[str] = set()

    def answer(self, came: Came) -> Says:
        if came.target == "/login":
            if read(came) != CREDENTIALS:
                return self.no(Says(401, {}))
            self.half = f"half{next(self.numbers)}"
            return Says(200, {"mfa_token": self.half})
        if came.target == "/login/mfa":
            said = read(came)
            right = {self.code(self.clock() + late) for late in (-30, 0, 30)} - self.used
            if said["mfa_token"] != self.half or said["code"] not in right:
                return self.no(Says(401, {}))
            self.used.add(said["code"])
            return Says(200, {"token": self.issue()})
        return Says(200 if self.good(came.headers.get("authorization", "").removeprefix("Bearer ")) else 401, {})

    @staticmethod
    def code(now: float) -> str:
        mac = hmac.new(base64.b32decode(SEED), struct.pack(">Q", int(now // 30)), "sha1").digest()
        at = mac[-1] & 15
        return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


class Switch(Strict):
    """`POST session` opens the default account; `PUT session` changes to another, and gives another token."""

    given: ClassVar[Mapping[str, Any]] = {**CREDENTIALS, "account_id": "B-2"}

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.account: dict[str, str] = {}

    def answer(self, came: Came) -> Says:
        token = came.headers.get("cst", "")
        if came.target == "/session" and came.method == "POST":
            if read(came) != CREDENTIALS:
                return self.no(Says(401, {}))
            token = self.issue()
            self.account[token] = "A-1"
            return Says(200, {}, {"CST": token})
        if came.target == "/session":
            assert (came.method, read(came)) == ("PUT", {"accountId": "B-2"})
            if not self.good(token):
                return Says(401, {})
            self.logins -= 1
            new = self.issue()
            self.account[new] = "B-2"
            del self.tokens[token]
            return Says(200, {}, {"CST": new})
        return Says(200 if self.good(token) and self.account[token] == "B-2" else 401, {})


class Signed(Keyed):
    """X-Sign is base64 of HMAC-SHA256(time, method, path and query, hex SHA-256 of the body), within 30 s."""

    secret = "secret"
    given: ClassVar[Mapping[str, Any]] = {"api_key": "k-1", "secret": "s&cret"}
    wrong: ClassVar[Mapping[str, Any]] = {"secret": "another"}
    path: ClassVar[str] = "orders/%E9?b=2&a=+"
    body: ClassVar[Mapping[str, Any]] = {"content": b'{"a": "\xff"}'}

    def answer(self, came: Came) -> Says:
        now = came.headers["x-time"]
        text = f"{now}{came.method}{came.target}{hashlib.sha256(came.body).hexdigest()}".encode()
        right = base64.b64encode(hmac.new(self.key.encode(), text, "sha256").digest()).decode()
        if (came.headers["x-key"], came.headers["x-sign"]) != ("k-1", right) or abs(int(now) - self.clock()) > 30:
            return self.no(Says(401, {}))
        return Says(200, {"received": len(came.body)})


class Csrf(Strict):
    """Each answer brings the token that the next request must show beside the cookie."""

    def answer(self, came: Came) -> Says:
        if came.target == "/login":
            if dict(parse_qsl(came.body.decode())) != CREDENTIALS:
                return self.no(Says(401, {}))
            self.sid = self.issue().replace("<&>", "")
            self.tokens[self.sid] = self.clock() + LIFETIME
            return self.brought({"Set-Cookie": f"sid={self.sid}; HttpOnly"})
        shown = came.headers.get("x-csrf-token"), came.headers.get("cookie")
        if shown != (self.csrf, f"sid={self.sid}") or not self.good(self.sid):
            return Says(401, {})
        return self.brought({})

    def brought(self, headers: Mapping[str, str]) -> Says:
        self.csrf = f"c{next(self.numbers)}"
        return Says(200, {}, {**headers, "X-CSRF-Token": self.csrf})


class Device(Strict):
    """RFC 8628: a code is shown, and polled for as often as told; the person agrees elsewhere, or refuses."""

    ends: ClassVar[bool] = True

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.given = {"ask": lambda kind, text, url: self.hears(text, url, agrees=True)}  # type: ignore[misc]
        self.wrong = {"ask": lambda kind, text, url: self.hears(text, url, agrees=False)}  # type: ignore[misc]
        self.polled, self.agreed, self.refresh = 0.0, None, ""

    def hears(self, text: str, url: str, *, agrees: bool) -> None:
        assert text == "Go to https://login.example/tv and enter WDJB-MJHT."
        assert url == "https://login.example/tv?user_code=WDJB-MJHT"
        self.agreed = agrees  # type: ignore[assignment]

    def answer(self, came: Came) -> Says:
        form = dict(parse_qsl(came.body.decode()))
        if came.target == "/device_authorization":
            assert form == {"client_id": "a-tv", "scope": "offline_access"}
            self.code, self.polled, self.agreed = f"d{next(self.numbers)}", self.clock(), None
            place = "https://login.example/tv"
            told = {"device_code": self.code, "user_code": "WDJB-MJHT", "verification_uri": place, "interval": 7}
            told |= {"verification_uri_complete": f"{place}?user_code=WDJB-MJHT", "expires_in": 600}
            return Says(200, told)
        if came.target != "/token":
            good = self.good(came.headers.get("authorization", "").removeprefix("Bearer "))
            return Says(200 if good else 401, {})
        if form["grant_type"] == "refresh_token":
            return self.granted() if form["refresh_token"] == self.refresh else Says(400, {"error": "invalid_grant"})
        assert (form["client_id"], form["device_code"]) == ("a-tv", self.code)
        first, late = self.polled == 0.0, self.clock() - self.polled >= 6.9
        pending = Says(400, {"error": "authorization_pending"})
        if not first and not late and self.agreed is None:
            return Says(400, {"error": "slow_down"})
        self.polled = self.clock()
        if self.agreed is False:
            return self.no(Says(400, {"error": "access_denied"}))
        return self.granted() if self.agreed and late else pending

    def granted(self) -> Says:
        self.refresh = f"r{next(self.numbers)}"
        return Says(200, {"access_token": self.issue(), "refresh_token": self.refresh, "expires_in": LIFETIME})


#: By the name of the file in `plugins/README.md`.
SERVERS: Mapping[str, type[Strict]] = {
    "soap": Soap,
    "rpc": Rpc,
    "in-the-path": InThePath,
    "csrf": Csrf,
    "nonce": Nonce,
    "encrypted": Encrypted,
    "seats": Seats,
    "too-early": TooEarly,
    "second-step": Totp,
    "switch": Switch,
    "signed-request": Signed,
    "tv": Device,
}
