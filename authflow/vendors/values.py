"""The named values that templates are filled from.

    captured    what the vendor's answers said                  stored, except nothing that the user gave
    given       settings and credentials                        never stored; a callable is asked when first needed
    derived     computed from the others at render time         never stored

The first that knows a name wins. One `Values` serves one renewal (or one rendering): what a callable answered and what
was derived stay the same within it, and are asked anew in the next.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from authflow.errors import ConfigurationError
from authflow.http import Request
from authflow.sealed import Sealed
from authflow.templates import ABSENT, Unbound, Unfit
from authflow.vendors.asked import ASKED
from authflow.vendors.flow import needs
from authflow.vendors.notation import Input
from authflow.vendors.vendor import Derived, Vendor

#: So many of the texts that callables gave are remembered, to be masked.
HEARD: Final = 8
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")


def unfit(name: str, entry: Input | None, value: Any, *, credential: bool = True) -> str:
    """Why a given value would be sent in vain, or nothing. No reason shows the value."""
    if not isinstance(value, str | int | float) or (credential and isinstance(value, bool)):
        return f"{name} must be text, and is of type {type(value).__name__}"
    if not isinstance(value, str) or (value.isprintable() and value.strip()):
        return ""
    if _HALF_A_CHARACTER.search(value):
        return f"{name} is not text that can be encoded: it was read wrongly"
    if credential and not value.strip() and not (entry is not None and entry.empty):
        return f"{name} is empty"
    if credential and value.endswith(("\n", "\r")) and not re.search(r"[\r\n]", value.rstrip("\r\n")):
        return f"{name} ends in a line break, as if read from a file: strip it"
    return ""


def ask_for(vendor: Vendor, name: str, ask: Callable[[], Any]) -> Any:
    """What a user's callable gives. Its error is the user's, but for one that would end a generator of ours, or of a
    client's, as if nothing had happened.
    """
    try:
        return ask()
    except (StopIteration, StopAsyncIteration) as error:
        reason = f"the callable of {name} has no more to give ({type(error).__name__})"
        raise ConfigurationError(f"{vendor.title}: {reason}", vendor=vendor.name) from error


class Given(Sealed):
    """Settings and credentials by name. There may be very many, with the same names: these they share."""

    __slots__ = ("_held", "heard", "names")
    _fields = ("_held",)

    def __init__(self, values: Mapping[str, Any], heard: deque[str] | None = None) -> None:
        object.__setattr__(self, "names", _shared(tuple(values)))
        object.__setattr__(self, "_held", tuple(values.values()))
        asks = heard is None and self.asks
        object.__setattr__(self, "heard", deque(maxlen=HEARD) if asks else heard)

    names: tuple[str, ...]
    _held: tuple[Any, ...]
    #: What callables gave lately: later answers may echo it, and then it is masked. None where there are no callables.
    heard: deque[str] | None

    def __repr__(self) -> str:
        return f"<Given {', '.join(self.names) or 'nothing'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Given, (dict(self.items()),)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def get(self, name: str, default: Any = None) -> Any:
        return self._held[self.names.index(name)] if name in self.names else default

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self.names, self._held, strict=True)

    @property
    def asks(self) -> bool:
        """Is any of them a callable?"""
        return any(map(callable, self._held))

    def changed(self, more: Mapping[str, Any]) -> Given:
        """The same, with other values for some names."""
        return Given({**dict(self.items()), **more}, self.heard) if more else self


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


class Values(Sealed):
    """`get(name)` gives a value, or None where there is none."""

    __slots__ = ("_answered", "_earlier", "_now", "_request", "captured", "given", "vendor")
    vendor: Vendor
    given: Given
    captured: Mapping[str, Any]
    _now: float
    #: The request that rows of `[derive]` look at, while they do.
    _request: Request | None
    _answered: dict[str, Any]
    #: What this renewal knew before an answer changed it: a server may still say it.
    _earlier: tuple[Any, ...]

    def __init__(self, vendor: Vendor, given: Given, captured: Mapping[str, Any], now: float) -> None:
        for name, value in zip(self.__slots__, ({}, (), now, None, captured, given, vendor), strict=True):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<Values {', '.join(self.names) or 'nothing'}>"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple({**self.captured, **dict.fromkeys(self.given.names), **self.vendor.derive})

    def __reduce__(self) -> tuple[Any, ...]:
        return Values, (self.vendor, self.given, dict(self.captured), self._now)

    def with_captured(self, captured: Mapping[str, Any]) -> Values:
        """The same values later in the renewal: answers given so far are kept, derived values are computed anew."""
        later = Values(self.vendor, self.given, captured, self._now)
        later._answered.update((name, value) for name, value in self._answered.items() if name in self.given)
        derived = [value for name, value in self._answered.items() if name not in self.given]
        known = {name: value for name, value in self.captured.items() if name != "reason"}
        fresh = (derived, known) if captured != self.captured else ()
        object.__setattr__(later, "_earlier", (*self._earlier, *fresh))
        return later

    def at(self, now: float) -> Values:
        """Let derived values be computed for this instant (epoch seconds)."""
        object.__setattr__(self, "_now", now)
        return self

    def of(self, request: Request | None) -> Values:
        """Let derived values see this request, those too that have seen another."""
        if self._request is not None:
            for name in [name for name in self._answered if self._looks(name)]:
                del self._answered[name]
        object.__setattr__(self, "_request", request)
        return self

    def _looks(self, name: str) -> bool:
        """Does this value hang on the request?"""
        row = self.vendor.derive.get(name)
        return name in ASKED or (
            row is not None and any(self._looks(placeholder.name) for placeholder in row.argument.placeholders())
        )

    def answered(self, name: str) -> bool:
        """Has a callable given this credential during this renewal?"""
        return name in self._answered

    def recall(self, asked: Mapping[str, Any]) -> Values:
        """Let these be what callables have given, which are not asked then."""
        self._answered.update(asked)
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """What callables have given during this renewal."""
        return {name: value for name, value in self._answered.items() if callable(self.given.get(name))}

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        value = self.captured.get(name)
        if value is None:
            value = self.as_given(name)
        if value is None and name in self.vendor.derive:
            value = self._answered[name] = self._derive(self.vendor.derive[name])
        if value is None and name == "base_url":
            value = self.base_url
        if value is None and self._request is not None and name in ASKED:
            value = ASKED[name](self._request)
        return default if value is None else value

    def as_given(self, name: str) -> Any:
        """What the user gave or was asked for, or what was derived, whatever an answer has brought in its place."""
        value = self._answered.get(name)
        if value is None:
            value = self.given.get(name)
            if callable(value):
                value = self._answered[name] = self._asked(name, value)
        return value

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None

    def _asked(self, name: str, ask: Callable[[], Any]) -> Any:
        """What a callable gave. Raises ConfigurationError where that would be sent in vain, or where it failed."""
        value = ask_for(self.vendor, name, ask)
        if value is not None and (reason := unfit(name, self.vendor.inputs.get(name), value)):
            raise ConfigurationError(f"{self.vendor.title}: {reason} (its callable gave it)", vendor=self.vendor.name)
        if self.given.heard is not None and name in self._hidden and value is not None:
            self.given.heard.append(str(value))
        return value

    @property
    def secrets(self) -> Iterator[str]:
        """Every text that must not be shown: what was captured, answered or derived, and what was given as a secret.
        Asks no callable.
        """
        known = [entry for name, entry in self.given.items() if name in self._hidden and not callable(entry)]
        numbers = [str(self.captured[name]) for name in ("access", "refresh") if name in self.captured]
        answered = [str(value) for value in self._answered.values() if isinstance(value, int | float)]
        brought = {name: value for name, value in self.captured.items() if name != "reason"}
        heard = tuple(self.given.heard or ())
        return _texts([*map(str, known), *numbers, *answered, brought, self._answered, *self._earlier, *heard])

    @property
    def _hidden(self) -> Container[str]:
        return {*self.vendor.credentials, *(name for name, entry in self.vendor.settings.items() if entry.secret)}

    def _derive(self, row: Derived) -> Any:
        try:
            argument = row.argument.render(self)
        except Unbound:
            return None
        try:
            return None if argument is ABSENT else row.function.compute(argument, self._now)
        except ImportError as error:
            advice = "pip install 'authflow-http[encrypted]'"
            raise Unfit(f"{row.function_name} needs {error.name}: {advice}") from error
        except Unfit as error:
            raise Unfit(f"{row.function_name} cannot compute {row.name}: {error}") from None
        except Exception as error:  # a plugin's function may raise anything
            raise Unfit(f"{row.function_name} cannot compute {row.name}: {type(error).__name__}") from error

    @property
    def base_url(self) -> str:
        """A captured base URL, else the caller's, else the file's. Raises Unbound, Unfit."""
        known = self.captured.get("base_url") or self.given.get("base_url")
        return str(known) if known else self.vendor.base_url.render(self)

    @property
    def given_base_url(self) -> str:
        """The user's base URL, else the file's, whatever an answer has brought. Raises Unbound, Unfit."""
        known = self.given.get("base_url")
        return str(known) if known else self.vendor.base_url.render(self.with_captured({}))

    @property
    def bound(self) -> Container[str]:
        """The names that need no capture in order to be there. Asks no callable."""
        return _Bound(self)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


class _Bound(Container[str]):
    def __init__(self, values: Values) -> None:
        self._values = values

    def __contains__(self, name: object) -> bool:
        values = self._values
        if name == "base_url" or name in ASKED or values.given.get(str(name)) is not None:
            return True
        row = values.vendor.derive.get(str(name))
        return row is not None and all(
            need in self or values.captured.get(need) is not None for need in needs(row.argument.placeholders())
        )
