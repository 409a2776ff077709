"""Answers that no honest server gives: endless, swollen, dripping, broken or absurd. An error of ours, soon, always."""

from __future__ import annotations

import base64
import functools
import gzip
import itertools
import json
import socket
import threading
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import authflow
from authflow import plugins
from authflow.clients import default_sender
from authflow.clients.base import MAX_ANSWER, gather
from authflow.clients.deadline import Deadline
from authflow.http import Answer, Request
from authflow.renewing.environment import NoAnswer, TooLarge
from tests.clients.drivers import DRIVERS
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor
from tests.servers import listening
from tests.trust.wire import Writes, head, ladder_at, saying, writing

LIBRARIES = sorted({driver.library for driver in DRIVERS})
GRANTED = b'{"access": "a-token", "in": 1000}'


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def asked(library: str, url: str, timeout: float = 10.0) -> Answer:
    return default_sender(library).exchange(Request("POST", f"{url}/login", body=b"{}"), timeout)


# --- too much ---------------------------------------------------------------------------------------------------------


def pouring(*headers: str, chunk: bytes = b"x" * 65536) -> tuple[Writes, list[int]]:
    """A server that writes for as long as anybody takes it, up to a gigabyte; and how many bytes were taken."""
    taken = [0]

    def writes(connection: socket.socket) -> None:
        connection.sendall(head(*headers))
        while taken[0] < 1 << 30:
            connection.sendall(chunk)
            taken[0] += len(chunk)

    return writes, taken


@pytest.mark.parametrize("headers", [[], [f"Content-Length: {1 << 30}"]], ids=["endless", "announced"])
def test_a_gigabyte_is_cut_at_a_megabyte(library: str, headers: list[str]) -> None:
    writes, taken = pouring(*headers)
    with writing(writes) as url, pytest.raises(TooLarge):
        asked(library, url)
    assert taken[0] < 16 * MAX_ANSWER  # what had been on its way


@functools.cache
def bomb(levels: int) -> bytes:
    """A hundred megabytes of blanks, packed; and packed once more."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(100)) + packer.flush()
    for _ in range(levels - 1):
        packed = gzip.compress(packed)
    return packed


@pytest.mark.parametrize("levels", [1, 2])
def test_what_was_packed_is_not_unpacked_beyond_a_megabyte(library: str, levels: int) -> None:
    packed = bomb(levels)
    encoding = ", ".join(["gzip"] * levels)
    assert len(packed) < MAX_ANSWER
    with (
        writing(saying(head(f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}"), packed)) as url,
        pytest.raises(TooLarge),
    ):
        asked(library, url)


def test_an_answer_that_is_packed_though_nobody_asked_is_read(library: str) -> None:
    bare = zlib.compress(GRANTED)[2:-4]  # as many servers understand "deflate"
    packs = ((gzip.compress(GRANTED), "gzip"), (zlib.compress(GRANTED), "deflate"), (bare, "deflate"))
    for packed, encoding in packs:
        with writing(saying(head(f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}"), packed)) as url:
            assert asked(library, url).json["access"] == "a-token"


def test_what_cannot_be_unpacked_is_not_asked_for(library: str) -> None:
    with listening() as listener:
        asked(library, listener.url)
        (came,) = listener.seen()
    assert came.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["br", "zstd"])
@pytest.mark.parametrize(
    "granted", [{"json": {"t": "{access}"}}, {"text": "{access}"}], ids=lambda row: next(iter(row))
)
def test_an_error_names_the_coding_that_nobody_reads(
    vendor: ScriptedVendor, coding: str, granted: dict[str, Any]
) -> None:
    vendor.says("login", Answer(200, (("Content-Encoding", coding),), b"\x0b\x00\x80{\x03"))
    login = {
        "request": {"url": "login", "form": {"u": "{username}", "p": "{password}"}},
        "answers": {"granted": granted},
    }
    file = {"name": "packed", "extends": "relogin", "base_url": LADDER["base_url"], "exchanges": {"login": login}}
    with pytest.raises(authflow.VendorAnswerError, match=f"5 bytes packed as {coding}.*Accept-Encoding"):
        vendor.session(file).token()


# --- too little, too slow ---------------------------------------------------------------------------------------------

HALF: dict[str, bytes] = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "no body": head("Content-Length: 33"),
    "half a body": head("Content-Length: 33") + GRANTED[:20],
    "half a chunk": head("Transfer-Encoding: chunked") + b"21\r\n" + GRANTED[:20],
    "no last chunk": head("Transfer-Encoding: chunked") + b"21\r\n" + GRANTED + b"\r\n",
    "half of what was packed": head("Content-Encoding: gzip") + gzip.compress(GRANTED)[:-10],
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("said", HALF.values(), ids=[name.replace(" ", "_") for name in HALF])
def test_half_an_answer_is_none_and_the_refresh_token_counts_as_spent(library: str, said: bytes) -> None:
    with writing(saying(said)) as url, pytest.raises(NoAnswer) as caught:
        asked(library, url)
    assert caught.value.sent


@pytest.mark.parametrize("slow", ["body", "headers"])
def test_callers_do_not_wait_longer_than_the_timeout(library: str, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then, so that no single read takes long."""
    monkeypatch.setattr("authflow.manager.cache.GRACE", 0.2)
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 10000") if slow == "body" else b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(200):
            if ended.wait(0.05):
                return
            connection.sendall(b"x")

    with writing(drip) as url:
        session = authflow.AuthSession(
            ladder_at(url), username="u", password="p", timeout=0.5, client=default_sender(library)
        )
        started = time.monotonic()
        with pytest.raises(authflow.VendorUnavailable):
            session.token()
        assert time.monotonic() - started < 4
        ended.set()


# --- absurd -----------------------------------------------------------------------------------------------------------

ABSURD: dict[str, bytes] = {
    "deep lists": b"[" * 100_000,
    "deep tables": b'{"access":' * 50_000,
    "not UTF-8": b'{"access": "\xff\xfe"}',
    "half a character": b'{"access": "\\ud800"}',
    "a line break": b'{"access": "a\\r\\nX-Injected: yes"}',
    "a NUL": b'{"access": "a\\u0000b"}',
    "not ASCII": b'{"access": "\xe2\x80\xa8"}',
    "a list": b'{"access": ["a"]}',
    "a table": b'{"access": {"a": 1}}',
    "blank": b'{"access": " "}',
    "empty": b'{"access": ""}',
    "more behind": b'{"access": "a"} and more',
}


@pytest.mark.parametrize("body", ABSURD.values(), ids=[name.replace(" ", "_") for name in ABSURD])
def test_an_absurd_answer_is_an_error_and_nothing_of_it_is_kept(vendor: ScriptedVendor, body: bytes) -> None:
    session = vendor.session()
    vendor.says("login", Answer(200, (), body))
    with pytest.raises(authflow.VendorAnswerError) as caught:
        session.token()
    assert (caught.value.vendor, caught.value.exchange) == ("ladder", "login")
    assert session.status().state == "signed_out"
    vendor.clock.now += 61  # what nobody understands makes the account wait
    assert session.token().access == "access-1"


@pytest.mark.parametrize("body", [b'{"access": "a\\nb", "refresh": "new"}', b'{"access": [1], "refresh": "new"}'])
def test_a_refresh_that_brings_what_cannot_be_presented_has_cost_its_token(vendor: ScriptedVendor, body: bytes) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", Answer(200, (), body))
    with pytest.raises(authflow.VendorAnswerError, match="refresh"):
        session.token()
    vendor.clock.now += 2
    assert session.token().access == "access-2"
    assert vendor.names == ["login", "refresh", "login"]


def test_of_a_key_that_is_there_twice_one_value_is_taken_everywhere(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", Answer(200, (), b'{"access": "one", "access": "two", "in": 1000}'))
    assert session.token().access == "two"
    entry = session._manager.authorize(URL)
    assert entry.grant is not None
    assert dict(entry.grant.presentation.headers) == {"Authorization": "Bearer two"}


_texts = st.text(max_size=30) | st.sampled_from(["a\r\nb", "eyJhbGciOiJub25lIn0.e30.", "1e5", "12", "é"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["access", "in", "x"]), inner),
    max_leaves=8,
)
_documents = (
    st.fixed_dictionaries({}, optional={"access": _values, "refresh": _values, "in": _values, "token": _values})
    | _values
)
_bodies = _documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=200)
_headers = st.lists(
    st.tuples(
        st.sampled_from(["Date", "Retry-After", "Set-Cookie", "WWW-Authenticate", "Location", "Content-Type"]),
        st.text(max_size=40),
    ),
    max_size=4,
).map(tuple)
_answers = st.builds(Answer, st.integers(100, 599), _headers, _bodies)
JWT_LADDER = {
    **LADDER,
    "exchanges": {
        **LADDER["exchanges"],
        "login": {
            **LADDER["exchanges"]["login"],
            "answers": {
                "granted": {
                    "status": 200,
                    "json": {"access": "{access:jwt}", "refresh": "{refresh?}", "in": "{expires_in:int?}"},
                },
                "cookie": {"cookies": {"sid": "{access}"}},
            },
        },
    },
    "states": {
        **LADDER["states"],
        "signed_out": {"send": "login", "granted": "signed_in", "cookie": "signed_in", "denied": "refused"},
    },
}
LADDERS = {"opaque": plugins.find_vendor(LADDER), "jwt": plugins.find_vendor(JWT_LADDER)}


@pytest.mark.parametrize("ladder", LADDERS.values(), ids=LADDERS)
@settings(max_examples=150, deadline=None)
@given(answers=st.lists(_answers, min_size=1, max_size=3))
def test_whatever_is_answered_a_token_or_an_error_of_ours_comes_out(ladder: Any, answers: list[Answer]) -> None:
    vendor = ScriptedVendor()
    session = vendor.session(ladder)
    for answer, name in itertools.product(answers, ("login", "refresh")):
        vendor.says(name, answer)
    for _ in range(len(answers)):
        try:
            token = session.token()
        except authflow.AuthFlowError:
            pass
        else:
            assert token.access.strip()
            assert token.expires_at is None or token.expires_at > vendor.clock.now
            entry = session._manager.authorize(URL)
            assert entry.grant is not None
            for name, value in entry.grant.presentation.headers:
                assert (name + value).isascii()
                assert not {"\r", "\n", "\0"} & set(value)
        vendor.clock.now += 4000
    vendor.script.clear()
    vendor.clock.now += 4000
    if ladder is LADDERS["opaque"]:
        assert session.login().access


def _segment(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@settings(max_examples=150, deadline=None)
@given(header=_documents | st.fixed_dictionaries({"alg": _values, "crit": _values, "b64": _values}), claims=_documents)
def test_a_jwt_is_a_hint_or_no_jwt_and_never_a_crash(header: Any, claims: Any) -> None:
    vendor = ScriptedVendor()
    vendor.says("login", 200, {"access": f"{_segment(header)}.{_segment(claims)}.{_segment('x')}"})
    session = vendor.session(LADDERS["jwt"])
    try:
        assert session.token().access
    except authflow.AuthFlowError:
        assert session.status().state == "signed_out"


def test_gathering_looks_at_the_clock_and_the_size_after_each_piece() -> None:
    with pytest.raises(TooLarge):
        gather(iter([b"x" * MAX_ANSWER, b"x"]), Deadline(10), {})
    with pytest.raises(NoAnswer, match="took too long"):
        gather(itertools.repeat(b"x"), Deadline(-1), {})
    assert gather(iter([b"x"]), Deadline(-1), {"Content-Length": "1"}) == b"x"
    with pytest.raises(NoAnswer, match="ends too early"):
        gather(iter([b"x"]), Deadline(10), {"Content-Length": "2"})


def test_unpacking_takes_no_more_memory_than_an_answer_may() -> None:
    packed = bomb(2)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            gather(iter([packed]), Deadline(10), {"Content-Encoding": "gzip, gzip"})
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_ANSWER
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", ["token", "token=", '{"token":', "a1", "<", "p4ss-word", "password "])
def test_masking_a_whole_megabyte_takes_no_time(vendor: ScriptedVendor, piece: str) -> None:
    session = vendor.session(password="p4ss-word")
    vendor.says("login", Answer(418, (), (piece * MAX_ANSWER).encode()[:MAX_ANSWER]))
    started = time.process_time()
    with pytest.raises(authflow.VendorAnswerError) as caught:
        session.token()
    assert time.process_time() - started < 5
    assert len(str(caught.value)) < 2000
