"""A capture: exchanges as they went over the wire, and what the caller's requests carried, as a HAR file.

Unless somebody asks for the secrets, each value that the vendor file does not say in the open is replaced by a
stand-in, the same wherever it is said: the capture still tells which value flows where, and `authflow-learn` reads it,
but nobody can log in with it. A stand-in is an HMAC under a key that nobody keeps; a JWT's says until when it was good.
The caller's own headers and bodies are not in it.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from authflow.http import Answer, Pairs, Presentation, Request
from authflow.recording.masks import OPEN, Masks
from authflow.templates import jwt_claims

#: What an answer may say in the open: how long, and what went wrong.
_TELLING: Final = re.compile(r"expir|ttl|valid|until|life|retry|err|code|status|type|message|reason", re.I)
#: A name in a body that has room for no escape.
_NAME: Final = re.compile(r"[\w .:/@$#-]{0,100}")
_PLAIN: Final = re.compile(r"[\d.:TZ+ -]{1,30}|[A-Za-z_ .-]{1,60}")
#: Later exchanges are left out.
MOST: Final = 2000
_PAIR: Final = re.compile(r"(\s*[\w.-]+=)([^;]*)(.*)", re.S)


class Har:
    """The entries of one recording, each encoded at once. `masks`: None keeps the secrets."""

    __slots__ = ("_entries", "_key", "_masks")  # no `__dict__`: reporters walk through those

    def __init__(self, masks: Masks | None) -> None:
        self._masks, self._key = masks, secrets.token_bytes(32)
        self._entries: list[bytes] = []

    def add(self, request: Request, answer: Answer, *, body: bool = True) -> None:
        """One exchange; without `body`, the answer is the caller's, and its body too."""
        if len(self._entries) >= MOST:
            return
        sent: dict[str, Any] = {"method": request.method, "url": self._url(request.url)}
        sent["headers"] = self._headers(request.headers)
        if request.body:
            kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
            sent["postData"] = {"mimeType": kind, "text": self._body(request.body.decode("utf-8", "replace"))}
        content = {"text": self._body(answer.text, answer=True) if body else ""}
        heard = {"status": answer.status, "headers": self._headers(answer.headers), "content": content}
        started = datetime.now(UTC).isoformat()
        self._entries.append(msgspec.json.encode({"startedDateTime": started, "request": sent, "response": heard}))

    def carried(self, method: str, url: str, presented: Presentation, answer: Answer) -> None:
        """A request of the caller's: its URL, and what the session laid over it."""
        headers, parts = list(presented.headers), urlsplit(url)
        if presented.cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in presented.cookies)))
        query = [*parse_qsl(parts.query, keep_blank_values=True), *presented.query]
        body = (
            msgspec.json.encode(presented.json, enc_hook=str) if presented.json else urlencode(presented.form).encode()
        )
        asked = Request(method, urlunsplit(parts._replace(query=urlencode(query))), tuple(headers), body)
        self.add(asked, answer, body=False)

    def text(self) -> bytes:
        """The file, whole."""
        creator = {"name": "authflow", "version": "1"}
        log = {"version": "1.2", "creator": creator, "entries": [msgspec.Raw(entry) for entry in self._entries]}
        return msgspec.json.encode({"log": log})

    # --- stand-ins ----------------------------------------------------------------------------------------------------

    def _stand_in(self, value: str, name: str = "") -> str:
        """`name`: the field of an answer in which it stands."""
        masks = self._masks
        if masks is None or not value or masks.shows(value):
            return value
        if name and _TELLING.search(name) and _PLAIN.fullmatch(value) and not masks.hides(value):
            return value
        made = "masked" + hmac.digest(self._key, value.encode("utf-8", "replace"), "sha256").hex()[:26]
        try:
            claims = {name: said for name, said in jwt_claims(value).items() if name in ("exp", "iat", "nbf")}
        except ValueError:
            return made
        parts = (msgspec.json.encode(part) for part in ({"alg": "none"}, claims))
        return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), made])

    def _url(self, url: str) -> str:
        if self._masks is None:
            return url
        query = [
            (name, self._stand_in(value)) for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ]
        return self._masks.url(url) + (f"?{urlencode(query)}" if query else "")

    def _headers(self, headers: Pairs) -> list[dict[str, str]]:
        return [{"name": name, "value": self._header(name.lower(), value)} for name, value in headers]

    def _header(self, name: str, value: str) -> str:
        scheme, blank, rest = value.partition(" ")
        if name in OPEN:
            return self._stand_in(value) if self._masks is not None and self._masks.spelled(value) else value
        if name == "cookie":
            return ";".join(self._cookie(part) for part in value.split(";"))
        if name == "set-cookie":
            return self._cookie(value)
        if name == "location":
            return self._url(value)
        if scheme == "Basic" and self._masks is not None:
            try:
                pair = base64.b64decode(rest).decode().split(":", 1)
            except ValueError:
                return f"Basic {self._stand_in(rest)}"
            return "Basic " + base64.b64encode(":".join(map(self._stand_in, pair)).encode()).decode()
        return f"{scheme} {self._stand_in(rest)}" if blank and scheme.isalpha() else self._stand_in(value)

    def _cookie(self, text: str) -> str:
        found = _PAIR.fullmatch(text)
        return f"{found[1]}{self._stand_in(found[2])}{found[3]}" if found else self._stand_in(text)

    def _body(self, text: str, *, answer: bool = False) -> str:
        if self._masks is None:
            return text
        try:
            return msgspec.json.encode(self._document(msgspec.json.decode(text), "", answer)).decode()
        except (msgspec.MsgspecError, RecursionError):
            pairs = parse_qsl(text, keep_blank_values=True) if "=" in text and not re.search(r"[<{\n]", text) else []
            return urlencode([(self._name(name), self._stand_in(value)) for name, value in pairs]) or self._stand_in(
                text.strip()
            )

    def _document(self, item: Any, name: str, answer: bool) -> Any:
        """A document with its values replaced; names, truth, and an answer's small numbers stay
        unless they repeat what was sent."""
        if isinstance(item, dict):
            return {self._name(key): self._document(value, key, answer) for key, value in item.items()}
        if isinstance(item, list):
            return [self._document(value, name, answer) for value in item]
        if item is None or isinstance(item, bool):
            return item
        if isinstance(item, str):
            return self._stand_in(item, name if answer else "")
        told = str(item).removesuffix(".0")
        tells = answer and (_TELLING.search(name) or abs(item) < 10**6)
        return item if tells and self._masks is not None and not self._masks.repeats(told) else self._stand_in(told)

    def _name(self, name: str) -> str:
        hidden = self._masks is not None and (not _NAME.fullmatch(name) or self._masks.repeats(name))
        return self._stand_in(name) if hidden else name
