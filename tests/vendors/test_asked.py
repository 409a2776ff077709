"""`{request.*}`: what each says of a request, where it may stand, and what it does not see."""

from __future__ import annotations

import hmac
import tomllib
from typing import Any

import pytest

from authflow.errors import ConfigurationError, VendorFileError
from authflow.http import Request
from authflow.renewing.exchanges import _render
from authflow.templates import Unfit
from authflow.vendors import Given, Values
from authflow.vendors.asked import ASKED
from authflow.vendors.derive import FUNCTIONS
from authflow.vendors.loading import load

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


def said(name: str, request: Request) -> str:
    return ASKED[f"request.{name}"](request)


@pytest.mark.parametrize(
    ("name", "url", "value"),
    [
        ("method", "https://a.example/", "POST"),
        ("host", "https://A.example:443/x", "a.example"),
        ("host", "http://localhost:8080/x", "localhost:8080"),
        ("host", "https://[::1]:8443/x", "[::1]:8443"),
        ("path", "https://a.example", "/"),
        ("path", "https://a.example/%E9//b;c?d", "/%E9//b;c"),
        ("query", "https://a.example/?b=+&a=%2f&c", "b=+&a=%2f&c"),
        ("query", "https://a.example/", ""),
        ("target", "https://a.example/x?b=+", "/x?b=+"),
        ("target", "https://a.example/x", "/x"),
        ("sorted", "https://a.example/?b=2&a-=1&a=2&a=1&c&", "a=1&a=2&a-=1&b=2&c"),
        ("params", "https://a.example/?b=2&z=1", "a=0&b=2&c=+&z=1"),
        ("body", "https://a.example/", "c=+&a=0"),
    ],
)
def test_what_a_request_says(name: str, url: str, value: str) -> None:
    assert said(name, Request("post", url, FORM, b"c=+&a=0")) == value


def test_a_body_that_is_no_form_gives_no_parameters() -> None:
    assert said("params", Request("POST", "https://a.example/?b=2", (), b"c=1")) == "b=2"


def test_a_body_that_is_not_there_cannot_be_signed() -> None:
    with pytest.raises(Unfit, match="a stream or a file"):
        said("body", Request("POST", "https://a.example/"))


@pytest.mark.parametrize("body", [b"\x89PNG\r\n\xff\x00", "Köln".encode("latin-1"), "Köln".encode()])
def test_a_body_that_is_no_text_is_signed_byte_for_byte(body: bytes) -> None:
    request = Request("POST", "https://a.example/", (("Content-Type", "image/png"),), body)
    signed = FUNCTIONS["hmac"].compute({"key": "k", "message": said("body", request)}, 0.0)
    assert signed == hmac.new(b"k", body, "sha256").hexdigest()


FILE = """
name = "asked"
base_url = "https://a.example/"
start = "out"
credentials.key = { secret = true }
derive.nonce.uuid4 = ""
derive.sign.hmac = { key = "{key}", message = "{nonce}|{request.method}|{request.target}|{request.body}" }
states.out = { send = "login", ok = "in" }
states.in = { present = {} }
[exchanges.login]
request.url = "login"
request.query = { n = "{nonce}", s = "{sign}" }
request.json = { a = 1, sign = "{sign}" }
request.headers = { X = "{nonce}" }
answers.ok = { status = 200 }
"""


def test_an_exchange_is_signed_without_its_signature() -> None:
    vendor = load(tomllib.loads(FILE))
    values = Values(vendor, Given({"key": "k"}), {}, 0.0)
    exchange = vendor.flow.exchanges["login"]
    request = _render(exchange, values, _render(exchange, values))
    nonce = values["nonce"]
    message = f'{nonce}|POST|/login?n={nonce}|{{"a":1}}'
    mac = vendor.derive["sign"].function.compute({"key": "k", "message": message}, 0.0)
    assert request.url == f"https://a.example/login?n={nonce}&s={mac}"
    assert request.body == b'{"a":1,"sign":"%s"}' % mac.encode()
    assert dict(request.headers)["X"] == nonce


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("{request.method}", "{request.verb}", "unknown value 'request.verb'"),
        ('X = "{nonce}"', 'X = "{request.method}"', r"in \[derive\] only"),
        ('url = "login"', 'url = "login/{sign}"', "looks at the request that goes there"),
        ('base_url = "https://a.example/"', 'base_url = "https://a.example/{sign}/"', "looks at the request"),
    ],
)
def test_where_it_may_not_stand(old: str, new: str, reason: str) -> None:
    assert old in FILE
    with pytest.raises(VendorFileError, match=reason):
        load(tomllib.loads(FILE.replace(old, new, 1)))


def test_headers_alone_cannot_carry_a_signature() -> None:
    import authflow

    raw: dict[str, Any] = {**tomllib.loads(FILE), "start": "in"}
    raw["states"] = {"in": {"present": {"headers": {"X-Sign": "{sign}"}}}}
    raw.pop("exchanges")
    with pytest.raises(ConfigurationError, match="each request is signed"):
        authflow.AuthSession(load(raw), key="k").headers("https://a.example/")
