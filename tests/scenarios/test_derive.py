"""Values that are computed when a request is rendered, checked by a server that computes them too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authflow.templates.converters import CONVERTERS
from tests.scenarios.stage import FRAME, Stage

#: The secret of RFC 6238's appendix B, whose codes are known.
TOTP_SECRET = base64.b32encode(b"12345678901234567890").decode()


@dataclass(frozen=True)
class Case:
    name: str
    function: str
    right: Callable[[str], object]


def digest(name: str, text: str) -> str:
    return hashlib.new(name, text.encode()).hexdigest()


def keyed(text: str, name: str = "sha256") -> bytes:
    return hmac.new(b"s3cret", text.encode(), name).digest()


def near(value: float) -> bool:
    return abs(value - time.time()) < 60


CASES = [
    Case("base64", 'base64 = "{user}:{word}"', lambda v: v == "ZGVtbzpzM2NyZXQ="),
    Case("basic", 'basic = ["{user}", "{word}"]', lambda v: v == "Basic ZGVtbzpzM2NyZXQ="),
    Case("sha256", 'sha256 = "{user}{word}"', lambda v: v == digest("sha256", "demos3cret")),
    Case("sha1", 'sha1 = "{word}"', lambda v: v == digest("sha1", "s3cret")),
    Case("md5", 'md5 = "{word}"', lambda v: v == digest("md5", "s3cret")),
    Case(
        "sha512 in base64",
        'sha512 = { message = "{word}", encoding = "base64" }',
        lambda v: base64.b64decode(v) == hashlib.sha512(b"s3cret").digest(),
    ),
    Case("hmac", 'hmac = { key = "{word}", message = "{user}" }', lambda v: v == keyed("demo").hex()),
    Case(
        "hmac, told how",
        'hmac = { key = "{word}", message = "a/{user}", digest = "sha1", encoding = "base64" }',
        lambda v: v == base64.b64encode(keyed("a/demo", "sha1")).decode(),
    ),
    Case("now in epoch seconds", 'now = "epoch"', lambda v: near(int(v))),
    Case("now in milliseconds", 'now = "epoch_ms"', lambda v: near(int(v) / 1000)),
    Case("now as ISO 8601", 'now = "iso8601"', lambda v: near(CONVERTERS["iso8601"].read(v))),
    Case("now as HTTP date", 'now = "http_date"', lambda v: near(CONVERTERS["http_date"].read(v))),
    Case(
        "now in a format",
        'now = "%Y%m%dT%H%M%SZ"',
        lambda v: near(datetime.strptime(v, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()),
    ),
    Case("uuid4", 'uuid4 = ""', lambda v: re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}", v)),
    Case("random", 'random = { bytes = 8, encoding = "hex" }', lambda v: re.fullmatch(r"[0-9a-f]{16}", v)),
    Case("derived from a derived one", 'sha256 = "{inner}"', lambda v: v == digest("sha256", "ZGVtbw==")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_server_computes_the_same(stage: Stage, case: Case) -> None:
    came = sent_with(stage, case.function)
    assert case.right(came)


def sent_with(stage: Stage, function: str, **given: Any) -> str:
    """The derived value as it came in, in a header."""
    file = FRAME.replace(
        'method = "POST", url = "login"', 'method = "POST", url = "login", headers = { X-V = "{value}" }'
    )
    inputs = 'credentials.user = { default = "demo" }\ncredentials.word = { default = "s3cret", secret = true }\n'
    file = file.replace("[exchanges.login]", f"{inputs}[exchanges.login]", 1)
    stage.load(f'{file}[derive]\nvalue = {{ {function} }}\ninner = {{ base64 = "{{user}}" }}\n', **given)
    stage.session.token()
    (came,) = stage.sent()
    return came.headers["x-v"]


@pytest.mark.parametrize(
    ("at", "code"), [(59, "94287082"), (1111111109, "07081804"), (1234567890, "89005924"), (20000000000, "65353130")]
)
def test_totp_gives_the_codes_of_rfc_6238(stage: Stage, at: float, code: str) -> None:
    stage.clock.ahead = at - time.time()
    assert sent_with(stage, f'totp = {{ secret = "{TOTP_SECRET}", digits = 8 }}') == code


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("algorithm", ["HS256", *KEYS])
def test_an_assertion_verifies_with_the_public_key(stage: Stage, algorithm: str) -> None:
    key = pem(KEYS[algorithm]) if algorithm in KEYS else "k" * 32
    public = KEYS[algorithm].public_key() if algorithm in KEYS else key
    table = f'key = "{{word}}", algorithm = "{algorithm}", lifetime = 60, claims = {{ iss = "{{user}}", aud = "them" }}'
    assertions = [sent_with(stage, f'jwt = {{ {table}, headers = {{ kid = "k-1" }} }}', word=key) for _ in range(2)]
    claims = [jwt.decode(each, public, [algorithm], audience="them") for each in assertions]
    assert claims[0]["iss"] == "demo"
    assert claims[0]["exp"] - claims[0]["iat"] == 60
    assert claims[0]["jti"] != claims[1]["jti"]
    assert jwt.get_unverified_header(assertions[0])["kid"] == "k-1"
