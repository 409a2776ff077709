"""What is fuzzed: each target takes bytes, and raises nothing but what it promises to raise."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Final

import authflow
from authflow import plugins
from authflow.clients.base import gather
from authflow.clients.deadline import Deadline
from authflow.http import Answer, origin_of, parse_challenges, resolve
from authflow.renewing.environment import NoAnswer, TooLarge
from authflow.templates.converters import CONVERTERS
from authflow.templates.documents import match, render
from authflow.templates.placeholders import Mismatch, TemplateError, Unbound, Unfit
from authflow.vendors.loading import load
from tests.broken_vendors import BASE
from tests.scripted import LADDER, ScriptedVendor
from tests.trust.test_hostile_answers import JWT_LADDER

LADDERS: Final = [plugins.find_vendor(ladder) for ladder in (LADDER, JWT_LADDER)]


def answers(data: bytes) -> None:
    """Status, headers and body of the answer to a login: a token that can be presented, or an error of ours."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.decode("latin-1").split("\n")
    pairs = tuple((name, value) for name, _, value in (line.partition(":") for line in lines))
    vendor = ScriptedVendor()
    vendor.down = Answer(int(status) if re.fullmatch("[1-5][0-9][0-9]", status) else 200, pairs, body)
    for ladder in LADDERS:
        grants = vendor.session(ladder)._manager.grants
        try:
            # In this thread: that is faster, and instrumented.
            given, identity = grants.identity_now()
            record = grants.renewal(grants.watch(), given, identity).carry_out(identity.key, None)
        except authflow.AuthFlowError:
            continue
        for name, value in grants.ready(record).presentation.headers:
            assert (name + value).isascii()
            assert not {"\r", "\n", "\0"} & set(value)


def challenges(data: bytes) -> None:
    """A `WWW-Authenticate` line: challenges, each with its scheme."""
    for challenge in parse_challenges(data.decode("latin-1")):
        assert challenge["scheme"]
        assert all(name == name.lower() for name in challenge)


def templates(data: bytes) -> None:
    """A template, and a document that it is matched with: what was read, rendered again, reads the same."""
    first, _, second = data.partition(b"\n")
    try:
        template, document = json.loads(first), json.loads(second)
    except (ValueError, RecursionError):
        return
    try:
        # Readers are lenient, and some write less finely than they read (`ms`): what was written once stays as it is.
        values = match(template, render(template, match(template, document)))
        again = match(template, render(template, values))
    except (Mismatch, Unbound, Unfit, TemplateError):
        return
    assert json.dumps(again, sort_keys=True) == json.dumps(values, sort_keys=True)


class _File(io.BytesIO):
    """A vendor file in memory."""

    name = "fuzzed.toml"

    def open(self, mode: str) -> _File:
        return self

    def __str__(self) -> str:
        return self.name


def vendor_files(data: bytes) -> None:
    """TOML, laid over a vendor that is right: another such vendor, or findings of one line each."""
    try:
        over = tomllib.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        over = {}
    for source in (_File(data), {**tomllib.loads(BASE), **over}):
        try:
            load(source)  # type: ignore[arg-type]
        except authflow.VendorFileError as error:
            lines = [str(finding) for finding in error.findings]
        else:
            continue
        assert lines
        assert not any("\n" in line for line in lines)


def urls(data: bytes) -> None:
    """A URL, and where it leads from the vendor's: an origin that is the vendor's, or none of its."""
    text = data.decode("utf-8", "replace")
    for url in (text, f"https://{text}"):
        try:
            origin = origin_of(url)
        except ValueError:
            continue
        assert origin.host == origin.host.lower()
        assert origin_of(f"{origin}/") == origin
    with contextlib.suppress(ValueError):
        resolve("https://vendor.example/api/", text)


def packed(data: bytes) -> None:
    """A body, packed in whatever way its first line says."""
    encodings, _, body = data.partition(b"\n")
    with contextlib.suppress(NoAnswer, TooLarge):
        gather(iter([body]), Deadline(60), {"Content-Encoding": encodings.decode("latin-1")})


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (answers, challenges, templates, vendor_files, urls, packed)
}
#: What each begins with.
SEEDS: Final[Mapping[str, list[bytes]]] = {
    "answers": [
        b'200\nDate: Fri, 15 Jan 2027 08:00:00 GMT\n\n{"access": "a", "refresh": "r", "in": 1000}',
        b"503\nRetry-After: 7\n\n",
        b"503\nRetry-After:\x1e7\n\n",
        b'401\nWWW-Authenticate: Bearer realm="x"\n\n{"error": "invalid_grant"}',
    ],
    "challenges": [b'Bearer realm="a, b", scope="c d"; error=x, Negotiate abc==, Digest nonce="\\"q"'],
    "templates": [
        b'{"a": "{x:int}", "b": ["{y?}", "p{z}s"]}\n{"a": "1", "b": [null, "pqs"]}',
        *(f'"{{v:{name}}}"\n"1"'.encode() for name in CONVERTERS),
    ],
    "vendor_files": [BASE.encode()],
    "urls": [b"vendor.example:443/x?y#z", b"//[::1]:80/", "https://b\u00fccher.example".encode()],
    "packed": [b"gzip, deflate\n\x1f\x8b"],
}
