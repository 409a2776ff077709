"""A client that openapi-python-client generates hands what it is given to httpx: `httpx_args={"auth": …}`."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.built_on.conftest import Vendor

pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed: make recipes")

DELIVERY = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
SPEC = {
    "openapi": "3.1.0",
    "info": {"title": "Deliveries", "version": "1"},
    "paths": {
        "/deliveries/{id}": {
            "get": {
                "operationId": "get_delivery",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {
                    "200": {"description": "There", "content": {"application/json": {"schema": DELIVERY}}},
                },
            }
        }
    },
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package that was generated."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(SPEC), "utf-8")
    (folder / "config.yaml").write_text("post_hooks: []\n", "utf-8")
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    files = ["--path", "openapi.json", "--config", "config.yaml", "--output-path", "deliveries_client"]
    subprocess.run([generator, "generate", "--meta", "none", *files], cwd=folder, check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("deliveries_client")
    sys.path.remove(str(folder))


def test_a_generated_client_logs_in_and_outlives_its_token(vendor: Vendor, generated: Any) -> None:
    get_delivery = importlib.import_module("deliveries_client.api.default.get_delivery")
    vendor.answers["/deliveries/42"] = {"status": "on its way"}
    session = vendor.session()

    client = generated.Client(vendor.url, httpx_args={"auth": session.httpx})
    with client:
        assert get_delivery.sync(42, client=client).status == "on its way"
        vendor.revoke()
        assert get_delivery.sync(42, client=client).status == "on its way"
    assert (vendor.logins, vendor.refused) == (3, 1)

    async def run() -> list[Any]:
        async with generated.Client(vendor.url, httpx_args={"auth": session.httpx}) as client:
            return await asyncio.gather(*(get_delivery.asyncio(42, client=client) for _ in range(20)))

    assert [delivery.status for delivery in asyncio.run(run())] == ["on its way"] * 20
    assert (vendor.logins, vendor.refused) == (3, 1)
