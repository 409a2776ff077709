"""What of a vendor's answer would show a secret: the account's tokens and cookies, in whatever spelling.

Most headers are the same in every answer: what was found harmless is remembered as long as the secrets stay. A value
that is shorter than every secret can spell none of them: no spelling is shorter than what it spells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import httpx

import authflow
from authflow.masking import HEAD, SHORT, spells

#: A shorter value that is not presented may be a word.
WORD: Final = 8
#: So many texts are remembered; more, and all are forgotten.
MOST: Final = 512


class Sieve:
    """One account's. The grant before this one counts too: its answers may still be under way."""

    __slots__ = ("_grant", "_known", "_last", "_plain", "_session", "_shortest", "_small", "_whole")

    def __init__(self, session: authflow.AuthSession) -> None:
        self._session = session
        self._grant: object = None
        self._last: frozenset[str] = frozenset()
        self._known: frozenset[str] = frozenset()
        self._whole: frozenset[str] = frozenset()
        self._small: frozenset[str] = frozenset()
        self._shortest = 0
        self._plain: set[str] = set()

    def knows(self, sent: httpx.Request, callers: Iterable[str]) -> None:
        """Whatever this request carried that was not the caller's own is secret from now on."""
        grants = self._session._manager.grants
        if grants.current is not self._grant and grants.current.vendor is not None:
            self._grant = grants.current
            self._last, self._known = self._known, frozenset(_of_grant(self._session))
            self._forget()
        if not grants.plain:
            more = _laid(sent, set(callers)) - self._whole
            if more:
                self._known |= more
                self._forget()

    def _forget(self) -> None:
        self._whole, self._plain = self._known | self._last, set()
        self._small = frozenset(map(str.lower, self._whole))
        self._shortest = min((min(len(secret), HEAD) for secret in self._whole), default=0)

    def shows(self, text: str) -> bool:
        """Is one of the secrets in this text?"""
        if not self._whole or len(text) < self._shortest or text in self._plain:
            return False
        # A host's name, and a number in hexadecimal, mean the same in capitals (RFC 3986 §6.2.2.1).
        if spells(text, self._whole) or spells(text.lower(), self._small):
            return True
        if len(self._plain) >= MOST:
            self._plain.clear()
        self._plain.add(text)
        return False


def _of_grant(session: authflow.AuthSession) -> set[str]:
    """What the session holds: captured, presented, given."""
    grants = session._manager.grants
    values = set[str]()
    presented = grants.current.presentation
    for _, value in presented.headers:
        values |= {value, value.partition(" ")[2]}
    values |= {value for _, value in (*presented.cookies, *presented.query)}
    given = {**dict(grants.given.items()), **grants.current.asked}
    hidden = {name for name, entry in session.vendor.inputs.items() if entry.secret}
    kept = [*grants.current.record.captured.values(), *(value for name, value in given.items() if name in hidden)]
    # A short password, or a word of the login's answer, may be a word of any header.
    values |= {value for value in kept if isinstance(value, str) and len(value) >= WORD}
    return {value for value in values if len(value) >= SHORT}


def _laid(sent: httpx.Request, callers: set[str]) -> set[str]:
    """Of a request whose token is its own (signed, or for one scope): what the caller did not send."""
    values: set[str] = set()
    for name, value in sent.headers.multi_items():
        if name == "authorization" or value not in callers:
            values |= {value, value.partition(" ")[2]}
        if name == "cookie":
            values |= {part.partition("=")[2].strip() for part in value.split(";")}
    values |= {value for _, value in sent.url.params.multi_items() if value not in callers}
    return {value for value in values if len(value) >= SHORT}
