"""What a caller is told when it cannot be done: problem details (RFC 9457) that say who can act, and no secret.

status  type                 who can act
401     caller-unknown       the caller: another key
403     not-allowed          the gateway's operator: the route
502     vendor-refused       the gateway's operator: the vendor refused the account's credentials
502     vendor-answer        the vendor, or the author of its file
503     vendor-unavailable   nobody: wait
503     store-unavailable    the gateway's operator: the place where tokens are kept
"""

from __future__ import annotations

import json
import math

from starlette.responses import Response

import authflow

_KINDS: tuple[tuple[type[authflow.AuthFlowError], int, str, str], ...] = (
    (authflow.CredentialsRefused, 502, "vendor-refused", "The vendor refused the account's credentials."),
    (authflow.VendorUnavailable, 503, "vendor-unavailable", "The vendor does not answer."),
    (authflow.StoreError, 503, "store-unavailable", "The gateway cannot reach the place where it keeps tokens."),
    (authflow.UntrustedOrigin, 502, "vendor-answer", "The vendor leads to an origin that its file does not declare."),
    (authflow.VendorAnswerError, 502, "vendor-answer", "The vendor answered what its file does not foresee."),
    (authflow.AuthFlowError, 502, "misconfigured", "The gateway's operator has to look at its configuration."),
)


def problem(status: int, kind: str, title: str, *, retry_after: float | None = None, who: str = "caller") -> Response:
    """An answer with problem details; `retry_after` is in seconds."""
    body = {"type": f"urn:authflow:gateway:{kind}", "title": title, "status": status, "who_can_act": who}
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    if retry_after is not None and math.isfinite(retry_after):
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="authflow-gateway"'
    return Response(json.dumps(body), status, headers)


def of_error(error: authflow.AuthFlowError) -> Response:
    """What became of a request that authflow could not send."""
    status, kind, title = next((row[1:] for row in _KINDS if isinstance(error, row[0])), _KINDS[-1][1:])
    wait = error.retry_after
    if wait is None and status == 503:
        wait = 5.0
    return problem(status, kind, title, retry_after=wait, who="nobody" if kind == "vendor-unavailable" else "operator")
