"""gRPC takes a token for each call: a call credentials plugin asks the session, which has it at hand."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.built_on.conftest import Vendor, recipe

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: make recipes")


@pytest.fixture
def address(vendor: Vendor) -> Iterator[str]:
    """A gRPC server that takes bytes, and gives them back to those who come with a good token."""

    def echo(request: bytes, context: Any) -> bytes:
        if not vendor.admits(dict(context.invocation_metadata())):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "another token, please")
        return request

    handlers = grpc.method_handlers_generic_handler("deliveries", {"Echo": grpc.unary_unary_rpc_method_handler(echo)})
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_every_call_carries_a_good_token(vendor: Vendor, address: str) -> None:
    session = vendor.session()
    credentials = recipe("grpc_call.py", session)["credentials"]
    with grpc.secure_channel(address, credentials) as channel:
        call = channel.unary_unary("/deliveries/Echo")
        assert [call(b"42", timeout=30), call(b"43", timeout=30)] == [b"42", b"43"]
        assert (vendor.logins, vendor.refused) == (1, 0)
        vendor.revoke()
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            call(b"44", timeout=30)
        session.login()
        assert call(b"45", timeout=30) == b"45"
