"""What can go wrong, split by who can mend it.

    AuthFlowError
    ├── CredentialsRefused     the user: another password, or wait for the cool-down
    ├── VendorUnavailable      nobody: wait (`retry_after` seconds)
    ├── VendorAnswerError      the vendor's author: an answer that no pattern fits
    ├── VendorFileError        the vendor's author: file, key, reason
    ├── UntrustedOrigin        the caller: a URL where the token must not go
    ├── ConfigurationError     the caller: a name, setting or adapter that cannot be
    └── StoreError             the operator: the place where tokens are kept

A client raises its users' own class as well: `as_also(error, requests.RequestException)` is an instance of both, so
that existing `except` clauses work. No error ever holds a secret: messages are made from masked values only.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self


def harmless(text: str, keep: str = "") -> str:
    """Text for people, whatever a vendor, a record, a file or a plugin says: what a terminal would act upon, and what
    turns the direction of writing, is spelled out. So it is one line, unless `keep` has line breaks.
    """
    return "".join(char if char.isprintable() or char in keep else f"\\u{ord(char):04x}" for char in text)


class AuthFlowError(Exception):
    """The root of all errors that authflow raises.

    `vendor` and `exchange` name where it happened, `status` is the HTTP status of the vendor's answer, and
    `retry_after` says in how many seconds another try makes sense; each may be unknown. `reason` is what the vendor
    said, masked, or nothing.
    """

    def __init__(
        self,
        message: str = "",
        *,
        vendor: str = "",
        exchange: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(harmless(message))
        self.vendor = harmless(vendor)
        self.exchange = harmless(exchange)
        self.status = status
        self.retry_after = retry_after
        self.reason = harmless(reason)

    #: How the message says what `retry_after` means.
    _waits: ClassVar[str] = "; it is asked again in {:.0f} s at the earliest"

    def __str__(self) -> str:
        """The message, and for how long nothing is sent: that counts down, also for an error that is raised again."""
        wait = self.__dict__.get("retry_after")
        return super().__str__() + (self._waits.format(wait) if self._waits and wait else "")

    def copy(self) -> Self:
        """A new, equal error: each of many waiters raises its own, so that tracebacks do not pile up on one."""
        fresh = type(self).__new__(type(self), *self.args)
        fresh.args = self.args
        fresh.__dict__.update(self.__dict__)
        return fresh

    def __reduce__(self) -> tuple[Any, ...]:
        cls = type(self)
        kept = {name: value for name, value in self.__dict__.items() if name not in ("request", "_request", "response")}
        return _remake, (_own_class(cls), cls.__dict__.get("_also"), self.args, kept)


class CredentialsRefused(AuthFlowError):
    """The vendor refused the credentials; the same password is not sent again before `retry_after`
    seconds.
    """

    _waits = " Not tried again for {:.0f} s unless the credentials change."


class VendorUnavailable(AuthFlowError):
    """The vendor cannot answer now (408, 425, 429, 5xx, or no answer at all); it says nothing about the
    credentials. Where nothing came back (`status` is None), it is the client's own connection error too.
    """


class VendorAnswerError(AuthFlowError):
    """An answer that the vendor file does not foresee, shown with every secret masked."""

    #: An error's status, a redirect, a page for people: nothing was granted, and no refresh token was used up.
    grants_nothing = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong (or, as a warning, unwise) in a vendor file: where, why, and what would mend it."""

    file: str
    key: str
    reason: str
    hint: str = ""
    warning: bool = False
    line: int = 0

    def __str__(self) -> str:
        where = ":".join(filter(None, (self.file, str(self.line or ""), self.key)))
        text = f"{where}: {self.reason}"
        return harmless(f"{text} ({self.hint})" if self.hint else text)


class VendorFileError(AuthFlowError):
    """A vendor file with errors. `findings` holds them all; the message tells the first of them, in one line."""

    #: How many a message tells.
    TOLD: Final = 5

    def __init__(self, message: str = "", *, findings: tuple[Finding, ...] = (), **where: Any) -> None:
        if findings and not message:
            first, others = findings[0], [replace(one, file="") for one in findings[1 : self.TOLD]]
            message = "; ".join(map(str, (first, *others)))
            message += f" [and {len(findings) - self.TOLD} more: authflow check]" if len(findings) > self.TOLD else ""
        super().__init__(message, **where)
        self.findings = findings


class UntrustedOrigin(AuthFlowError):
    """A request to an origin at which the vendor file does not let the token be presented."""


class ConfigurationError(AuthFlowError):
    """What the caller gave does not fit: an unknown vendor, a missing setting, an adapter in the wrong client."""


class StoreError(AuthFlowError):
    """The place where tokens are kept cannot be read, written or locked."""


def forget_locals(error: BaseException) -> None:
    """Clear the variables of every function that an error, its causes and contexts have left: many hold secrets, and
    what shows tracebacks (rich, pytest, crash reporters) shows them too. Files and lines stay.
    """
    known = set[int]()
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            traceback.clear_frames(one.__traceback__)
            found += [one.__cause__, one.__context__]
            found += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


@contextmanager
def sealed() -> Iterator[None]:
    """Whatever is raised in this block leaves it without the variables of the functions that it came through."""
    try:
        yield
    except BaseException as error:
        forget_locals(error)
        raise


def as_also(error: AuthFlowError, base: type[Exception], **attributes: Any) -> AuthFlowError:
    """`error` as an instance of `base` too, with `attributes` set as that client's users expect (`request`, say).

    It takes no secret along: see `forget_locals`.
    """
    forget_locals(error)
    return _remake(_own_class(type(error)), base, error.args, {**error.__dict__, **attributes})


def _remake(
    cls: type[AuthFlowError], also: type[Exception] | None, args: tuple[Any, ...], attributes: dict[str, Any]
) -> AuthFlowError:
    if also is not None:
        cls = _both(cls, also)  # type: ignore[arg-type]
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


@functools.cache
def _both(cls: type[AuthFlowError], also: type[Exception]) -> type[AuthFlowError]:
    return type(cls.__name__, (cls, also), {"_also": also, "__module__": cls.__module__, "__doc__": cls.__doc__})


def _own_class(cls: type[AuthFlowError]) -> type[AuthFlowError]:
    return cls.__mro__[1] if "_also" in cls.__dict__ else cls
