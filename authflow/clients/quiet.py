"""While an exchange is under way, its library writes no log records about it, and Sentry no breadcrumbs and spans.

What they keep was not meant for logins: cookies that an answer sets, a URL with all of its query. So the
records of the thread that sends an exchange are dropped, for as long as it does; the session logs it by itself, masked.
Records about callers' own requests are the callers' affair.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

_CORE: Final = ("connection", "http11", "http2", "proxy", "socks")
_URLLIB3: Final = ("connection", "connectionpool", "poolmanager", "response", "util.retry", "http2.connection")
LOGGERS: Final = (
    *("aiohttp.client", "aiohttp.internal", "http.cookiejar", "httpx", "httpx2", "http3", "quic", "socks"),
    *(f"{hpack}.{name}" for hpack in ("hpack", "jh2.hpack") for name in ("hpack", "table")),
    *(f"{core}.{name}" for core in ("httpcore", "httpcore2") for name in _CORE),
    *(f"{urllib3}.{name}" for urllib3 in ("urllib3", "urllib3_future") for name in _URLLIB3),
)


class _Here(threading.local):
    exchanging = False


_here: Final = _Here()


def _may_log(record: logging.LogRecord) -> bool:
    return not _here.exchanging


@contextmanager
def quiet() -> Iterator[None]:
    """Let this thread log nothing through the HTTP libraries' loggers until the block ends, and Sentry forget it."""
    known = logging.Logger.manager.loggerDict
    for name in LOGGERS:
        if _may_log not in getattr(known.get(name), "filters", ()):
            logging.getLogger(name).addFilter(_may_log)
    before, _here.exchanging = _here.exchanging, True
    sentry: Any = sys.modules.get("sentry_sdk")
    try:
        with sentry.isolation_scope() if hasattr(sentry, "isolation_scope") else nullcontext():
            if hasattr(sentry, "get_current_scope"):
                sentry.get_current_scope().span = None  # of whose span this would be a part
            yield
    finally:
        _here.exchanging = before
