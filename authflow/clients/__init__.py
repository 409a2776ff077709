"""The edges: for each HTTP library, how to give it the token, and how to send an exchange through it.

    requests, httpx, niquests, aiohttp               `auth=`, or a middleware: lays a grant over the caller's requests,
                                                     shows the manager their answers
    requests_wire, httpx_wire, aiohttp_wire          the request and the response of each library, taken apart
    requests_sender, httpx_sender, aiohttp_sender    exchanges through each library
    starting, httpx_start                            the start of a body that the caller streams
    base, deadline, quiet                            what all senders have in common

They know their library and nothing of states; the session manager knows nothing of libraries. Each module is imported
only when its library is in use. A new client is a module like these and a row in `ADAPTERS`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

from authflow.clients.base import ADAPTERS, cookie_header, no_answer, wrong_adapter
from authflow.errors import ConfigurationError
from authflow.manager import SessionManager
from authflow.renewing import Sender

__all__ = ["ADAPTERS", "adapter", "cookie_header", "default_sender", "no_answer", "sender_for", "wrong_adapter"]


def _module(library: str) -> Any:
    return importlib.import_module(f"authflow.clients.{ADAPTERS[library]}")


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    """The `auth=` object for a library. A pickled one is asked of its `owner` again. Raises ConfigurationError if the
    library is not installed.
    """
    try:
        return _module(library).adapter(library, manager, owner)
    except ImportError as error:
        if error.name != library:
            raise
        raise ConfigurationError(f"{library} is not installed: pip install 'authflow-http[{library}]'") from None


def sender_for(client: Any) -> Sender:
    """The sender for a client that the user gave. Raises ConfigurationError."""
    if callable(getattr(client, "exchange", None)):
        return client  # type: ignore[no-any-return]
    for cls in type(client).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in ADAPTERS and cls.__name__ == "AsyncSession":
            break  # niquests', which is a `Session` by inheritance
        if library in ADAPTERS and cls.__name__ in ("Session", "Client"):
            return _module(library).sender(library, client)  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"client= takes a requests.Session, an httpx.Client or their like (synchronous, also for async callers), "
        f"not {type(client).__module__}.{type(client).__qualname__}"
    )


@functools.cache
def default_sender(preferred: str = "") -> Sender:
    """A sender of the library in use, or else of the first that is installed; one for all who ask. Raises
    ConfigurationError.
    """
    for library in (preferred, *ADAPTERS):
        if library and importlib.util.find_spec(library) is not None:
            return _module(library).sender(library, None)  # type: ignore[no-any-return]
    raise ConfigurationError(
        "no HTTP client is installed: pip install 'authflow-http[httpx]' or 'authflow-http[requests]'"
    )
