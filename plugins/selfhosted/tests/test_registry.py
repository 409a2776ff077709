"""Docker's registry, whose tokens are for one scope each, and come from another server."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow_selfhosted.servers import Unavailable
from authflow_selfhosted.servers.docker_registry import REPOSITORY, registry

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"


@pytest.fixture(scope="module")
def inputs() -> Iterator[dict[str, Any]]:
    serving = registry(lifetime=300)
    try:
        started = serving.__enter__()
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    try:
        yield started
    finally:
        serving.__exit__(None, None, None)


def by_requests(session: authflow.AuthSession) -> requests.Session:
    client = requests.Session()
    client.trust_env, client.auth = False, session.requests
    return client


def by_httpx(session: authflow.AuthSession) -> httpx.Client:
    return httpx.Client(auth=session.httpx, trust_env=False, timeout=30)


@pytest.mark.parametrize(("client_of", "content"), [(by_requests, "data"), (by_httpx, "content")])
def test_an_image_is_pushed_and_pulled(inputs: dict[str, Any], client_of: Callable[[Any], Any], content: str) -> None:
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    described = {"mediaType": CONFIG, "size": len(config), "digest": digest}
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
    at = f"{inputs['base_url']}v2/{REPOSITORY}"
    with client_of(authflow.AuthSession("docker-registry", **inputs)) as client:
        begun = client.post(f"{at}/blobs/uploads/")
        where, binary = f"{begun.headers['Location']}&digest={digest}", {"Content-Type": "application/octet-stream"}
        kept = client.put(where, headers=binary, **{content: config})
        tagged = client.put(f"{at}/manifests/1", headers={"Content-Type": MANIFEST}, json=image)
        assert [answer.status_code for answer in (begun, kept, tagged)] == [202, 201, 201]
        assert client.get(f"{at}/tags/list").json() == {"name": REPOSITORY, "tags": ["1"]}
        assert client.get(f"{inputs['base_url']}v2/team/secret/tags/list").status_code == 401


def test_a_wrong_password_is_refused(inputs: dict[str, Any]) -> None:
    session = authflow.AuthSession("docker-registry", **{**inputs, "password": "not-the-password"})
    with pytest.raises(authflow.CredentialsRefused):
        requests.get(f"{inputs['base_url']}v2/", auth=session.requests, timeout=30)
