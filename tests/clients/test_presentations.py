"""What is presented in a query or a body, over every client: laid over the caller's own, taken back, and laid anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from authflow.errors import ConfigurationError
from tests.clients.drivers import DRIVERS, Driver

pytest.importorskip("httpx", reason="the stage stands on httpx")

from tests.scenarios.stage import FRAME, Stage, staged
from tests.servers import Came, Says

PRESENT = 'present = { headers = { Authorization = "Bearer {access}" } }'


class Case(NamedTuple):
    """`present` of a file, what a caller sends (as httpx takes it), and what must come in beside the token."""

    present: str
    sends: Mapping[str, Any]
    parts: tuple[str, ...]


CASES = {
    "query": Case('{ query = { key = "{access}" } }', {}, ("/api/data?a=%E9&flag&b=+&key=TOKEN ",)),
    "json": Case('{ json = { auth = "{access}" } }', {"json": {"a": 1}}, ('{"a":1,"auth":"TOKEN"}',)),
    "list": Case(
        '{ json = { params = ["{access}"] } }', {"json": {"params": ["", "x", {}]}}, ('{"params":["TOKEN","x",{}]}',)
    ),
    "left": Case(
        '{ json = { params = ["{_}", "{access}"] } }', {"json": {"params": [1, 2, 3]}}, ('{"params":[1,"TOKEN",3]}',)
    ),
    "form": Case('{ form = { auth = "{access}" } }', {"data": {"a": "1", "auth": "old"}}, ("a=1&auth=TOKEN",)),
    "multipart": Case(
        '{ form = { auth = "{access}" } }',
        {"data": {"auth": "old"}, "files": {"file": ("f.bin", b"content")}},
        ('name="auth"\r\n\r\nTOKEN\r\n--', 'filename="f.bin"', "\r\n\r\ncontent\r\n--"),
    ),
    "text": Case('{ text = { "@T@" = "{access:xml}" } }', {"content": "<a>@T@</a>"}, ("<a>TOKEN</a>",)),
    "no text": Case('{ text = { "@T@" = "{access:xml}" } }', {}, ("/api/data?a=%E9&flag&b=+&key=mine ",)),
}


def sent_by(client: Driver, sends: Mapping[str, Any]) -> dict[str, Any]:
    """The same for this client."""
    if client.library == "aiohttp" and "files" in sends:
        import aiohttp

        form = aiohttp.FormData(sends.get("data", {}))
        for name, (filename, content) in sends["files"].items():
            form.add_field(name, content, filename=filename)
        return {"data": form}
    renamed = {} if client.library.startswith("httpx") else {"content": "data"}
    return {renamed.get(name, name): value for name, value in sends.items()}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage


def load(stage: Stage, present: str) -> None:
    tokens = iter(["t<1", "t<2"])
    rejected: list[Came] = []

    def login(came: Came) -> Says:
        return Says(200, {"token": next(tokens)})

    def data(came: Came) -> Says:
        rejected.append(came)
        return Says(401 if len(rejected) == 1 else 200, {})

    stage.load("insecure_url = true\n" + FRAME.replace(PRESENT, f"present = {present}"), {"login": login, "data": data})


@pytest.mark.parametrize("client", DRIVERS, ids=lambda client: client.name)
@pytest.mark.parametrize("name", CASES)
def test_it_is_laid_over_the_callers_own(client: Driver, name: str, stage: Stage) -> None:
    case = CASES[name]
    load(stage, case.present)
    url = stage.url + "data?a=%E9&flag&b=+&key=mine"
    reply = client.call(stage.session, url, "POST", **sent_by(client, case.sends))
    assert reply.status == 200
    first, second = stage.sent("data")
    for came, token in ((first, "t<1"), (second, "t<2")):
        forms = {"query": "t%3C", "form": "t%3C", "text": "t&lt;"}
        spelled = forms.get(name, "t<") + token[-1]
        everything = f"{came.target} {came.everything}"
        for part in case.parts:
            assert part.replace("TOKEN", spelled) in everything.replace('": ', '":').replace(', "', ',"').replace(
                ", {", ",{"
            )
        assert int(came.headers.get("content-length", 0)) == len(came.body)
        assert "old" not in everything
    assert "t%3C1" not in second.everything
    assert "t<1" not in second.everything


STREAMED = {
    "json": ('{ json = { auth = "{access}" } }', "application/json"),
    "form": ('{ form = { auth = "{access}" } }', "application/x-www-form-urlencoded"),
    "text": ('{ text = { "@T@" = "{access}" } }', "text/xml"),
}
ONE_SHOT = [(driver, kind) for driver in DRIVERS for kind in driver.one_shot]


@pytest.mark.parametrize(("client", "kind"), ONE_SHOT, ids=[f"{driver.name}-{kind}" for driver, kind in ONE_SHOT])
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_cannot_take_it(client: Driver, kind: str, name: str, stage: Stage, tmp_path: Path) -> None:
    present, content_type = STREAMED[name]
    load(stage, present)
    more = client.one_shot[kind](b"@T@", tmp_path)
    with pytest.raises(client.error, match="this request's is a stream") as caught:
        client.call(stage.session, stage.url + "data", "POST", headers={"Content-Type": content_type}, **more)
    assert isinstance(caught.value, ConfigurationError)
    assert stage.sent("data") == []


@pytest.mark.parametrize("client", DRIVERS, ids=lambda client: client.name)
@pytest.mark.parametrize(
    ("present", "sends", "reason"),
    [
        (CASES["json"].present, {"json": [1]}, "another value"),
        (CASES["list"].present, {"json": {"params": {"named": 1}}}, "inside params"),
        (CASES["left"].present, {"json": {"params": []}}, "too few"),
        (CASES["json"].present, {"data": {"a": "1"}}, "x-www-form-urlencoded"),
        (CASES["json"].present, {"files": {"f": ("f", b"")}}, "multipart/form-data"),
        (CASES["form"].present, {"json": {}}, "application/json"),
        (CASES["text"].present, {"content": "<a/>"}, "'@T@' stands"),
    ],
)
def test_a_body_that_cannot_take_it(
    client: Driver, present: str, sends: Mapping[str, Any], reason: str, stage: Stage
) -> None:
    load(stage, present)
    with pytest.raises(client.error, match=reason) as caught:
        client.call(stage.session, stage.url + "data", "POST", **sent_by(client, sends))
    assert isinstance(caught.value, ConfigurationError)
    assert stage.sent("data") == []
