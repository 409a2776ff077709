"""The hooks that plugins may implement (pluggy, project name and entry-point group `authflow`).

Which of them a session needs is settled when it is made: a hook that nobody implements costs nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from authflow.errors import AuthFlowError
    from authflow.http import Answer, Presentation, Request
    from authflow.stores import Store
    from authflow.templates import Converter
    from authflow.vendors import Function, Signer, Vendor

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


@hookspec
def authflow_signers() -> Mapping[str, type[Signer]]:  # type: ignore[empty-body]
    """Signers for `sign.NAME`, by name: each is called without arguments to make one for a session."""


@hookspec(firstresult=True)
def authflow_rewrite_url(vendor: Vendor, url: str) -> str | None:
    """Another URL for a caller's request, or None. Asked after the file's own `[[rewrites]]`; the first answer
    counts.
    """


@hookspec(firstresult=True)
def authflow_sign(
    vendor: Vendor, request: Request, values: Mapping[str, Any]
) -> Presentation | Mapping[str, str] | None:
    """What signs a request: headers, or a `Presentation` where it stands elsewhere; or None: nothing for this vendor.

    Asked for every exchange, and for every request of a caller's that carries a token, with the token on it. A body
    that cannot be seen before it is sent (a stream) is None. `values` holds settings, credentials and what answers
    brought. Where any plugin implements this, each request of each session is asked about: say None soon.
    """


@hookspec(firstresult=True)
def authflow_exchange(
    vendor: Vendor, exchange: str, request: Request, values: Mapping[str, Any], send: Callable[[Request], Answer]
) -> Answer | None:
    """A step in code: the answer to an exchange, or None: let the request be sent as it is.

    What it returns is judged by the exchange's own `answers`, so that the flow and its proofs stay as the file says.
    `send` sends requests, within the renewal's time and only to where the vendor's exchanges may go.
    """


# Observers: for logs, metrics and traces. They are called from the thread that renewals, between `begins` and `ends`.
# `account` is the hash under which the session's record is kept. An implementation takes the arguments that it wants.


@hookspec
def authflow_transition(
    vendor: Vendor, account: str, before: str, event: str, after: str, exchange: str, seconds: float | None
) -> None:
    """The flow went from one state to another. `exchange` was sent for it and took `seconds`; or, where it is "", the
    event came from the clock, or from an answer to a caller's own request.
    """


@hookspec
def authflow_renewal_begins(vendor: Vendor, account: str, cause: str) -> None:
    """A renewal begins: because of an event (`expired`, `rejected`, …), at the `start`, or by `login()`."""


@hookspec
def authflow_renewal_ends(
    vendor: Vendor,
    account: str,
    cause: str,
    state: str,
    expires_at: float | None,
    waiters: int,
    seconds: float,
    error: AuthFlowError | None,
) -> None:
    """The renewal ended in `state`, with a token until `expires_at` (epoch seconds); or, where state is "", with
    `error` (None: one that is not authflow's). So many callers waited for it.
    """
