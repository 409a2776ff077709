"""HMACs over the request, in the shapes in which services want them, over every client: a strict server computes each
anew from what came over the wire.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from authflow import AuthSession
from tests.clients.drivers import Driver
from tests.servers import Came, Listener, Says

Listen = Callable[..., Listener]
SECRET = base64.b64encode(b"thirty-two bytes, known to both.").decode()


class Shape(NamedTuple):
    """What the file says, and what its server wants to see signed."""

    derive: dict[str, Any]
    headers: dict[str, str]
    right: Callable[[Came], bool]


def code(text: str | bytes, name: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    return hmac.digest(key, text.encode("latin-1") if isinstance(text, str) else text, name)


def said(came: Came, name: str) -> str:
    return came.headers.get(name, "")


def query(came: Came) -> str:
    return came.target.partition("?")[2]


def ordered(*texts: str) -> str:
    parts = [part for text in texts for part in text.split("&") if part]
    return "&".join(sorted(parts, key=lambda part: part.split("=")))


def by_date(came: Came) -> bool:
    body = hashlib.sha256(came.body).hexdigest()
    text = f"{came.method}\n{came.path}\n{said(came, 'x-date')}\n{body}"
    return said(came, "authorization") == f"ACME demo:{code(text, 'sha512').hex()}" and "GMT" in said(came, "x-date")


def by_content(came: Came) -> bool:
    digest = base64.b64encode(hashlib.md5(came.body).digest()).decode()
    wanted = base64.b64encode(code(f"{came.method}{digest}{came.target}", "sha1")).decode()
    return (said(came, "content-md5"), said(came, "x-sign")) == (digest, wanted)


def by_parameters(came: Came) -> bool:
    form = came.body.decode("latin-1") if "form-urlencoded" in said(came, "content-type") else ""
    host = said(came, "host")
    return said(came, "x-sign") == code(f"{came.method}{host}{came.path}?{ordered(query(came), form)}").hex()


def by_query(came: Came) -> bool:
    return said(came, "x-sign") == code(f"{came.path}|{ordered(query(came))}|{said(came, 'x-once')}").hex()


def by_layers(came: Came) -> bool:
    inner = hashlib.sha256(said(came, "x-once").encode() + came.body).hexdigest()
    outer = code(f"{came.path}{inner}", "sha512", base64.b64decode(SECRET))
    return said(came, "x-sign") == base64.b64encode(outer).decode()


def by_raw_body(came: Came) -> bool:
    return said(came, "x-sign") == code(said(came, "x-time").encode() + b"." + came.body).hex()


def signed(message: str, **more: str) -> dict[str, Any]:
    return {"hmac": {"key": "{secret}", "message": message, **more}}


SHAPES = {
    "date, path and the body's hash": Shape(
        {
            "date": {"now": "http_date"},
            "hash": {"sha256": "{request.body}"},
            "made": signed("{request.method}\n{request.path}\n{date}\n{hash}", digest="sha512"),
        },
        {"X-Date": "{date}", "Authorization": "ACME {api_key}:{made}"},
        by_date,
    ),
    "Content-MD5": Shape(
        {
            "content": {"md5": {"message": "{request.body}", "encoding": "base64"}},
            "made": signed("{request.method}{content}{request.target}", digest="sha1", encoding="base64"),
        },
        {"Content-MD5": "{content}", "X-Sign": "{made}"},
        by_content,
    ),
    "host and all parameters": Shape(
        {"made": signed("{request.method}{request.host}{request.path}?{request.params}")},
        {"X-Sign": "{made}"},
        by_parameters,
    ),
    "the query in order, and a number": Shape(
        {"once": {"uuid4": ""}, "made": signed("{request.path}|{request.sorted}|{once}")},
        {"X-Once": "{once}", "X-Sign": "{made}"},
        by_query,
    ),
    "a hash inside, a key in base64": Shape(
        {
            "once": {"now": "epoch_ms"},
            "inner": {"sha256": "{once}{request.body}"},
            "made": signed("{request.path}{inner}", digest="sha512", key_encoding="base64", encoding="base64"),
        },
        {"X-Once": "{once}", "X-Sign": "{made}"},
        by_layers,
    ),
    "time and the body as it is": Shape(
        {"time": {"now": "epoch"}, "made": signed("{time}.{request.body}")},
        {"X-Time": "{time}", "X-Sign": "{made}"},
        by_raw_body,
    ),
}

#: Paths and queries that clients, and signers, spell in more than one way.
TARGETS = (
    "/v1/orders",
    "/v1/orders?b=2&a=1&a=0&c=",
    "/v1/a%20b/%C3%A9?q=x%2By&r=a+b&s=%7E~",
    "/v1/orders?flag&z=a=b&%5Bfilter%5D=%C3%BC#part",
    "/?" + quote("schlüssel") + "=" + quote("wert/ü"),
)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=[name.replace(" ", "_") for name in SHAPES])
def test_the_server_computes_the_same(client: Driver, shape: Shape, listen: Listen) -> None:
    wrong: list[Came] = []

    def says(came: Came) -> Says:
        if came.path == "/moved":
            return Says(307 if shape.right(came) else 401, headers={"Location": "/v2/orders?there=1"})
        if not shape.right(came):
            wrong.append(came)
        return Says(401 if came in wrong else 200)

    url = listen(says).url
    vendor = {
        "name": "hashed",
        "extends": "api-key",
        "base_url": f"{url}/",
        "credentials": {"secret": {"secret": True}},
        "derive": shape.derive,
        "states": {"signed_in": {"present": {"headers": {"X-Key": "{api_key}", **shape.headers}}}},
    }
    one = AuthSession(vendor, api_key="demo", secret=SECRET)
    for target in TARGETS:
        assert client.call(one, url + target).status == 200, target
        for body in ({"json": {"name": "Jäsøn", "n": [1, 2]}}, {"data": {"a": "1", "b": "x y+ü"}}):
            assert client.call(one, url + target, "POST", **body).status == 200, (target, body)
    raw = "content" if client.library in ("httpx", "httpx2") else "data"
    for content in (b"", b"\x00\xff\xfe not text", json.dumps({"ü": 1}, ensure_ascii=False).encode()):
        assert client.call(one, f"{url}/v1/raw", "PUT", **{raw: content}).status == 200, content
    assert client.call(one, f"{url}/moved", "POST", **{raw: b"moved along"}).status == 200
    assert wrong == []
