"""Each preset logs in: a vendor file of ten lines at most extends it, and a server over a socket knows what must come.

The server of a case answers exchanges as its preset's standard says, and data only to a request that carries what that
exchange granted. Each case is told twice: with the right credentials, and with wrong ones, which are sent once.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import authflow
from authflow.vendors.extends import preset_names
from tests.servers import Came, Listener, Says, listening

DENIED = Says(401, {"error": "denied"})
BEARER = Says(200, {"access_token": "t-1", "token_type": "Bearer", "expires_in": 600})
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def form(came: Came) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(came.body.decode(), keep_blank_values=True).items()}


def basic(came: Came) -> str:
    scheme, _, token = came.headers.get("authorization", "").partition(" ")
    return base64.b64decode(token).decode() if scheme == "Basic" else ""


def bearer(came: Came) -> bool:
    return came.headers.get("authorization") == "Bearer t-1"


# --- what each server wants -------------------------------------------------------------------------------------------


def password_login(came: Came) -> Says:
    good = came.path == "/login" and came.body == b'{"user":"demo","word":"open-sesame"}'
    return Says(200, {"token": "t-1", "refresh": "r-1"}) if good else DENIED


def password_grant(came: Came) -> Says:
    wanted = {"grant_type": "password", "username": "demo", "password": "open-sesame", "scope": "all"}
    return BEARER if (basic(came), form(came)) == ("app:app-secret", wanted) else Says(400, {"error": "invalid_grant"})


def client_credentials(came: Came) -> Says:
    good = basic(came) == "app:app-secret" and form(came) == {"grant_type": "client_credentials"}
    return BEARER if good else Says(401, {"error": "invalid_client"})


def refresh_token(came: Came) -> Says:
    good = (basic(came), form(came)) == (
        "app:app-secret",
        {"grant_type": "refresh_token", "refresh_token": "r-1"},
    )
    return BEARER if good else Says(400, {"error": "invalid_grant"})


def jwt_bearer(came: Came) -> Says:
    sent = form(came)
    if sent["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" or "scope" in sent:
        return Says(400, {"error": "unsupported_grant_type"})
    try:
        claims = jwt.decode(
            sent["assertion"],
            KEY.public_key(),
            ["ES256"],
            audience="https://issuer.example",
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
        )
    except jwt.PyJWTError:
        return Says(400, {"error": "invalid_grant"})
    return BEARER if (claims["iss"], claims["sub"]) == ("app", "robot") else DENIED


def token_exchange(came: Came) -> Says:
    wanted = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "theirs",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "reports",
    }
    return BEARER if (basic(came), form(came)) == ("app%3A1:app-secret", wanted) else Says(400, {"error": "x"})


def cookie_login(came: Came) -> Says:
    good = came.path == "/login" and form(came) == {"username": "demo", "password": "open-sesame"}
    return Says(303, headers={"Set-Cookie": "session=t-1; Path=/; HttpOnly", "Location": "/"} if good else {})


def token_server(came: Came) -> Says:
    good = basic(came) == "demo:open-sesame" and came.target == "/token?service=registry&scope=read"
    return Says(200, {"token": "t-1", "expires_in": 60}) if good else DENIED


# --- the cases --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """`wrong` replaces a credential; `exchanges` are the paths that log in; `carried` says whether a request has it."""

    preset: str
    file: str
    given: Mapping[str, Any]
    wrong: Mapping[str, Any]
    says: Callable[[Came], Says] | None = None
    carried: Callable[[Came], bool] = bearer
    challenge: str = ""


USER = {"username": "demo", "password": "open-sesame"}
WRONG = {"password": "open-barley"}
CLIENT = {"client_id": "app", "client_secret": "app-secret"}
LOGIN = """
[exchanges.login]
request = { url = "login", json = { user = "{username}", word = "{password}" } }
answers.granted.json = { token = "{access}" }
"""
REFRESH = """
[exchanges.refresh]
request = { url = "refresh", json = { refresh = "{refresh}" } }
answers.granted.json = { token = "{access}", refresh = "{refresh?}" }
"""
CASES = [
    Case(
        "password",
        LOGIN.replace('"{access}"', '"{access}", refresh = "{refresh}"') + REFRESH,
        USER,
        WRONG,
        password_login,
    ),
    Case("relogin", LOGIN, USER, WRONG, password_login),
    Case("oauth2-password", "", {**USER, **CLIENT, "scope": "all"}, WRONG, password_grant),
    Case("client-credentials", "", CLIENT, {"client_secret": "wrong"}, client_credentials),
    Case(
        "jwt-bearer",
        'settings.algorithm.default = "ES256"\nsettings.audience.default = "https://issuer.example"',
        {"issuer": "app", "subject": "robot", "private_key": pem(KEY)},
        {"private_key": pem(OTHER_KEY)},
        jwt_bearer,
    ),
    Case(
        "token-exchange",
        'settings.audience.default = "reports"',
        {"client_id": "app:1", "client_secret": "app-secret", "subject_token": lambda: "theirs"},
        {"subject_token": "another"},
        token_exchange,
    ),
    Case(
        "api-key", "", {"api_key": "k-1"}, {"api_key": "k-2"}, None, lambda came: came.headers.get("x-api-key") == "k-1"
    ),
    Case("bearer", "", {"token": "t-1"}, {"token": "t-2"}),
    Case(
        "signed",
        'credentials.secret.secret = true\nderive.proof.sha256 = "{secret}"\n'
        'states.signed_in.present = { headers = { X-Proof = "{proof}" } }',
        {"secret": "open-sesame"},
        {"secret": "open-barley"},
        None,
        lambda came: came.headers.get("x-proof") == hashlib.sha256(b"open-sesame").hexdigest(),
    ),
    Case("refresh-token", "", {**CLIENT, "refresh": "r-1"}, {"refresh": "r-2"}, refresh_token),
    Case("basic", "", USER, WRONG, None, lambda came: basic(came) == "demo:open-sesame"),
    Case("session-cookie", "", USER, WRONG, cookie_login, lambda came: came.headers.get("cookie") == "session=t-1"),
    Case(
        "challenge",
        "",
        USER,
        WRONG,
        token_server,
        challenge='Basic realm="other", Bearer realm="{url}/token",service="registry",scope="read"',
    ),
]


#: Those that need a person: `tests/scenarios/test_browser.py` and `test_waiting.py` have their cases.
PERSONS = ("oauth2-code", "oauth2-device")


@dataclass
class Told:
    session: authflow.AuthSession
    listener: Listener

    def get(self) -> httpx.Response:
        with httpx.Client(auth=self.session.httpx, trust_env=False) as client:
            return client.get(f"{self.listener.url}/data")

    def sent(self) -> list[str]:
        """The paths that were asked for since the last look."""
        return [came.path for came in self.listener.seen()]


def begin(case: Case, listener: Listener, **given: Any) -> Told:
    def says(came: Came) -> Says:
        if came.path != "/data":
            assert case.says is not None
            return case.says(came)
        if case.carried(came):
            return Says(200, {"data": 1})
        headers = {"WWW-Authenticate": case.challenge.replace("{url}", listener.url)} if case.challenge else {}
        return Says(401, {}, headers)

    listener.says = says
    file = f'name = "case"\nextends = "{case.preset}"\nbase_url = "{listener.url}/"\n{case.file}'
    assert len(file.strip().splitlines()) <= 10 or case.preset == "password"
    vendor = authflow.vendors.load(tomllib.loads(file))
    urls = {name: f"{listener.url}/token" for name in ("token_url", "token_server") if name in vendor.settings}
    return Told(authflow.AuthSession(vendor, **{**case.given, **urls, **given}), listener)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.preset)
def test_it_logs_in_and_the_token_serves_on(case: Case) -> None:
    with listening() as listener:
        told = begin(case, listener)
        assert told.get().json() == {"data": 1}
        first = told.sent()
        assert told.get().status_code == 200
        assert len([path for path in first if path != "/data"]) == (case.says is not None)
        assert told.sent() == ["/data"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.preset)
def test_wrong_credentials_are_sent_once(case: Case) -> None:
    with listening() as listener:
        told = begin(case, listener, **case.wrong)
        for _ in range(2):
            with pytest.raises(authflow.CredentialsRefused) as refused:
                told.get()
            assert not any(str(value) in str(refused.value) for value in case.wrong.values())
        credentials = [came for came in listener.seen() if came.path != "/data" or case.says is None]
        assert len(credentials) == 1


def test_a_refused_key_is_presented_again_after_the_cool_down_or_when_it_changes() -> None:
    class Clock:
        now = 1_800_000_000.0

        def __call__(self) -> float:
            return self.now

    key, clock = ["k-2"], Clock()
    case = next(case for case in CASES if case.preset == "api-key")
    with listening() as listener:
        told = begin(case, listener, api_key=lambda: key[0], clock=clock)
        for pause in (60, 120):  # it doubles
            for passed in (0, pause - 1):
                clock.now += passed
                with pytest.raises(authflow.CredentialsRefused):
                    told.get()
            assert told.sent() == ["/data"]
            clock.now += 1
        with pytest.raises(authflow.CredentialsRefused):
            told.get()
        key[0] = "k-1"
        assert told.get().status_code == 200


def test_every_preset_has_its_case() -> None:
    assert sorted([*(case.preset for case in CASES), *PERSONS]) == preset_names()


@pytest.mark.parametrize("case", [case for case in CASES if case.challenge], ids=lambda case: case.preset)
def test_a_token_server_elsewhere_gets_no_password(case: Case) -> None:
    with listening() as listener, listening() as thief:
        told = begin(case, listener)
        listener.says = lambda came: Says(401, {}, {"WWW-Authenticate": f'Bearer realm="{thief.url}/token"'})
        with pytest.raises(authflow.UntrustedOrigin):
            told.get()
        assert thief.seen() == []


@pytest.mark.parametrize("case", [*CASES, *(Case(name, "", {}, {}) for name in PERSONS)], ids=lambda case: case.preset)
def test_a_preset_gives_no_cause_for_a_warning(case: Case) -> None:
    file = f'name = "case"\nextends = "{case.preset}"\nbase_url = "https://vendor.example/"\n{case.file}'
    assert authflow.vendors.load(tomllib.loads(file)).warnings == ()


README = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")
SHORTEST = re.findall(
    r"```toml\n(.*?)```", README.partition("## The shortest files")[2].partition("\n## ")[0], re.DOTALL
)


@pytest.mark.parametrize("text", SHORTEST, ids=range(len(SHORTEST)))
def test_the_shortest_files_are_right_and_short(text: str, tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(text)
    assert 2 <= len(text.splitlines()) <= 8
    assert authflow.vendors.load(path).warnings == ()


def test_there_is_one_for_each_common_form() -> None:
    assert len(SHORTEST) == 7
