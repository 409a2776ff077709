"""What a server says costs work in proportion to its length: per doubling at most three times the processor time, over
four doublings.

The one exception to the rule on timings. What is measured is this process's own processor time, without its garbage
collections, the least of some tries. What takes so little at a quarter of the full size that even its square would be
`NOISE` is not looked at any further.
"""

from __future__ import annotations

import codecs
import contextlib
import encodings.aliases
import gc
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from authflow.accounts import Record
from authflow.clients.base import decoded, gather
from authflow.clients.deadline import Deadline
from authflow.clients.starting import Start
from authflow.http import Answer, origin_reached, resolve, without_query
from authflow.masking import describe
from authflow.templates import CONVERTERS, AnswerPattern, judge, token_exp
from authflow.templates.documents import Mismatch, compile, compile_text, match, render
from authflow.templates.fields import compile_fields
from authflow.templates.hints import unusable
from authflow.templates.placeholders import Unfit

#: Four doublings.
SIZES = [1 << power for power in range(12, 17)]
#: Seconds.
NOISE = 0.02
TRIES = 6


def seconds(work: Callable[[Any], object], given: Any) -> float:
    gc.disable()
    try:
        begun = time.process_time()
        with contextlib.suppress(Mismatch, Unfit, ValueError):
            work(given)
        return time.process_time() - begun
    finally:
        gc.enable()


def grows(work: Callable[[Any], object], make: Callable[[int], Any]) -> str:
    """By how much too fast it grows; nothing if it is in proportion."""
    if seconds(work, make(SIZES[-3])) < NOISE / 16:
        return ""
    before = float("inf")
    for size in SIZES:
        made, tries = make(size), TRIES
        cost = seconds(work, made)
        while cost > 3 * before + NOISE and (tries := tries - 1):
            cost = min(cost, seconds(work, made))
        if not tries:
            return f"{size} characters: {before * 1000:.0f} ms, and then {cost * 1000:.0f}"
        before = cost
    return ""


# --- what is hostile about a text -------------------------------------------------------------------------------------

PIECES = [
    *(
        "0",
        "9",
        " ",
        "\t",
        "\n",
        ".",
        "-",
        "+",
        "=",
        "a",
        "A",
        "_",
        "/",
        "\\",
        '"',
        "'",
        ",",
        ";",
        ":",
        "&",
        "<",
        ">",
        "%",
    ),
    *(
        "9.",
        "9e",
        "1_",
        "0a",
        "é",
        "\u0316\u0300",
        "\u0660",
        "\U0001f511",
        "\x00",
        "====",
        "a=",
        "a b",
        "a;",
        "a,",
        'a="',
        'a="\\',
        "a=b,",
    ),
    *(
        '\\"',
        "\\\\",
        "\\u0041",
        "\\ud83d\\ude00",
        "&#",
        "&#9;",
        "&#x1f511;",
        "&amp;",
        "&lt",
        "&notit;",
        "<![CDATA[",
        "]]>",
    ),
    *("/..", "..%2f", "%2e%2e/", "%41", "a&", "a=b&", "2026-", "2026-01-01T", "Mon, 01 ", "GMT", "eyJ.e30.", "eyJ9."),
    *("[", "{", '{"a":', "[1,", '[{"k":', '"a",', "1,", "-1e5,", "null,", "NaN,", "\t,", "Max-Age=0;", "Basic a=b,"),
]


def hostile(heads: tuple[str, ...] = ("",), tails: tuple[str, ...] = ("",)) -> Iterator[Callable[[int], str]]:
    for head, piece, tail in itertools.product(heads, PIECES, tails):

        def make(size: int, head: str = head, piece: str = piece, tail: str = tail) -> str:
            return head + piece * (size // len(piece)) + tail

        make.__doc__ = repr((head, piece, tail))
        yield make


def all_in_proportion(work: Callable[[Any], object], *made: Callable[[int], Any]) -> None:
    for make in made:
        assert not grows(work, make), make.__doc__


# --- converters, of the table, so that none is forgotten --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CONVERTERS))
def test_every_converter(name: str) -> None:
    """As a template uses it: read, and what it reads written again."""
    template = compile(f"{{value:{name}}}")
    heads, tails = ("", "0.", "eyJhbGciOiJub25lIn0."), ("", "!")
    all_in_proportion(lambda text: render(template, match(template, text)), *hostile(heads, tails))


# --- the parts of an answer -------------------------------------------------------------------------------------------

Line = Callable[[str], Answer]


def one(name: str) -> Line:
    return lambda text: Answer(401, ((name, text),), b"{}", 1_800_000_000.0)


def many(*names: str) -> Iterator[Callable[[int], Answer]]:
    """Answers with very many short lines."""
    for line in ("x", "a=1", "a=1; Max-Age=0", "x1y", "Basic a=b", "120", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"):

        def make(size: int, line: str = line) -> Answer:
            return Answer(401, tuple((name, line) for _ in range(size // 16) for name in names), b"{}", 1_800_000_000.0)

        make.__doc__ = line
        yield make


COOKIES = ("", "a=", "a=b; ", "a=b; Max-Age=", "a=b; Max-Age=-", "a=b; Expires=", "a=b; Path=")
CHALLENGES = ("", "Basic ", "Bearer a", "Bearer a=", 'Bearer a="', "Digest a=b, ")
WAITS = ("", "1", "1.", "1 s", "+", "Mon, ", "2026-01-01T")


def test_cookies() -> None:
    line = one("Set-Cookie")
    all_in_proportion(lambda text: line(text).cookies, *hostile(COOKIES, ("", "x")))
    all_in_proportion(lambda answer: answer.cookies, *many("Set-Cookie"), *many("Set-Cookie", "Date"))


def test_challenges() -> None:
    line = one("WWW-Authenticate")
    all_in_proportion(lambda text: line(text).challenges, *hostile(CHALLENGES, ("", '"')))
    all_in_proportion(lambda answer: answer.challenges, *many("WWW-Authenticate"))


def test_retry_after() -> None:
    line = one("Retry-After")
    all_in_proportion(lambda text: line(text).retry_after, *hostile(WAITS, ("", "x")))
    all_in_proportion(lambda answer: answer.retry_after, *many("Retry-After"), *many("Retry-After", "Date"))


@pytest.mark.parametrize("kind", ["", "text/html; charset=", "text/html;", "application/json; charset=utf-8"])
def test_the_text_of_a_body_and_its_character_set(kind: str) -> None:
    heads = ("", "<?xml ", '<?xml version="1.0" encoding="', "\ufeff")
    all_in_proportion(lambda text: Answer(200, (("Content-Type", kind + text),), b"x").text, *hostile(("", " ")))
    all_in_proportion(lambda text: Answer(200, (("Content-Type", kind),), text.encode()).text, *hostile(heads))


@pytest.mark.parametrize("charset", sorted(set(encodings.aliases.aliases.values())))
def test_every_character_set(charset: str) -> None:
    try:
        codecs.lookup(charset)
    except LookupError:
        pytest.skip("of another system")
    pieces = [
        b"a",
        b"\xff",
        b"~{",
        b"\x1b$B",
        b"\x1b",
        b"\xe2\x82",
        b"\x00",
        b"+AAA-",
        b"xn--a.",
        b"\\u0041",
        b"\x81\x30",
    ]
    made = [lambda size, piece=piece: piece * (size // len(piece)) for piece in pieces]
    head = (("Content-Type", f"text/plain; charset={charset}"),)
    all_in_proportion(lambda body: Answer(200, head, body).text, *made)


@pytest.mark.parametrize("head", ["", "[", '{"a":', '"', "-", "1", "0.", '[{"a":["'])
def test_json(head: str) -> None:
    """Deep, wide, broken, and such as only the second reader takes."""
    all_in_proportion(lambda text: Answer(200, (), text.encode("utf-8", "replace")).json, *hostile((head,), ("", "1")))


def keys(size: int) -> str:
    return "{" + ",".join(f'"k{number}":{number}' for number in range(size // 12)) + "}"


def nested(size: int) -> str:
    return '{"a":' * (size // 6) + "1" + "}" * (size // 6)


def rows(size: int) -> str:
    return "[" + ",".join('{"a":[1,"2",null]}' for _ in range(size // 20)) + "]"


def strange_rows(size: int) -> str:
    return "[" + ",".join('{"a":NaN,"b":"\t"}' for _ in range(size // 20)) + "]"


@pytest.mark.parametrize(
    "template", [{"a": "{x}", "k1": "{y:int?}"}, ["{x}", {"a": ["{y}"]}], "{x}", {"a": {"a": "{x}"}}]
)
def test_json_that_is_whole(template: Any) -> None:
    compiled = compile(template)

    def work(text: str) -> None:
        match(compiled, Answer(200, (), text.encode()).json)

    all_in_proportion(work, keys, nested, rows, strange_rows)


def test_a_form() -> None:
    fields = compile_fields({"a": "{x}", "b": ["{y:int}", "{z?}"]}, CONVERTERS)
    answers = (("granted", AnswerPattern(form=fields)),)
    all_in_proportion(
        lambda text: judge(answers, Answer(200, (), text.encode("utf-8", "replace"))),
        *hostile(("", "a=", "b=1&"), ("", "&b=2")),
    )


# --- patterns ---------------------------------------------------------------------------------------------------------

XML = '<s:Envelope{_}><s:Body><token kind="{kind}">{access:xml}</token>{_}</s:Body></s:Envelope>'
TEXTS = [
    "{access}",
    "{access:token}",
    "{a}x{b}x{c}x{d}y",
    "{a}aab{b}aab{c}",
    "{a:int}/{b:path}",
    '{_}name="csrf" value="{csrf}"{_}',
    "{_}" + "".join(f"{'ab' * count}a{{h{count}}}" for count in range(1, 20)),
    "{access};{access};{access}",
    "<{_}>{_}</{_}><a>{access:xml}</a>{_}",
    XML,
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_pattern_of_text(text: str) -> None:
    answers = (
        ("granted", AnswerPattern(text=compile_text(text))),
        ("denied", AnswerPattern(text=compile_text("no{_}"))),
    )
    heads = ("", '<s:Envelope a=""><s:Body><token kind="', '<s:Envelope a=""><s:Body><token kind="a">')
    tails = ("", "y", "</token></s:Body></s:Envelope>")
    all_in_proportion(
        lambda said: judge(answers, Answer(200, (), said.encode("utf-8", "replace"))), *hostile(heads, tails)
    )


@pytest.mark.parametrize("place", ["headers", "cookies", "challenge"])
def test_a_pattern_of_lines(place: str) -> None:
    """Very many of one name, of which none fits, or the last."""
    name = {"headers": "X-Token", "cookies": "Set-Cookie", "challenge": "WWW-Authenticate"}[place]
    fields = compile_fields({"X-Token" if place == "headers" else "a": "x{value:int}y{other?}"}, CONVERTERS)
    answers = (("granted", AnswerPattern(**{place: fields})), ("denied", AnswerPattern(**{place: fields[:1]})))  # type: ignore[arg-type]
    made = [*hostile(("", "a=", "Basic "), ("", "x1y"))]
    all_in_proportion(lambda text: judge(answers, one(name)(text)), *made)
    all_in_proportion(lambda answer: judge(answers, answer), *many(name))


# --- all else that is read of an answer -------------------------------------------------------------------------------


def hints(text: str) -> None:
    for name in ("expires_in", "expires_at", "refresh_in", "retry_after"):
        unusable({name: text, "access": text}, 0.0, jwt=True)


READ: dict[str, Callable[[str], object]] = {
    "hints": hints,
    "a token's end": token_exp,
    "where a redirect leads": lambda text: origin_reached(resolve("https://vendor.example/api/", text)),
    "a host": lambda text: origin_reached(f"https://{text}/"),
    "what is shown of a URL": lambda text: without_query(f"https://vendor.example/{text}"),
    "a record": lambda text: Record.from_bytes(text.encode("utf-8", "replace")),
    "compressed": lambda text: decoded(text.encode("utf-8", "replace"), text),
    "what is shown of an answer": lambda text: describe(one("Set-Cookie")(text), ["open-sesame"], frozenset()),
}


@pytest.mark.parametrize("what", READ)
def test_all_else(what: str) -> None:
    all_in_proportion(READ[what], *hostile(("", "/", "1", "{"), ("", ".", "x")))


def test_a_body_in_very_many_pieces() -> None:
    def read(pieces: list[bytes]) -> None:
        start = Start()
        for piece in pieces:
            start.takes(piece)
        gather(iter(pieces), Deadline(30), {})

    all_in_proportion(read, lambda size: [b"x"] * size)
