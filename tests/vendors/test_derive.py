"""`[derive]`: each function against vectors that others computed, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import padding as p
from cryptography.hazmat.primitives.asymmetric import rsa

from authflow.errors import VendorFileError
from authflow.templates.placeholders import Unfit
from authflow.vendors.derive import FUNCTIONS
from authflow.vendors.loading import load

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
SEED_256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA"
SEED_512 = "GEZDGNBVGY3TQOJQ" * 6 + "GEZDGNA"


def compute(function: str, argument: Any, now: float = 0.0) -> Any:
    return FUNCTIONS[function].compute(argument, now)


@pytest.mark.parametrize(
    ("key", "message", "digest", "mac"),
    [  # RFC 4231 §4.2, 4.3, 4.7
        ("0b" * 20, "Hi There", "sha256", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            "4a656665",
            "what do ya want for nothing?",
            "sha256",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "4a656665",
            "what do ya want for nothing?",
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            "aa" * 131,
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "sha256",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_hmac(key: str, message: str, digest: str, mac: str) -> None:
    assert compute("hmac", {"key": key, "key_encoding": "hex", "message": message, "digest": digest}) == mac


@pytest.mark.parametrize(
    ("options", "mac"),
    [
        ({}, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ({"encoding": "base64"}, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
        ({"encoding": "base64url"}, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"),
        (
            {"key": "SmVmZQ", "key_encoding": "base64"},
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_how_keys_and_results_are_spelled(options: dict[str, str], mac: str) -> None:
    assert compute("hmac", {"key": "Jefe", "message": "what do ya want for nothing?", **options}) == mac


@pytest.mark.parametrize(
    ("now", "digest", "seed", "code"),
    [  # RFC 6238 appendix B
        (59, "sha1", SEED, "94287082"),
        (1111111109, "sha1", SEED, "07081804"),
        (1234567890, "sha1", SEED, "89005924"),
        (20000000000, "sha1", SEED, "65353130"),
        (59, "sha256", SEED_256, "46119246"),
        (1111111111, "sha256", SEED_256, "67062674"),
        (59, "sha512", SEED_512, "90693936"),
    ],
)
def test_totp(now: float, digest: str, seed: str, code: str) -> None:
    assert (
        compute("totp", {"secret": seed, "digits": 8, "digest": digest}, now + 0.9 if now % 30 != 29 else now) == code
    )


def test_totp_as_people_paste_it() -> None:
    assert compute("totp", "gezd gnbv-gy3t qojq gezd gnbv gy3t qojq", 59) == "287082"
    assert compute("totp", {"secret": "JBSWY3DPEHPK3PXP====", "period": 60}, 59) == compute(
        "totp", "JBSWY3DPEHPK3PXP", 0
    )


@pytest.mark.parametrize(
    ("function", "digest"),
    [  # FIPS 180-4's "abc"; RFC 1321 appendix A.5
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "sha512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_digests(function: str, digest: str) -> None:
    assert compute(function, "abc") == digest == compute(function, {"message": "abc"})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("epoch", 1700000000),
        ("epoch_ms", 1700000000250),
        ("iso8601", "2023-11-14T22:13:20Z"),
        ("http_date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("%Y%m%dT%H%M%SZ", "20231114T221320Z"),
        ("%s.", None),
    ],
)
def test_now(argument: str, value: Any) -> None:
    if value is not None:
        assert compute("now", argument, 1700000000.25) == value


def test_an_assertion() -> None:
    key = "k" * 32
    made = [
        compute(
            "jwt", {"key": key, "claims": {"iss": "me", "aud": "you"}, "lifetime": "60", "headers": {"kid": "1"}}, 1e9
        )
        for _ in range(2)
    ]
    claims = [jwt.decode(token, key, ["HS256"], audience="you", options={"verify_exp": False}) for token in made]
    assert {name: value for name, value in claims[0].items() if name != "jti"} == {
        "iss": "me",
        "aud": "you",
        "iat": 10**9,
        "exp": 10**9 + 60,
    }
    assert claims[0]["jti"] != claims[1]["jti"]
    assert jwt.get_unverified_header(made[0])["kid"] == "1"


def test_an_assertion_signed_with_a_private_key() -> None:
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = compute("jwt", {"key": pem.decode(), "algorithm": "ES256", "claims": {"sub": "me", "exp": 4102444800}}, 1e9)
    assert jwt.decode(token, private.public_key(), ["ES256"], options={"verify_iat": False})["sub"] == "me"


def test_two_way_functions() -> None:
    for function, argument in (("base64", "alice:tok"), ("basic", ["alice", "p:w"])):
        inverse = FUNCTIONS[function].inverse
        assert inverse is not None
        assert inverse(compute(function, argument)) == argument
    assert compute("basic", ["alice", "p:w"]) == "Basic YWxpY2U6cDp3"


def test_what_differs_each_time() -> None:
    for function, argument in (
        ("uuid4", ""),
        ("random", {}),
        ("random", True),
        ("random", {"encoding": "base64url", "bytes": 8}),
    ):
        assert compute(function, argument) != compute(function, argument)
        assert FUNCTIONS[function].volatile
    assert re.fullmatch("[0-9a-f]{16}", compute("random", 8))
    assert re.fullmatch("[0-9a-f]{32}", compute("random", ""))
    assert re.fullmatch("[0-9a-f-]{36}", compute("uuid4", ""))


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        ("hmac", {"key": "k"}),
        ("hmac", {"key": "k", "message": "m", "digest": "sha0"}),
        ("hmac", {"key": "xyz", "message": "m", "key_encoding": "hex"}),
        ("hmac", {"key": "k", "message": "m", "key_encoding": "base99"}),
        ("hmac", {"key": "k", "message": "m", "encoding": "base99"}),
        ("sha256", {"message": "m", "encoding": "?"}),
        ("totp", "not base 32!"),
        ("totp", {"secret": SEED, "period": 0}),
        ("totp", {}),
        ("now", "soon"),
        ("now", {}),
        ("now", ["%Y"]),
        ("random", 0),
        ("random", 10**12),
        ("random", "many"),
        ("basic", ["one"]),
        ("jwt", {}),
        ("jwt", {"key": "k" * 32, "algorithm": "XX256"}),
        ("jwt", {"key": "no PEM", "algorithm": "RS256"}),
        ("jwt", {"key": "k" * 32, "claims": 7}),
    ],
)
def test_an_argument_that_it_cannot_take(function: str, argument: Any) -> None:
    """Whatever it raises, the values makes it an Unfit that names the function and shows no value."""
    from authflow.vendors.values import Given, Values

    raw = {
        "name": "d",
        "base_url": "https://a.example/",
        "start": "s",
        "settings": {"given": {}},
        "states": {"s": {"present": {"headers": {"X": "{d}"}}}},
    }
    vendor = load({**raw, "derive": {"d": {"base64": "{given}"}}})
    row = vendor.derive["d"]
    broken = type(row)("d", FUNCTIONS[function], function, _Constant(argument))
    object.__setattr__(vendor, "derive", {"d": broken})
    with pytest.raises(Unfit, match=f"^{function} cannot compute d: ([A-Za-z]+|the key does not fit .*)$"):
        Values(vendor, Given({"given": "x"}), {}, 1e9).get("d")


class _Constant:
    optional = False

    def __init__(self, value: Any) -> None:
        self._value = value

    def render(self, values: Any) -> Any:
        return self._value

    def match(self, document: Any, found: Any) -> None:
        raise AssertionError

    def placeholders(self) -> Any:
        return iter(())


@pytest.mark.parametrize("spelled", ["\\n", "\\r\\n"])
def test_a_private_key_whose_line_breaks_are_spelled_out_is_read(spelled: str) -> None:
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    form = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    token = compute("jwt", {"key": pem.replace("\n", spelled), "algorithm": "ES256", "claims": {"sub": "me"}}, 1e9)
    assert token.count(".") == 2


def pem(kind: str) -> str:
    key = rsa.generate_private_key(65537, 2048)
    if kind == "private":
        return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
    return key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({}, p.OAEP(p.MGF1(hashes.SHA1()), hashes.SHA1(), None)),
        ({"digest": "sha256"}, p.OAEP(p.MGF1(hashes.SHA256()), hashes.SHA256(), None)),
        ({"padding": "pkcs1"}, p.PKCS1v15()),
    ],
)
@pytest.mark.parametrize("spelled", ["pem", "pkcs1", "der", "one line"])
def test_rsa(options: dict[str, Any], padding: Any, spelled: str) -> None:
    private = s.load_pem_private_key(pem("private").encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    form = s.PublicFormat.PKCS1 if spelled == "pkcs1" else s.PublicFormat.SubjectPublicKeyInfo
    key = private.public_key().public_bytes(s.Encoding.PEM, form).decode()
    if spelled == "der":
        key = base64.b64encode(private.public_key().public_bytes(s.Encoding.DER, form)).decode()
    if spelled == "one line":
        key = key.replace("\n", "\\n")
    hidden = compute("rsa", {"key": key, "message": "pässword|17", **options})
    assert private.decrypt(base64.b64decode(hidden), padding).decode() == "pässword|17"


@pytest.mark.parametrize("argument", [{"padding": "none"}, {"key": "no key"}, {"message": "x" * 300}])
def test_rsa_refuses(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- some are the library's
        compute("rsa", {"key": pem("public"), "message": "x", **argument})


@pytest.mark.parametrize(
    ("argument", "key"),
    [  # RFC 6070 §2, RFC 7914 §11
        (
            {"password": "password", "salt": "salt", "iterations": 4096, "digest": "sha1"},
            "4b007901b765489abead49d926f721d065a429c1",
        ),
        (
            {"password": "passwd", "salt": "73616c74", "salt_encoding": "hex", "iterations": "1", "length": 64},
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
            "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
        ),
    ],
)
def test_pbkdf2(argument: dict[str, Any], key: str) -> None:
    assert compute("pbkdf2", argument) == key


def test_pbkdf2_refuses() -> None:
    for iterations in (0, 10**9):
        with pytest.raises(ValueError, match="iterations"):
            compute("pbkdf2", {"password": "a", "salt": "b", "iterations": iterations})


def test_the_fingerprint_of_a_key_is_that_of_its_public_half() -> None:
    private = pem("private")
    public = s.load_pem_private_key(private.encode(), None).public_key()
    der = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    wanted = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert compute("fingerprint", private) == compute("fingerprint", base64.b64encode(der).decode()) == wanted
    assert (
        compute("fingerprint", {"key": private, "digest": "sha1", "encoding": "hex"}) == hashlib.sha1(der).hexdigest()
    )


def test_the_case_of_letters() -> None:
    assert (compute("upper", "Straße.x"), compute("lower", "ÄB.C")) == ("STRASSE.X", "äb.c")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"format": "%Y-%m-%d", "offset": "7d"}, "1970-01-08"),
        ({"format": "epoch", "offset": "-5m"}, -300),
        ({"format": "epoch_ms", "offset": 30}, 30000),
        ({"format": "iso8601"}, "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_beside_now(argument: Any, said: Any) -> None:
    assert compute("now", argument) == said


def test_the_key_of_a_jwt_may_be_encoded() -> None:
    key = bytes(range(64, 128))
    token = compute("jwt", {"key": key.hex(), "key_encoding": "hex", "claims": {"a": 1}})
    assert jwt.decode(token, key, ["HS256"], options={"verify_exp": False, "verify_iat": False})["a"] == 1


def test_values_stand_side_by_side_where_only_other_rows_read_them() -> None:
    file = """
extends = "relogin"
name = "adjacent"
base_url = "https://acme.example/"
derive.nonce.uuid4 = ""
derive.blob.base64 = "{nonce}{username}"
derive.proof.sha256 = "{blob}"
[exchanges.login]
request = { url = "auth", headers = { X-Nonce = "{nonce}", X-User = "{username}", X-Sig = "%s", X-P = "{password}" } }
answers.granted = { json = { token = "{access}" } }
"""
    load(tomllib.loads(file % "{proof}"))
    with pytest.raises(VendorFileError, match="nothing stands between"):
        load(tomllib.loads(file % "{blob}{proof}"))
