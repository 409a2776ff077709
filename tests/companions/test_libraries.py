"""Libraries that are built on the clients: how each is given a session, and that a rejected token is renewed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.test_habits import Vendor
from tests.servers import Came, Says


def api(listen: Any, says: Any) -> tuple[Vendor, Any, str]:
    """A vendor whose good requests `says` answers, a session whose first token is revoked, and the vendor's URL."""
    acme = Vendor(listen, lambda came: Says(json=says(came) if callable(says) else says))
    session = acme.session()
    session.token()
    acme.revoke()
    return acme, session, acme.listener.url


def test_openai(listen: Any) -> None:
    """Its own Authorization, with `api_key`, is replaced by the session's."""
    openai, httpx = pytest.importorskip("openai"), pytest.importorskip("httpx")
    acme, session, url = api(listen, {"object": "list", "data": [{"id": "m", "object": "model"}]})
    with httpx.Client(auth=session.httpx) as http:
        client = openai.OpenAI(base_url=url, api_key="unused", http_client=http, max_retries=0)
        assert [model.id for model in client.models.list()] == ["m"]
    assert acme.granted == 3


def test_openai_over_aiohttp(listen: Any) -> None:
    """Its own client for aiohttp is one of httpx2's, where that is installed; a key in a header of its own is sent."""
    openai = pytest.importorskip("openai")
    pytest.importorskip("httpx_aiohttp")
    listener = listen(lambda came: Says(json={"object": "list", "data": [{"id": came.headers.get("x-key")}]}))
    file = {"extends": "api-key", "name": "acme", "base_url": f"{listener.url}/"}
    present = {"states": {"signed_in": {"present": {"headers": {"X-Key": "{api_key}"}}}}}
    session = authflow.AuthSession({**file, **present}, api_key="k3y")

    async def use() -> list[str]:
        async with openai.DefaultAioHttpClient(auth=session.httpx2) as http:
            client = openai.AsyncOpenAI(base_url=listener.url, api_key="unused", http_client=http, max_retries=0)
            return [model.id async for model in client.models.list()]

    assert asyncio.run(use()) == ["k3y"]


def test_anthropic(listen: Any) -> None:
    """It is built on httpx2."""
    anthropic, httpx2 = pytest.importorskip("anthropic"), pytest.importorskip("httpx2")
    acme, session, url = api(listen, {"data": [], "has_more": False, "first_id": None, "last_id": None})
    with httpx2.Client(auth=session.httpx2) as http:
        client = anthropic.Anthropic(base_url=url, api_key="unused", http_client=http, max_retries=0)
        assert list(client.models.list()) == []
    assert acme.granted == 3


def test_opensearch_async(listen: Any) -> None:
    """It makes an aiohttp session itself, and asks nobody about middlewares: `session.headers(url)` it is."""
    opensearchpy = pytest.importorskip("opensearchpy")
    _acme, session, url = api(listen, {"version": {"number": "2", "distribution": "opensearch"}})
    session.login()

    async def use() -> Any:
        headers = await session.aheaders(f"{url}/")
        async with opensearchpy.AsyncOpenSearch(url, headers=headers) as client:
            return await client.info()

    assert asyncio.run(use())["version"]["number"] == "2"


def test_opensearch(listen: Any) -> None:
    opensearchpy = pytest.importorskip("opensearchpy")
    acme, session, url = api(listen, {"version": {"number": "2", "distribution": "opensearch"}})
    client = opensearchpy.OpenSearch(
        url, connection_class=opensearchpy.RequestsHttpConnection, http_auth=session.requests, max_retries=0
    )
    assert client.info()["version"]["number"] == "2"
    assert acme.granted == 3


def test_fsspec(listen: Any) -> None:
    """`client_kwargs` are those of aiohttp's session."""
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    acme, session, url = api(listen, {"fine": 1})
    files = fsspec.filesystem("http", client_kwargs={"middlewares": [session.aiohttp]}, skip_instance_cache=True)
    assert files.cat(f"{url}/data") == b'{"fine": 1}'
    assert acme.granted == 3


def test_gql_over_aiohttp(listen: Any) -> None:
    gql = pytest.importorskip("gql")
    transports = pytest.importorskip("gql.transport.aiohttp")
    acme, session, url = api(listen, {"data": {"one": 1}})

    async def use() -> Any:
        own = {"middlewares": [session.aiohttp]}
        transport = transports.AIOHTTPTransport(url=f"{url}/graphql", client_session_args=own)
        async with gql.Client(transport=transport) as client:
            return await client.execute(gql.gql("{ one }"))

    assert asyncio.run(use()) == {"one": 1}
    assert acme.granted == 3


def test_jira(listen: Any) -> None:
    jira = pytest.importorskip("jira")
    acme, session, url = api(listen, {"name": "alice", "baseUrl": "x", "version": "9"})
    client = jira.JIRA(url, get_server_info=False, max_retries=0)
    client._session.auth = session.requests
    assert client.myself()["name"] == "alice"
    assert acme.granted == 3


def test_atlassian(listen: Any) -> None:
    atlassian, requests = pytest.importorskip("atlassian"), pytest.importorskip("requests")
    acme, session, url = api(listen, {"key": "A-1"})
    http = requests.Session()
    http.auth = session.requests
    assert atlassian.Jira(url, session=http).issue("A-1")["key"] == "A-1"
    assert acme.granted == 3


def test_gitlab(listen: Any) -> None:
    gitlab, requests = pytest.importorskip("gitlab"), pytest.importorskip("requests")
    acme, session, url = api(listen, {"id": 7, "name": "seven"})
    http = requests.Session()
    http.auth = session.requests
    assert gitlab.Gitlab(url, session=http).projects.get(7).name == "seven"
    assert acme.granted == 3


def test_pygithub(listen: Any) -> None:
    """Its `Auth` is a token: give it one that holds for the job, from `session.token()`."""
    github = pytest.importorskip("github")
    acme, session, url = api(listen, lambda came: {"login": "alice"})
    session.login()
    auth = github.Auth.Token(session.token().access)
    client = github.Github(auth=auth, base_url=url, retry=None, seconds_between_requests=0)
    with pytest.raises(github.GithubException):
        assert client.get_user().login == "alice"
    assert {came.headers["authorization"] for came in acme.listener.came if came.path == "/user"} == {"token token-3"}


def test_pysolr(listen: Any) -> None:
    pysolr = pytest.importorskip("pysolr")
    acme, session, url = api(listen, {"response": {"numFound": 0, "docs": []}})
    assert len(pysolr.Solr(f"{url}/solr", auth=session.requests).search("*:*")) == 0
    assert acme.granted == 3


def test_zeep(listen: Any) -> None:
    zeep, requests = pytest.importorskip("zeep"), pytest.importorskip("requests")

    def says(came: Came) -> Says:
        return Says(body=b"<a/>", headers={"Content-Type": "text/xml"})

    acme, session, url = api(listen, {})
    acme.data = says
    http = requests.Session()
    http.auth = session.requests
    assert zeep.Transport(session=http).load(f"{url}/service.wsdl") == b"<a/>"
    assert acme.granted == 3


def test_elasticsearch(listen: Any) -> None:
    """Of its own, it has a `requests` node class, whose session takes an auth."""
    elasticsearch = pytest.importorskip("elasticsearch")
    pytest.importorskip("requests")
    acme, session, url = api(listen, {"version": {"number": "9.0.0"}, "tagline": "x"})
    acme.data = lambda came: Says(json={"version": {"number": "9.0.0"}}, headers={"X-Elastic-Product": "Elasticsearch"})
    from elastic_transport import RequestsHttpNode

    class Node(RequestsHttpNode):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.session.auth = session.requests

    client = elasticsearch.Elasticsearch(url, node_class=Node, max_retries=0)
    assert client.info()["version"]["number"] == "9.0.0"
    assert acme.granted == 3


def test_uplink(listen: Any) -> None:
    uplink, requests = pytest.importorskip("uplink"), pytest.importorskip("requests")
    acme, session, url = api(listen, {"fine": 1})

    class Acme(uplink.Consumer):  # type: ignore[misc]
        @uplink.returns.json
        @uplink.get("data")
        def data(self) -> Any: ...

    http = requests.Session()
    http.auth = session.requests
    assert Acme(base_url=f"{url}/", client=http).data() == {"fine": 1}
    assert acme.granted == 3


def test_robotframework_requests(listen: Any) -> None:
    robot = pytest.importorskip("RequestsLibrary")
    acme, session, url = api(listen, {"fine": 1})
    library = robot.RequestsLibrary()
    library.create_custom_session("acme", url, auth=session.requests)
    assert library.get_on_session("acme", "/data").json() == {"fine": 1}
    assert acme.granted == 3


def test_what_is_tried_has_its_line() -> None:
    """Each library of this environment stands in the table for users (`rich` is for the tests)."""
    here = Path(__file__).parent
    names = [re.split(r"\[", line)[0] for line in (here / "requirements.txt").read_text().splitlines()[1:]]
    said = (here.parents[1] / "plugins" / "recipes" / "COMPANIONS.md").read_text().lower()
    assert [name for name in names if name.lower() not in said and name != "rich"] == []
