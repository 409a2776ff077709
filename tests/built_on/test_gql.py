"""gql's transports over requests and httpx take the adapters as they are: `auth=`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("gql", reason="gql is not installed: make recipes")

from gql import Client, gql
from gql.transport import httpx as over_httpx
from gql.transport.requests import RequestsHTTPTransport

from tests.built_on.conftest import Vendor

QUERY = gql("{ delivery(id: 42) { status } }")
DELIVERY = {"delivery": {"status": "on its way"}}


@pytest.fixture
def graphql(vendor: Vendor) -> str:
    vendor.answers["/graphql"] = {"data": DELIVERY}
    return f"{vendor.url}/graphql"


def adapter(session: Any) -> Any:
    """gql takes httpx2 where it is installed, and httpx elsewhere; the session has an adapter for each."""
    return getattr(session, over_httpx.httpx.__name__)


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_a_query_logs_in_and_outlives_its_token(vendor: Vendor, graphql: str, library: str) -> None:
    session = vendor.session()
    transport: Any = (
        RequestsHTTPTransport(graphql, auth=session.requests)
        if library == "requests"
        else over_httpx.HTTPXTransport(graphql, auth=adapter(session))
    )
    with Client(transport=transport) as client:
        assert client.execute(QUERY) == DELIVERY
        vendor.revoke()
        assert client.execute(QUERY) == DELIVERY
    assert (vendor.logins, vendor.refused) == (3, 1)


def test_many_queries_at_once_cost_one_login(vendor: Vendor, graphql: str) -> None:
    transport = over_httpx.HTTPXAsyncTransport(graphql, auth=adapter(vendor.session()))

    async def run() -> list[Any]:
        async with Client(transport=transport) as client:
            return await asyncio.gather(*(client.execute(QUERY) for _ in range(20)))

    assert asyncio.run(run()) == [DELIVERY] * 20
    assert (vendor.logins, vendor.refused) == (1, 0)
