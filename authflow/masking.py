"""Answers shown to people, with whatever could be a secret left out.

Masked are: every value that the session knows to be secret, every value that stands where a pattern reads one, and
every long run of characters that looks like a token. What remains is the shape, and words such as `invalid_grant`.

A server may spell what it echoes in many ways. So the text is read as each row of `SPELLINGS` says, what comes out once
more (a form inside JSON, a Basic pair whose parts are percent-encoded), and each reading is searched for the secrets in
each of `ENCODINGS`. Only the beginning is shown of a text, and only its beginning is looked at.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from authflow.http import Answer

MASK: Final = "***"
SHOWN: Final = 400
#: How many characters of a text, and values of a document, are looked at.
LOOKED: Final = 4096
#: How much further a secret is followed that begins there. Of a longer one than `HEAD` bytes, its head is enough.
HEAD: Final = 64
MARGIN: Final = 12 * HEAD
#: Who knows more secrets than these shows nothing of what could hold them.
MOST_SECRETS: Final = 500
#: A shorter secret is one only where it is a whole value.
SHORT: Final = 4
#: The second has all of Latin-1. What a server writes that does not say in which it does, or says another.
ENCODINGS: Final = (
    *("utf-8", "cp1252", "utf-16-le", "utf-16-be", "iso8859-15", "cp1250", "cp1251", "koi8_r"),
    *("shift_jis", "euc_jp", "gbk", "big5", "euc_kr"),
)

_TOKENISH: Final = re.compile(r"(?=[\w.~+/=-]*\d)(?=[\w.~+/=-]*[A-Za-z])[\w.~+/=-]{16,}|[\w.~+/=-]{32,}")
_SECRET_KEY: Final = re.compile(
    r"token|secret|passw|credential|cookie|session|jwt|otp|key|assertion|authorization|access", re.I
)
#: In text that is no JSON: a name that sounds like a secret's, and what follows it up to the end of a word.
_NAMED: Final = re.compile(rf"(?:{_SECRET_KEY.pattern})[\w-]*[\"']?\s*[:=>]\s*[\"']?([^\s\"'&;,<>{{}}]+)", re.I)
_BEFORE: Final = rb"(?:^|(?<=[=:\"'>])|(?<=[=:] ))"
_AFTER: Final = rb"(?![\"']\s*:)(?=[&\"'<,;\r\n]|\s*[\]}]|\s*$)"


class _Spelling(NamedTuple):
    """What stands for something else, what it stands for (None: only itself), and in which spellings that may be."""

    pattern: re.Pattern[bytes]
    read: Callable[[bytes], bytes | None]
    inside: tuple[str, ...] = ()


class _Reading(NamedTuple):
    """A text as bytes; each comes from the characters of the original from `starts` to before `ends`."""

    data: bytes
    starts: Sequence[int]
    ends: Sequence[int]


def _entity(found: bytes) -> bytes | None:
    text = html.unescape(found.decode("ascii"))
    return text.encode("utf-8", "replace") if text != found.decode("ascii") else None


_BACKSLASHED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b""}


def _backslash(found: bytes) -> bytes | None:
    """JSON's escapes, and those of JavaScript, C and Python."""
    kind, digits = found[1:2], found[2:]
    try:
        if kind in b"uUx" and digits:
            text = "".join(chr(int(part, 16)) for part in re.split(rb"\\[uUx]", found) if part)
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()
        if kind == b"N":
            return unicodedata.lookup(digits[1:-1].decode()).encode()
    except (ValueError, KeyError):
        return None
    return _BACKSLASHED.get(kind, kind)


def _of_base64(start: int) -> Callable[[bytes], bytes]:
    def read(found: bytes) -> bytes:
        run = b"".join(found.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))[start:]
        run = run[: len(run) - (len(run) % 4 == 1)]
        return base64.b64decode(run + b"=" * (-len(run) % 4))

    return read


def _of_hex(start: int) -> Callable[[bytes], bytes]:
    return lambda found: bytes.fromhex(found[start : start + (len(found) - start) // 2 * 2].decode())


def _of_utf7(found: bytes) -> bytes | None:
    try:
        return found.decode("utf-7").encode()
    except UnicodeError:
        return None


def _of_base85(decode: Callable[[bytes], bytes], start: int) -> Callable[[bytes], bytes]:
    def read(found: bytes) -> bytes:  # groups stand alone: one that is none hides no other
        read = bytearray()
        for at in range(start, len(found) - 1, 5):
            with suppress(ValueError):
                read += decode(found[at : at + 5])
        return bytes(read)

    return read


def _of_other_scripts(found: bytes) -> bytes:
    """Digits of all scripts, and letters that are others but in their look: full width, in a circle, bold."""
    chars = unicodedata.normalize("NFKC", found.decode("utf-8", "surrogatepass"))
    return "".join(str(unicodedata.digit(char, char)) for char in chars).encode("utf-8", "surrogatepass")


_BASE64: Final = re.compile(rb"[\w+/-]{6,}(?:\r?\n[ \t]*[\w+/-]+)*={0,2}", re.ASCII)
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{8,}")
_BASE64S: Final = ("base64 0", "base64 1", "base64 2", "base64 3")
_LOOKS: Final = ("other scripts", "beyond ASCII", "marked up")
_ESCAPES: Final = ("URL", "HTML", "backslash", "quoted-printable", *_BASE64S, *_LOOKS)
#: What escapes are escaped in once more, inside of another escape.
_DEEP: Final = ("URL", "HTML", "backslash")
_BASE85: Final = re.compile(rb"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{5,}")
_ASCII85: Final = re.compile(rb"[!-u]{5,}")
_ENTITY: Final = rb"(?:#\d{1,12}|#[xX][0-9A-Fa-f]{1,12}|[A-Za-z]\w{1,31})"
_BYTE: Final = rb"(?:25[0-5]|2[0-4]\d|1\d\d|\d{1,2})"
#: How text may be written, by name. Who writes one more way writes a row.
SPELLINGS: Final[Mapping[str, _Spelling]] = {
    "URL": _Spelling(re.compile(rb"%[0-9A-Fa-f]{2}"), lambda found: bytes.fromhex(found[1:].decode()), _ESCAPES),
    "form": _Spelling(
        re.compile(rb"%[0-9A-Fa-f]{2}|\+"),
        lambda found: b" " if found == b"+" else bytes.fromhex(found[1:].decode()),
        ("URL", "HTML", "backslash", "form"),
    ),
    "URL of JavaScript": _Spelling(
        re.compile(rb"(?:%u[0-9A-Fa-f]{4})+|%[0-9A-Fa-f]{2}"),
        lambda found: _backslash(found.replace(b"%u", b"\\u").replace(b"%", b"\\x")),
    ),
    "HTML": _Spelling(re.compile(rb"&" + _ENTITY + rb";?", re.A), _entity, _ESCAPES),
    "XML": _Spelling(re.compile(rb"&" + _ENTITY + rb";", re.A), _entity),  # where an `&` may stand for itself
    "backslash": _Spelling(
        re.compile(
            rb"(?:\\u[0-9A-Fa-f]{4})+|\\x[0-9A-Fa-f]{2}|\\U[0-9A-Fa-f]{8}|\\N\{[\w -]+\}|\\[^uUxN]", re.A | re.S
        ),
        _backslash,
        (*_ESCAPES, "form"),
    ),
    # Python's `backslashreplace` and `namereplace`: an ASCII character, a backslash too, stands for itself.
    "backslash, beyond ASCII": _Spelling(
        re.compile(
            rb"(?:\\u(?!00[0-7])[0-9A-Fa-f]{4})+|\\x[89A-Fa-f][0-9A-Fa-f]|\\U(?!000000[0-7])[0-9A-Fa-f]{8}"
            rb"|\\N\{[\w -]+\}",
            re.A,
        ),
        _backslash,
    ),
    "quoted-printable": _Spelling(
        re.compile(rb"=[0-9A-Fa-f]{2}|=[ \t]*\r?\n"),
        lambda found: bytes.fromhex(found[1:].decode()) if found[1:2].isalnum() else b"",
        _ESCAPES,
    ),
    "encoded words": _Spelling(
        re.compile(rb"=[0-9A-Fa-f]{2}|=[ \t]*\r?\n|_"),
        lambda found: b" " if found == b"_" else bytes.fromhex(found[1:].decode()) if found[1:2].isalnum() else b"",
    ),
    "UTF-7": _Spelling(re.compile(rb"\+[A-Za-z0-9+/]*-?"), _of_utf7),
    "octal": _Spelling(re.compile(rb"\\[0-3][0-7]{2}"), lambda found: bytes([int(found[1:], 8)]), ("backslash",)),
    "code points": _Spelling(
        re.compile(rb"\\[ux]?\{[0-9A-Fa-f]{1,6}\}|\\[0-9A-Fa-f]{2,6} ?"),
        lambda found: chr(int(found.strip(b"\\ux{} "), 16)).encode(),
        ("backslash",),
    ),
    "numbers of bytes": _Spelling(
        re.compile(_BYTE + rb"(?:[,\s]\s*" + _BYTE + rb"){3,}"),
        lambda found: bytes(int(part) for part in re.split(rb"[,\s]\s*", found)),
    ),
    "hex in pairs": _Spelling(
        re.compile(rb"(?:0x)?[0-9A-Fa-f]{2}(?:(?:[ :-]|, ?)(?:0x)?[0-9A-Fa-f]{2}){3,}"),
        lambda found: bytes.fromhex(re.sub(rb"[ :,-]+|0x", b" ", found).decode()),
    ),
    "base32": _Spelling(
        re.compile(rb"(?:[A-Z2-7]{7,}|[a-z2-7]{7,})={0,6}"),
        lambda found: base64.b32decode(found.rstrip(b"=").upper() + b"=" * (-len(found.rstrip(b"=")) % 8)),
    ),
    **{
        f"base64 {start}": _Spelling(_BASE64, _of_base64(start), ("URL", "form", "HTML", "backslash", "base64 0"))
        for start in range(4)
    },
    **{f"hex {start}": _Spelling(_HEX, _of_hex(start)) for start in range(2)},
    "wrapped": _Spelling(re.compile(rb"\r?\n[ \t]*"), lambda found: b"", ("URL", "backslash")),
    "wrapped between words": _Spelling(re.compile(rb"\r?\n\s*"), lambda found: b" "),
    "quotes, doubled": _Spelling(re.compile(rb"''|\"\""), lambda found: found[1:]),
    "a template's marks, doubled": _Spelling(re.compile(rb"([%${}])\1"), lambda found: found[1:]),
    "quotes of a shell": _Spelling(re.compile(rb"'\"'\"'|'\\''"), lambda found: b"'"),
    "digits in groups": _Spelling(
        re.compile(rb"\d{1,3}(?:(?:[,.' _-]|\xc2\xa0|\xe2\x80\xaf)\d{3})+"), lambda found: re.sub(rb"\D", b"", found)
    ),
    "other scripts": _Spelling(re.compile(rb"(?:[\xc2-\xf4][\x80-\xbf]{1,3})+"), _of_other_scripts),
    # Whose encoding nobody knows, and what came of it: `?`, U+FFFD, a letter without its accent, nothing.
    "beyond ASCII": _Spelling(re.compile(rb"[\x80-\xff?]+"), lambda found: b""),
    # Breaks in long words, and what is set off in colours.
    "marked up": _Spelling(
        re.compile(rb"<[^<>]{0,100}>|\xc2\xad|\xe2\x80[\x8b-\x8d]"), lambda found: b"", ("HTML", "beyond ASCII")
    ),
    "in colours": _Spelling(re.compile(rb"\x1b\[[\d;]*m"), lambda found: b""),
    "capitals": _Spelling(
        re.compile(rb"(?:[A-Z]|[\xc2-\xf4][\x80-\xbf]{1,3})+"),
        lambda found: found.decode("utf-8", "surrogatepass").lower().encode("utf-8", "surrogatepass"),
        ("beyond ASCII",),
    ),
    **{f"base85 {at}": _Spelling(_BASE85, _of_base85(base64.b85decode, at)) for at in range(5)},
    **{f"ascii85 {at}": _Spelling(_ASCII85, _of_base85(base64.a85decode, at)) for at in range(5)},
}


def mask_text(text: str, secrets: Iterable[str] = (), most: int | None = None, *, loose: bool = False) -> str:
    """The text (or as many characters as `most`) without the given secrets and without anything that looks like a
    token. `loose`: it is no document, and what follows a name that sounds like a secret's is masked too.
    """
    known = {str(secret) for secret in secrets} - {""}
    if len(known) > MOST_SECRETS:
        return MASK if text else ""
    window = text if most is None else text[: most + MARGIN]
    spans = [found.span() for found in _TOKENISH.finditer(window)]
    if loose:
        spans += [found.span(1) for found in _NAMED.finditer(window)]
    return _without(window, [*spans, *_spelled(window, known)], len(text) if most is None else most)


def spells(text: str, secrets: Iterable[str]) -> bool:
    """Does one of these secrets stand in the text, however it is spelled?"""
    return next(_spelled(text, {str(secret) for secret in secrets} - {""}), None) is not None


def _without(text: str, spans: list[tuple[int, int]], most: int) -> str:
    shown, at = [], 0
    for start, end in sorted(spans):
        if start >= most:
            break
        if start >= at:
            shown += [text[at:start], MASK]
        at = max(at, end)
    return "".join([*shown, text[at:most]])


def _spelled(text: str, secrets: set[str]) -> Iterator[tuple[int, int]]:
    """Where the secrets stand in the text, however they are spelled."""
    patterns = {it for secret in secrets if len(secret) >= SHORT for it in _encoded(secret) if len(it) >= SHORT}
    short = [re.escape(secret.encode()) for secret in secrets if len(secret) < SHORT]
    whole = re.compile(_BEFORE + b"(?:" + b"|".join(short) + b")" + _AFTER) if short else None
    for data, starts, ends in _readings(text) if patterns or whole else ():
        for pattern in patterns:
            at = data.find(pattern[:HEAD])
            while at >= 0:
                yield starts[at], ends[at + _alike(pattern, data[at : at + len(pattern)]) - 1]
                at = data.find(pattern[:HEAD], at + 1)
        for found in whole.finditer(data) if whole else ():
            yield starts[found.start()], ends[found.end() - 1]


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _encoded(secret: str) -> Iterator[bytes]:
    """The secret in each encoding, as it looks when read as another, and what is left of it where letters are lost."""
    number = secret.lstrip("0") if secret.isdecimal() else secret
    for form in {secret, number, *(unicodedata.normalize(kind, secret) for kind in ("NFC", "NFD", "NFKC"))}:
        for left in {form, form.lower(), form.upper().lower()}:
            data = left.encode(errors="surrogatepass")
            yield from (data, re.sub(rb"[\x80-\xff?]", b"", data))
        for encoding in ENCODINGS:
            try:
                data = form.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "strict")
            except UnicodeEncodeError:
                continue
            yield data
            for wrong in ("latin-1", "cp1252"):  # what text looks like that was read as such, and is not
                yield data.decode(wrong, "replace").encode()


def _readings(text: str) -> Iterator[_Reading]:
    """The text as it is, and as it reads in each spelling, and in spellings inside of that."""
    if text.isascii():
        plain = _Reading(text.encode(), range(len(text)), range(1, len(text) + 1))
    else:
        chars = [char.encode("utf-8", "surrogatepass") for char in text]
        starts = [at for at, char in enumerate(chars) for _ in char]
        plain = _Reading(b"".join(chars), starts, [at + 1 for at in starts])
    yield plain
    for name, spelling in SPELLINGS.items():
        for reading in _read_as(plain, spelling):
            yield reading
            for inside in spelling.inside:
                for inner in _read_as(reading, SPELLINGS[inside]):
                    yield inner
                    for third in _DEEP if {name, inside} <= {*_DEEP} else ():
                        yield from _read_as(inner, SPELLINGS[third])


def _read_as(reading: _Reading, spelling: _Spelling) -> Iterator[_Reading]:
    """The one reading, or none: nothing is spelled so."""
    data, starts, ends = bytearray(), list[int](), list[int]()
    done = 0
    for found in spelling.pattern.finditer(reading.data):
        try:
            read = spelling.read(found[0])
        except (ValueError, binascii.Error):
            continue
        if read is None:
            continue
        start, end = found.span()
        data += reading.data[done:start] + read
        starts += [*reading.starts[done:start], *[reading.starts[start]] * len(read)]
        ends += [*reading.ends[done:start], *[reading.ends[end - 1]] * len(read)]
        done = end
    if done:
        rest = reading.starts[done:], reading.ends[done:]
        yield _Reading(bytes(data + reading.data[done:]), [*starts, *rest[0]], [*ends, *rest[1]])


class _Documents:
    """Walks through one document, as far as it is looked at. `hidden` collects the values that no one shall see."""

    def __init__(self, secrets: Iterable[str], keys: frozenset[str]) -> None:
        self._secrets, self._keys = {str(secret) for secret in secrets}, keys
        self._numbers = {float(secret) for secret in self._secrets if re.fullmatch(r"-?\d{1,300}(\.\d+)?", secret)}
        self._left = LOOKED
        self.hidden: set[str] = set()

    def shown(self, value: Any, hidden: bool = False) -> Any:
        """The value; of a hidden one nothing but which keys it has, and how many items."""
        if isinstance(value, Mapping):
            return {key: self.shown(each, hidden or self._hides(key)) for key, each in self._some(value.items())}
        if isinstance(value, list):
            return [self.shown(each, hidden) for each in self._some(value[:20])]
        if value is None or isinstance(value, bool):
            return value
        if hidden or value in self._secrets or (isinstance(value, int | float) and value in self._numbers):
            self.hidden.add(str(value))
            return MASK
        return value[: LOOKED + MARGIN] if isinstance(value, str) else value

    def _hides(self, key: str) -> bool:
        return key in self._keys or _SECRET_KEY.search(key[:LOOKED]) is not None

    def _some(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._left -= 1
            if self._left < 0:
                return
            yield item


def hidden_values(document: Any, keys: frozenset[str]) -> set[str]:
    """The values that `mask_document` leaves out because of their keys."""
    walk = _Documents((), keys)
    walk.shown(document)
    return walk.hidden


def mask_document(document: Any, secrets: Iterable[str], keys: frozenset[str], most: int = LOOKED) -> str:
    """A JSON document as text, with the values under secret-looking keys, and under the given ones, masked; its shape
    stays, up to `most` characters.
    """
    known = list(secrets)
    text = msgspec.json.encode(_Documents(known, keys).shown(document)).decode()
    return mask_text(text, known, most)


#: White space as a message of one line spells it: a pattern may hang on it.
_WHITE: Final = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def describe(answer: Answer, secrets: Iterable[str], keys: frozenset[str]) -> str:
    """An answer in one line: status, content type, and its masked body cut to a few hundred characters."""
    known = list(secrets)
    kind = (answer.all("content-type") or ["no content type"])[0]
    try:
        text = mask_document(answer.json, known, keys)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        text = mask_text(_read(answer, kind), known, LOOKED, loose=True).translate(_WHITE)
        text = f"{len(answer.content)} bytes packed as {answer.packed}" if answer.packed else text
    cut = text[:SHOWN] + "…" if len(text) > SHOWN else text
    return f"status {answer.status}, {mask_text(kind, known, LOOKED)[:SHOWN]}, {cut or 'an empty body'}"


def _read(answer: Answer, kind: str) -> str:
    """The beginning of a body as text: in the encoding that it says it has, else in one that fits."""
    start = answer.content[: 4 * (LOOKED + MARGIN)]
    cut = range(4 if len(start) < len(answer.content) else 1)  # perhaps in the middle of a character
    said = re.search(r"charset=[\"']?([\w.:-]+)", kind, re.I)
    marked = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for encoding in (said[1] if said else marked, "utf-8-sig"):
        for less in cut:
            with suppress(LookupError, ValueError):
                return start[: len(start) - less].decode(encoding)
    return start.decode("latin-1")
