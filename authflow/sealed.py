"""The base of all values that may hold a secret: requests, answers, presentations, grants, records, tokens, values.

Frozen values pass between the parts; what prints them, with whatever tool, shows the names of what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

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
