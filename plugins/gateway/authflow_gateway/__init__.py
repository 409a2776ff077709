"""A vendor's login behind a plain HTTP address, for everything that is not Python.

    caller ──key──▶ gateway ──AuthSession──▶ vendor

    config       the file: where to listen, and the routes, each with what it allows
    callers      who may call: keys, kept as hashes
    forwarding   pure: which route a request takes, and what of a message goes on to the other side
    sieve        what of an answer would show a secret
    problems     what a caller is told when it cannot be done (RFC 9457)
    wire         callers that take their time
    app          the ASGI application that joins them
    command      `authflow-gateway`

What a caller sends for authentication stays here, and so does what the vendor sends for it.
"""

from authflow_gateway.app import app_from_environment, create_app
from authflow_gateway.config import Config, Route, read_config

__all__ = ["Config", "Route", "app_from_environment", "create_app", "read_config"]
