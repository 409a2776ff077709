"""What comes from another library: both columns of each table run, line by line, and are served by the same server.

That the first column runs is what makes the table true.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.readme.snippets import ROOT, replacements, snippets
from tests.servers import Came, Listener, Says, listening

TEXT = (ROOT / "plugins" / "recipes" / "MIGRATION.md").read_text("utf-8")
LIBRARIES = ("Authlib", "requests-oauthlib", "httpx-auth", "google-auth")
HOSTS = (
    "https://acme.example/api",
    "https://acme.example",
    "https://oauth2.googleapis.com",
    "https://storage.googleapis.com",
)
ORDERS = [{"id": 1}]


@pytest.fixture(scope="module")
def private_key() -> str:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


@pytest.fixture
def home(home: Any, private_key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A server that gives tokens to client credentials and to signed assertions, and orders to tokens; and the
    vendor files, which name it, in the working folder.
    """
    for name, value in (("NO_PROXY", "127.0.0.1"), ("AUTHLIB_INSECURE_TRANSPORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    public = serialization.load_pem_private_key(private_key.encode(), None).public_key()

    def admits(came: Came) -> bool:
        form = {name: values[0] for name, values in parse_qs(came.body.decode()).items()}
        if "assertion" in form:
            claims = jwt.decode(form["assertion"], public, ["RS256"], options={"verify_aud": False})  # type: ignore[arg-type]
            return bool(claims["iss"] == "robot@example" and claims["scope"] == "read")
        basic = base64.b64encode(b"id:secret").decode()
        known = came.headers.get("authorization") == f"Basic {basic}" or form.get("client_secret") == "secret"
        return known and form["grant_type"] == "client_credentials"

    def says(came: Came) -> Says:
        if came.path.endswith("/token"):
            granted = {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}
            return Says(json=granted) if admits(came) else Says(400, {"error": "invalid_client"})
        return Says(json=ORDERS) if came.headers.get("authorization") == "Bearer t0ken" else Says(401, {})

    with listening(says) as server:
        for snippet in snippets(TEXT, "toml"):
            name = "acme" if 'name = "acme"' in snippet.code else "google"
            (home / f"{name}.toml").write_text(local(snippet.code, server.url), "utf-8")
        yield server


def local(code: str, url: str) -> str:
    for host in HOSTS:
        code = code.replace(host, url)
    return code


@pytest.mark.parametrize("library", LIBRARIES)
def test_both_columns_are_served(library: str, home: Listener, private_key: str) -> None:
    key = {
        "type": "service_account",
        "client_email": "robot@example",
        "private_key": private_key,
        "token_uri": f"{home.url}/token",
    }
    before: dict[str, Any] = {"KEY": key}
    after: dict[str, Any] = {"KEY": key}
    rows = list(replacements(TEXT, library))
    assert len(rows) >= 5
    for left, right in rows:
        for cell, namespace in ((left, before), (right, after)):
            for code in cell:
                if whole(code):
                    try:
                        exec(compile(local(code, home.url), f"MIGRATION.md ({library})", "exec"), namespace)
                    except ModuleNotFoundError as error:
                        pytest.skip(f"{error.name} is not installed: make recipes")
        if "answer" in before:
            assert before["answer"].json() == ORDERS, left
        if "answer" in after:
            assert after["answer"].json() == ORDERS, right
    for made in [*before.values(), *after.values()]:
        if isinstance(made, requests.Session | httpx.Client):
            made.close()
    assert {"answer"} <= before.keys() & after.keys()
    asked = [came.path.rpartition("/")[2] for came in home.seen()]
    assert asked.count("token") == 2, "one token for each column"


def whole(code: str) -> bool:
    """Is it a line to run, and no keyword argument or clause that is merely named?"""
    try:
        compile(code, "cell", "exec")
    except SyntaxError:
        return False
    return code.startswith(("import ", "from ")) or " = " in code or "(" in code
