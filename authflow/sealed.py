"""The base of all values that may hold a secret: requests, answers, presentations, grants, records, tokens, values.

Frozen values pass between the parts; what prints them, with whatever tool, shows the names of what they hold. And a
call that strangers make is a `sealed_call`: its arguments may be secrets, and crash reporters look at the variables of
each function that an error came through.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

from authflow.errors import forget_locals

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound="type[Sealed]")


class Sealed:
    """The base of all values that may hold a secret: frozen, and their repr names what they hold and shows none of it.

    They are no mappings, no sequences and no dataclasses, and have no `__dict__`: crash reporters, pytest and rich walk
    through those without asking for a repr. Pickles hold everything, as they must.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        held = [name.strip("_") for name in self._fields if getattr(self, name) not in (None, "", ())]
        return f"<{type(self).__name__} with {', '.join(held) or 'nothing'}>"

    def replace(self, **changes: Any) -> Self:
        """The same value but for `changes`."""
        return type(self)(**{**{name: getattr(self, name) for name in self._fields}, **changes})

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self._fields)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def sealed_value(cls: T) -> T:
    """Like `@dataclass(frozen=True, slots=True)`, but without the metadata that tools walk through."""
    made: Any = dataclass(frozen=True, slots=True, repr=False)(cls)
    made._fields = tuple(made.__dataclass_fields__)
    del made.__dataclass_fields__, made.__dataclass_params__
    for name in ("__getstate__", "__setstate__", "__replace__"):
        if name in made.__dict__:
            delattr(made, name)
    return made  # type: ignore[no-any-return]


@sealed_value
class Held(Sealed):
    """Anything at all, such as a store's URL with its password, out of the sight of who prints what holds it."""

    it: Any


@sealed_value
class _Call(Sealed):
    """A call with its arguments. Its frame is gone by the time an error is seen, and its variables with it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]

    def __call__(self) -> Any:
        return self.function(*self.arguments, **self.named)


def sealed_call(function: F) -> F:
    """A function out of which no error carries a variable that may be a secret: neither of the functions below, nor its
    own arguments.
    """

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        call = _Call(function, arguments, named)
        arguments, named = (), {}  # reporters look for them under these names
        try:
            return call()
        except BaseException as error:
            forget_locals(error)
            raise

    @functools.wraps(function)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        call = _Call(function, arguments, named)
        arguments, named = (), {}  # reporters look for them under these names
        try:
            return await call()
        except BaseException as error:
            forget_locals(error)
            raise

    return cast(F, awaited if inspect.iscoroutinefunction(function) else called)
