"""Logs in for you: give a session to the HTTP client you already use, and every request carries a good token.

    session = authflow.AuthSession("supplier", username="…", password="…")
    requests.get(url, auth=session.requests)         # session.niquests likewise
    httpx.Client(auth=session.httpx)                 # and AsyncClient; session.httpx2 likewise
    session.token().access                           # for anything else; in a shell: authflow token supplier

A vendor is a file: states, exchanges and two-way templates (`authflow.vendors`). What can go wrong is one tree of
errors (`authflow.errors`), and each is the client's own error too. Tokens are kept in memory, unless `store=` says
otherwise (`authflow.stores`). Test your code and your vendor files with `authflow.testing`. The README has the rest.

Names are imported when they are first used, so that `import authflow` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authflow.accounts import Token
    from authflow.errors import (
        AuthFlowError,
        ConfigurationError,
        CredentialsRefused,
        StoreError,
        UntrustedOrigin,
        VendorAnswerError,
        VendorFileError,
        VendorUnavailable,
    )
    from authflow.plugins import hookimpl
    from authflow.session import AuthSession, Status
    from authflow.vendors import Vendor

_HOMES = {
    "AuthFlowError": "errors",
    "AuthSession": "session",
    "ConfigurationError": "errors",
    "CredentialsRefused": "errors",
    "Status": "session",
    "StoreError": "errors",
    "Token": "accounts",
    "UntrustedOrigin": "errors",
    "Vendor": "vendors",
    "VendorAnswerError": "errors",
    "VendorFileError": "errors",
    "VendorUnavailable": "errors",
    "hookimpl": "plugins",
}

__all__ = [
    "AuthFlowError",
    "AuthSession",
    "ConfigurationError",
    "CredentialsRefused",
    "Status",
    "StoreError",
    "Token",
    "UntrustedOrigin",
    "Vendor",
    "VendorAnswerError",
    "VendorFileError",
    "VendorUnavailable",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("authflow-http")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
