"""The bag of named values that templates are filled from.

    captured    what the vendor's answers said                  stored, except nothing that the user gave
    given       settings and credentials                        never stored; a callable is asked when first needed
    derived     computed from the others at render time         never stored

The first that knows a name wins. One bag serves one climb (or one rendering): what a callable answered and what was
derived stay the same within it, and are asked anew in the next.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any

from authflow.errors import ConfigurationError
from authflow.flow import needs
from authflow.model import Derived, Vendor
from authflow.template import ABSENT, Unbound, Unfit

Given = Mapping[str, str | int | Callable[[], str]]


class Sealed(Mapping[str, Any]):
    """Settings and credentials by name. Whatever prints it, and with whatever tool, shows their names alone.

    There may be very many, with the same names: these they share.
    """

    __slots__ = ("_names", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._names = _shared(tuple(values))
        self._values = tuple(values.values())

    def __repr__(self) -> str:
        return f"<Sealed {', '.join(self._names) or 'nothing'}>"

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[self._names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        return self._values[self._names.index(name)] if name in self._names else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


class Bag(Mapping[str, Any]):
    """`get(name)` gives a value, or None where there is none."""

    def __init__(self, vendor: Vendor, given: Given, captured: Mapping[str, Any], now: float) -> None:
        self.vendor = vendor
        self.given = given
        self._now = now
        self._answered: dict[str, Any] = {}
        self.captured = captured

    def __repr__(self) -> str:
        return f"<Bag of {', '.join(self) or 'nothing'}>"

    def with_captured(self, captured: Mapping[str, Any]) -> Bag:
        """The same bag later in the climb: answers given so far are kept, derived values are computed anew."""
        later = Bag(self.vendor, self.given, captured, self._now)
        later._answered = {name: value for name, value in self._answered.items() if name in self.given}
        return later

    def at(self, now: float) -> Bag:
        """Let derived values be computed for this instant (epoch seconds)."""
        self._now = now
        return self

    def answered(self, name: str) -> bool:
        """Has a callable given this credential during this climb?"""
        return name in self._answered

    def __getitem__(self, name: str) -> Any:
        value = self.captured.get(name)
        if value is None:
            value = self._answered.get(name)
        if value is None:
            value = self.given.get(name)
            if callable(value):
                value = self._answered[name] = self._asked(name, value())
        if value is None and name in self.vendor.derive:
            value = self._answered[name] = self._derive(self.vendor.derive[name])
        if value is None and name == "base_url":
            value = self.base_url
        if value is None:
            raise KeyError(name)
        return value

    def _asked(self, name: str, value: Any) -> Any:
        """What a callable gave. Raises ConfigurationError where that is no text: it would be sent, and refused."""
        if value is None or isinstance(value, str | int | float):
            return value
        reason = f"{name} is text, and its callable gave {type(value).__name__}"
        raise ConfigurationError(f"{self.vendor.title}: {reason}", vendor=self.vendor.name)

    @property
    def secrets(self) -> Iterator[str]:
        """Every text that must not be shown: what was captured, answered or derived, and what was given as a secret.
        Asks no callable.
        """
        known = [entry for name, entry in self.given.items() if name in self._hidden]
        return _texts([known, dict(self.captured), self._answered])

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
        except Exception as error:  # a plugin's function may raise anything
            raise Unfit(f"{row.function_name} cannot compute {row.name}: {type(error).__name__}") from error

    @property
    def base_url(self) -> str:
        """A captured base URL, else the caller's, else the file's. Raises Unbound, Unfit."""
        known = self.captured.get("base_url") or self.given.get("base_url")
        return str(known) if known else self.vendor.base_url.render(self)

    @property
    def bound(self) -> Container[str]:
        """The names that need no capture in order to be there. Asks no callable."""
        return _Bound(self)

    def __iter__(self) -> Iterator[str]:
        return iter({**self.captured, **self.given, **self.vendor.derive})

    def __len__(self) -> int:
        return len(list(iter(self)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


class _Bound(Container[str]):
    def __init__(self, bag: Bag) -> None:
        self._bag = bag

    def __contains__(self, name: object) -> bool:
        bag = self._bag
        if name == "base_url" or bag.given.get(str(name)) is not None:
            return True
        row = bag.vendor.derive.get(str(name))
        return row is not None and all(
            need in self or bag.captured.get(need) is not None for need in needs(row.argument.holes())
        )
