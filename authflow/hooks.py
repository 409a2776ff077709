"""The hooks that plugins may implement (pluggy, project name and entry-point group `authflow`).

Which of them a session needs is settled when it is made: a hook that nobody implements costs nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from authflow.converters import Converter
    from authflow.derive import Function
    from authflow.stores.base import Store
    from authflow.vendor import Vendor

PROJECT = "authflow"
hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a plugin's implementation of a hook.
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def authflow_vendors() -> Sequence[Vendor | Path | Mapping[str, Any]]:  # type: ignore[empty-body]
    """Vendors that the plugin brings: vendor files (paths), mappings, or `Vendor` objects."""


@hookspec
def authflow_stores() -> Mapping[str, Callable[[str], Store]]:  # type: ignore[empty-body]
    """Stores by URL scheme: each factory is called with the whole URL."""


@hookspec
def authflow_converters() -> Mapping[str, Converter]:  # type: ignore[empty-body]
    """Converters for `{name:converter}`, by name."""


@hookspec
def authflow_functions() -> Mapping[str, Function]:  # type: ignore[empty-body]
    """Functions for `[derive]`, by name."""


@hookspec(firstresult=True)
def authflow_rewrite_url(vendor: Vendor, url: str) -> str | None:
    """Another URL for a caller's request, or None. Asked after the file's own `[[rewrites]]`; the first answer
    counts.
    """


@hookspec
def authflow_transition(vendor: Vendor, before: str, event: str, after: str) -> None:
    """The flow went from one state to another. Called from the thread that climbs; for logs, metrics and traces."""
