# ruff: noqa: E501 -- tables keep their rows
"""The rules of HTTP that the flow needs: challenges, cookies, dates, origins, bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.http import (
    Answer,
    Presentation,
    Request,
    add_query,
    encode_form,
    folder,
    form_quote,
    header_value,
    is_loopback,
    origin_of,
    parse_challenges,
    without_query,
)

# --- challenges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "challenges"),
    [
        ("Basic", [{"scheme": "Basic"}]),
        ("Bearer realm=x", [{"scheme": "Bearer", "realm": "x"}]),
        ('bearer REALM="x"', [{"scheme": "bearer", "realm": "x"}]),
        ('Basic realm="a\\"b\\\\c"', [{"scheme": "Basic", "realm": 'a"b\\c'}]),
        ('Basic realm=""', [{"scheme": "Basic", "realm": ""}]),
        ('Bearer a = b , c= "d"', [{"scheme": "Bearer", "a": "b", "c": "d"}]),
        (
            'Basic realm="x", Bearer realm="y", error="invalid_token"',
            [{"scheme": "Basic", "realm": "x"}, {"scheme": "Bearer", "realm": "y", "error": "invalid_token"}],
        ),
        (
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                {"scheme": "Newauth", "realm": "apps", "type": "1", "title": 'Login to "apps"'},
                {"scheme": "Basic", "realm": "simple"},
            ],
        ),
        ("Negotiate YWJj==, NTLM", [{"scheme": "Negotiate", "token68": "YWJj=="}, {"scheme": "NTLM"}]),
        (" ,, , Bearer ,", [{"scheme": "Bearer"}]),
        (
            'Bearer scope="repository:a/b:pull,push",service="s"',
            [{"scheme": "Bearer", "scope": "repository:a/b:pull,push", "service": "s"}],
        ),
        ("Bearer realm=https://x/y?z=1,service=s", [{"scheme": "Bearer", "realm": "https://x/y?z=1", "service": "s"}]),
        ('Digest realm="x" nonce="y" Basic', [{"scheme": "Digest", "realm": "x", "nonce": "y"}, {"scheme": "Basic"}]),
        ('Bearer realm="x";error="y"', [{"scheme": "Bearer", "realm": "x", "error": "y"}]),
        ('A x=1, x=2, scheme="B"', [{"scheme": "A", "x": "1"}]),
        ('Bearer realm="never closed, Basic realm="b"', [{"scheme": "Bearer"}, {"scheme": "Basic", "realm": "b"}]),
        ("=x, Basic", [{"scheme": "Basic"}]),
        ("", []),
        ('"', []),
    ],
)
def test_challenges(line: str, challenges: list[dict[str, str]]) -> None:
    assert parse_challenges(line) == challenges


def test_challenges_of_several_lines() -> None:
    answer = Answer(401, (("WWW-Authenticate", "Basic"), ("www-authenticate", "Bearer a=b")))
    assert [challenge["scheme"] for challenge in answer.challenges] == ["Basic", "Bearer"]


@given(st.text('Bearer="\\, \t;x', max_size=200) | st.text(max_size=200))
def test_any_line_has_some_challenges(line: str) -> None:
    assert all(challenge["scheme"] for challenge in parse_challenges(line))


@pytest.mark.parametrize("piece", ['a="', "a ", "a=b ", 'a="\\', ',a="', "a==", " ,", "a" * 50 + "="])
def test_a_long_line_takes_no_time(piece: str) -> None:
    import time

    def cost(size: int) -> float:
        begun = time.process_time()
        parse_challenges(piece * (size // len(piece)))
        return time.process_time() - begun

    assert cost(1 << 18) < max(0.5, 20 * min(cost(1 << 15) for _ in range(3)))


# --- cookies ----------------------------------------------------------------------------------------------------------

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1; Path=/; Secure", "b=x=y; HttpOnly"], {"a": "1", "b": "x=y"}),
        (["a="], {"a": ""}),
        (["a=1", "a=2"], {"a": "2"}),
        (['a="q"'], {"a": '"q"'}),
        (["a=1; Max-Age=0"], {}),
        (["a=1; max-age=-1"], {}),
        (["a=1; Max-Age=000"], {}),
        (["a=1; Max-Age=60"], {"a": "1"}),
        (["a=1; Max-Age=" + "9" * 6000], {"a": "1"}),
        (["a=1; Max-Age=soon"], {"a": "1"}),
        (["a=1", "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], {}),
        (["a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], {}),
        (["a=1; Expires=Thu, 01-Jan-70 00:00:01 GMT"], {}),
        (["a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT"], {"a": "1"}),
        (["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"], {"a": "1"}),
        (["a=1; Expires=never"], {"a": "1"}),
        (["nonsense", "=x", ""], {}),
    ],
)
def test_cookies(lines: list[str], cookies: dict[str, str]) -> None:
    assert Answer(200, tuple(("Set-Cookie", line) for line in lines), received=NOW).cookies == cookies


def test_a_cookie_dies_by_the_vendors_clock() -> None:
    line = ("Set-Cookie", "a=1; Expires=Sun, 06 Nov 1994 08:50:00 GMT")
    assert Answer(200, (line, ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")), received=NOW).cookies == {"a": "1"}
    assert Answer(200, (line,), received=NOW).cookies == {}


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("1994-11-06T08:50:37Z", 60),
        ("+30", 30),
        ("30 seconds", 30),
        ("30, 60", 30),
        ("30; comment=busy", 30),
        ('"120"', 120),
        ("'120'", 120),
        ('"Sun, 06 Nov 1994 08:50:37 GMT"', 60),
        ("120s", 120),
        ("120.5", 120.5),
        ("2m", 120),
        ("2 minutes", 120),
        ("1h 30m", 5400),
        ("1 day", 86400),
        ("1500ms", 1.5),
        ("120 ms", 0.12),
        ("PT2M", 120),
        ("PT1H2M3S", 3723),
        ("P1DT2H", 93600),
        ("2m, 120", 120),
        ("\u0661\u0662", None),
        ("12 34", None),
        ("m", None),
        ("PT", None),
        ('"', None),
        ("9" * 24, 1e24),
        ("soon", None),
        ("", None),
        ("1e400", None),
        ("-1", None),
        ("1" * 400, None),
    ],
)
def test_retry_after(header: str, wait: float | None) -> None:
    answer = Answer(503, (("retry-after", header), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")), received=NOW)
    assert answer.retry_after == wait


def test_of_several_fields_the_first_that_can_be_read_counts() -> None:
    answer = Answer(429, (("Retry-After", "soon"), ("Retry-After", "120"), ("Retry-After", "90")))
    assert answer.retry_after == 120


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert Answer(200, (("Date", "Sun Nov  6 08:49:37 1994"),)).date == 784111777
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_body_is_read_when_it_is_asked_for_and_once() -> None:
    reads: list[bytes] = []

    def body() -> bytes:
        reads.append(b"once")
        return b'\xef\xbb\xbf{"a": 1}'

    answer = Answer(200, (), body)
    assert not reads
    assert answer.json == {"a": 1}
    assert answer.text.endswith('{"a": 1}')
    assert reads == [b"once"]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"{}x"])
def test_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        _ = Answer(200, (), body).json


def test_nothing_secret_is_shown() -> None:
    secret = "s3cr3t"
    shown = [
        repr(Request("POST", f"https://a.example/x?t={secret}", (("A", secret),), secret.encode())),
        repr(Answer(200, (("A", secret),), secret.encode())),
        repr(Presentation((("A", secret),), (("c", secret),), (("q", secret),), {"j": secret}, (("f", secret),))),
        without_query(f"https://user:{secret}@a.example/x?t={secret}#{secret}"),
    ]
    assert not any(secret in text for text in shown)


# --- origins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example/x", "https://a.example"),
        ("HTTPS://a.example:443", "https://a.example"),
        ("https://a.example.:8443/", "https://a.example:8443"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://a_b.example/", "https://a_b.example"),
    ],
)
def test_origins(url: str, origin: str) -> None:
    assert str(origin_of(url)) == origin


@pytest.mark.parametrize(
    "url",
    ["", "a", "/x", "ftp://a/", "https://", "https:///x", "https://u@a/", "https://u:p@a/", "https://a\\@b/", "https://a b/", "https://a\n/",
     "https://a:x/", "https://a:99999/", "https://[::1", "https://[x]/", "https://a..b/", "https://-a/", "https://a%2eb/", "//a/b", "https://é" + "x" * 80],
)  # fmt: skip
def test_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        origin_of(url)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- bodies and URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "as_folder"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example/v1", "https://a.example/v1/"),
        ("https://a.example/v1/?q=1#f", "https://a.example/v1/"),
    ],
)
def test_a_base_is_a_folder(base: str, as_folder: str) -> None:
    assert folder(base) == as_folder


def test_queries_and_forms_are_encoded() -> None:
    assert add_query("https://a/x?y=1", [("a b", "ä&=")]) == "https://a/x?y=1&a%20b=%C3%A4%26%3D"
    assert add_query("https://a/x", []) == "https://a/x"
    assert encode_form([("a b", "c d~*-._+")]) == b"a+b=c+d%7E*-._%2B"
    assert form_quote("a:b c") == "a%3Ab+c"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x7fb", "ä"])
def test_what_no_header_can_hold(value: str) -> None:
    with pytest.raises(ValueError, match="X-Name") as error:
        header_value("X-Name", value)
    assert value not in str(error.value)


def test_blanks_around_a_header_go() -> None:
    assert header_value("X", " \ta b\t ") == "a b"


# --- character sets ---------------------------------------------------------------------------------------------------

NAMED = '{"t": "a", "name": "Jörg"}'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", NAMED.encode()),
        ("application/json; charset=utf-8", NAMED.encode()),
        ("application/json; charset=ISO-8859-1", NAMED.encode("latin-1")),
        ('application/json;charset="windows-1252"', NAMED.encode("cp1252")),
        ("application/json; charset=utf-16", NAMED.encode("utf-16")),
        ("application/json; charset=UTF-16LE", NAMED.encode("utf-16-le")),
        ("application/json", NAMED.encode("utf-16-be")),
        ("application/json", NAMED.encode("utf-16-le")),
        ("application/json; charset=latin1", b"\xef\xbb\xbf" + NAMED.encode()),
        ("application/json", b"\xff\xfe\x00\x00" + NAMED.encode("utf-32-le")),
        ("application/json; charset=no-such-set", NAMED.encode()),
    ],
)
def test_a_body_is_read_in_the_character_set_that_it_names(kind: str, body: bytes) -> None:
    assert Answer(200, (("Content-Type", kind),), body).json == {"t": "a", "name": "Jörg"}


def test_xml_names_its_own() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><name>Jörg</name>'
    assert Answer(200, (("Content-Type", "text/xml"),), body.encode("latin-1")).text == body


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "base64", "utf-7", "idna", "x" * 5000])
def test_what_is_no_character_set_is_not_asked(charset: str) -> None:
    answer = Answer(200, (("Content-Type", f"application/json; charset={charset}"),), b'{"t": "a-1"}')
    assert answer.json == {"t": "a-1"}


def test_a_letter_that_cannot_be_read_spoils_no_other() -> None:
    assert Answer(200, (), NAMED.encode("latin-1")).json["t"] == "a"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_number_that_is_none_spoils_no_other_value(number: str) -> None:
    assert Answer(200, (), f'{{"t": "a", "in": {number}}}'.encode()).json["t"] == "a"


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff", r"\udc00\ud800"])
def test_half_a_character_spoils_no_other_value(half: str) -> None:
    """RFC 8259 §8.2; whole ones are written in two halves too."""
    body = f'{{"t": "a", "{half}": ["x{half}"], "whole": "\\ud83d\\ude00"}}'.encode()
    document = Answer(200, (), body).json
    assert (document["t"], document["whole"]) == ("a", "\U0001f600")
    assert set(repr(document)).isdisjoint(map(chr, range(0xD800, 0xE000)))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, BR"])
def test_what_nobody_unpacks_is_said(coding: str) -> None:
    answer = Answer(200, (("Content-Encoding", coding),), b"\x0b\x00\x80{\x03")
    with pytest.raises(ValueError, match="packed as " + coding.lower().rpartition(" ")[2]):
        _ = answer.json
    assert Answer(200, (("Content-Encoding", coding),), b"{}").json == {}  # unpacked by a client, or a mock


def test_a_line_break_in_a_text_spoils_no_other_value() -> None:
    assert Answer(200, (), b'{"t": "a", "hello": "one\n\ttwo"}').json == {"t": "a", "hello": "one\n\ttwo"}


@pytest.mark.parametrize("value", ["a b", '"quoted"', '"a b"', "a,b", "a=b=="])
def test_a_cookie_is_what_was_set(value: str) -> None:
    assert Answer(200, (("Set-Cookie", f"s={value}; Path=/"),)).cookies == {"s": value}
