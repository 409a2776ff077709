"""A command line of curl: what it asks for, where no transcript shows it."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote_plus

from authflow_learn.messages import multipart

#: Options that take no value and may stand before another letter, as in `-sSd`.
_FLAGS: Final = "0146afgGiIjkKLnNOpqRsSvZ"
_BODY: Final = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json", "--data-urlencode")
_LONG: Final = {
    "--header": "-H",
    "--user": "-u",
    "--request": "-X",
    "--cookie": "-b",
    "--user-agent": "-A",
    "--form": "-F",
    "--get": "-G",
    "--referer": "-e",
    "--cookie-jar": "-c",
    "--output": "-o",
    "--proxy": "-x",
    "--max-time": "-m",
    "--write-out": "-w",
    "--cert": "-E",
    "--upload-file": "-T",
    "--range": "-r",
}
#: Those that take a value and say it in no letter.
_TAKES: Final = frozenset(
    {"--url", "--url-query", "--form-string", "--oauth2-bearer", "--cacert", "--capath", "--key", "--connect-timeout"}
    | {"--resolve", "--connect-to", "--retry", "--retry-delay", "--noproxy", "--limit-rate", "--interface", "--ciphers"}
    | {"--dump-header", "--trace", "--trace-ascii", "--max-redirs", "--proxy-user"}
)


class Command:
    """A command line: what is asked for, where `-v` does not show it. `fields` are those of a multipart body."""

    def __init__(self, written: str, beside: Callable[[str], str]) -> None:
        self.method = self.url = ""
        self.headers: list[tuple[str, str]] = []
        self.fields: list[tuple[str, str]] = []
        parts, query = list[str](), list[str]()
        asked = as_json = explicit = False
        for option, value in _options(written):
            if option == "-G":
                asked = True
            elif option in ("-F", "--form-string"):
                name, _, said = value.partition("=")
                self.fields.append((name, said if option != "-F" else _form_value(said, beside)))
            elif option == "--oauth2-bearer":
                self.headers.append(("authorization", f"Bearer {value}"))
            elif option == "--url-query":
                query.append(_encoded(value, beside))
            elif option == "-X":
                self.method = value.upper()
            elif option == "-H":
                name, _, said = value.partition(":")
                self.headers.append((name.strip().lower(), said.strip()))
            elif option == "-u":
                self.headers.append(("authorization", "Basic " + base64.b64encode(value.encode()).decode()))
            elif option == "-b" and "=" in value:
                self.headers.append(("cookie", value))
            elif option == "" and re.match(r"(?:https?://|localhost\b|[\w-]+(?:\.[\w-]+)+(?:[:/]|$))", value):
                if not self.url or ("://" in value and not explicit):
                    explicit = "://" in value
                    self.url = value if explicit else f"http://{value}"
            elif option == "--data-urlencode":
                parts.append(_encoded(value, beside))
            elif option in _BODY:
                of_file = value.startswith("@") and option != "--data-raw"
                said = beside(value[1:]) if of_file else value
                kept = option in ("--data-binary", "--json", "--data-raw") or not of_file
                parts.append(said if kept else re.sub(r"[\r\n\0]", "", said))
                as_json = as_json or option == "--json"
        body = ("" if as_json else "&").join(parts)
        if asked and body:
            query, body = [*query, body], ""
        if query:
            self.url = f"{self.url}{'&' if '?' in self.url else '?'}{'&'.join(query)}"
        self.body = body
        self.method = self.method or ("POST" if body or self.fields else "GET")
        if (body or self.fields) and "content-type" not in dict(self.headers):
            usual = "multipart/form-data; boundary=form" if self.fields else "application/x-www-form-urlencoded"
            self.headers.append(("content-type", "application/json" if as_json else usual))

    def sent(self, kind: str) -> str:
        """The body, for this type of content."""
        return multipart(self.fields, kind) if self.fields else self.body


def _form_value(said: str, beside: Callable[[str], str]) -> str:
    """Of `-F`: `text;type=…`, `<file`, `@file`, or a text in quotes."""
    if quoted := re.fullmatch(r'"((?:[^"\\]|\\.)*)"(?:;.*)?', said, re.S):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    plain = re.split(r";(?:type|filename|headers|encoder)=", said)[0]
    return beside(plain[1:]) if plain[:1] in ("@", "<") else plain


def _encoded(value: str, beside: Callable[[str], str]) -> str:
    """Of `--data-urlencode`: `text`, `=text`, `name=text`, `@file`, `name@file`."""
    name, sign, said = re.fullmatch(r"([^=@]*)([=@]?)(.*)", value, re.S).groups()  # type: ignore[union-attr]
    if not sign:
        return quote_plus(name)
    said = quote_plus(beside(said) if sign == "@" else said)
    return f"{name}={said}" if name else said


def _options(written: str) -> Iterator[tuple[str, str]]:
    """Each option with its value; a word without one has an empty name."""
    try:
        words = iter(shlex.split(plain_quotes(written)))
    except ValueError:
        return
    for word in words:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            option = _LONG.get(option, option)
            takes = option in _BODY or option in _TAKES or (option in _LONG.values() and option != "-G")
            value = value if equals else next(words, "") if takes else ""
            yield ("" if option == "--url" else option), value
            continue
        if not word.startswith("-") or word == "-":
            yield "", word
            continue
        letters = word[1:].lstrip(_FLAGS)
        yield from (("-G", ""),) * ("G" in word[1 : len(word) - len(letters)])
        if letters:
            yield f"-{letters[0]}", letters[1:] or next(words, "")


def plain_quotes(command: str) -> str:
    """With the quotes of a POSIX shell. What browsers copy for bash has `$'…'`, for cmd a `^` before odd letters."""
    if '^"' in command:
        command = re.sub(r"\^(.)", r"\1", command, flags=re.S)
    return re.sub(r"\$'((?:[^'\\]|\\.)*)'", lambda found: shlex.quote(_unescaped(found[1])), command, flags=re.S)


def _unescaped(text: str) -> str:
    letters = {"n": "\n", "r": "\r", "t": "\t"}
    pattern = r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))"
    return re.sub(
        pattern, lambda one: letters.get(one[3], one[3]) if one[3] else chr(int(one[1] or one[2], 16)), text, flags=re.S
    )
