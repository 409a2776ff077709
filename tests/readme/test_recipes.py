"""Each recipe of `plugins/recipes`, run whole and by itself, in the framework that it is for.

A recipe starts from nothing, as who copies it does; what runs around it (a server, a worker, a kernel, AWS) is the real
thing or speaks its protocol over a socket.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import requests

import authflow
from authflow.stores import new_key
from authflow.testing import SimulatedSender, Simulator, serving
from tests.fleet.conftest import redis
from tests.readme.snippets import ROOT, SUPPLIER, Snippet, run
from tests.servers import PASSWORD, USERNAME, Came, Says, Supplier, listening
from tests.stores.conftest import RedisServer

__all__ = ["redis"]

RECIPES = {path.name: path for path in sorted((ROOT / "plugins" / "recipes").glob("*.py"))}
IDS = ("42", "43", "44")


@pytest.fixture
def cook(supplier: Supplier, home: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run a recipe, and `then`, and have its names; its clients are closed with the test."""
    with ExitStack() as clients:

        def cook(recipe: str, then: str = "", name: str = "recipe") -> dict[str, Any]:
            namespace: dict[str, Any] = {"__name__": name}
            code = Snippet("python", 1, RECIPES[recipe].read_text("utf-8"), None)
            try:
                run(code, namespace, {SUPPLIER: supplier.base_url.removesuffix("auth/")}, then, RECIPES[recipe])
            except ModuleNotFoundError as error:
                pytest.skip(f"{error.name} is not installed: make recipes")
            for made in namespace.values():
                if isinstance(made, requests.Session | httpx.Client):
                    clients.enter_context(made)
            return namespace

        yield cook


def served(supplier: Supplier) -> dict[str, int]:
    """What it cost, and how much data came of it."""
    counts = supplier.counts
    return {name: counts.get(name, 0) for name in ("login", "refresh", "data")}


def test_every_recipe_is_run_and_has_its_row() -> None:
    """Here, or in `tests/built_on` beside a server of its kind."""
    tests = [Path(__file__), *(ROOT / "tests" / "built_on").glob("*.py")]
    told = "".join(path.read_text("utf-8") for path in tests)
    table = (ROOT / "plugins" / "recipes" / "README.md").read_text("utf-8")
    assert len(RECIPES) >= 12
    assert [name for name in RECIPES if f'"{name}"' not in told] == []
    assert [name for name in RECIPES if f"]({name})" not in table] == []


def test_pandas(cook: Any, supplier: Supplier) -> None:
    frame = cook("pandas_deliveries.py")["deliveries"]
    assert list(frame["id"]) == list(IDS)
    assert "status" in frame
    cook("pandas_deliveries.py")
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2 * len(IDS)}, "the second run was to find the token"


def test_notebooks(cook: Any, supplier: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt="": asked.append(prompt) or PASSWORD)
    namespace = cook("notebook.py", then="await client.aclose()")
    assert namespace["answer"].json()["id"] == "42"
    assert len(asked) == 1
    cook("notebook.py", then="await client.aclose()")
    assert len(asked) == 1, "after a restart of the kernel the store has the token"
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2}


def test_fastapi(cook: Any, supplier: Supplier) -> None:
    app = cook("fastapi_app.py")["app"]

    async def run() -> list[httpx.Response]:
        inside = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=inside, base_url="http://app.example") as client,
        ):
            answers = [await client.get(f"/deliveries/{id}") for id in IDS]
            supplier.control(revoke="access")
            supplier.fail("refresh", status=503, retry_after=7)
            return [*answers, await client.get("/deliveries/42")]

    *good, bad = anyio.run(run)
    assert [answer.json()["id"] for answer in good] == list(IDS)
    assert (bad.status_code, bad.headers["Retry-After"]) == (503, "7")
    assert PASSWORD not in bad.text
    assert served(supplier)["login"] == 1


@pytest.fixture
def django(cook: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django with the recipe's settings, as `settings.py` would have them."""
    settings = pytest.importorskip("django.conf", reason="django is not installed: make recipes").settings
    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    line = re.search(r"SUPPLIER = .*", RECIPES["django_deliveries.py"].read_text("utf-8"))
    assert line is not None
    names: dict[str, Any] = {"os": os}
    exec(line[0], names)
    settings.configure(SUPPLIER=names["SUPPLIER"], ROOT_URLCONF="deliveries_urls", ALLOWED_HOSTS=["testserver"])
    importlib.import_module("django").setup()
    yield
    from django.utils.functional import empty

    settings._wrapped = empty


def test_django_and_celery(cook: Any, django: None, supplier: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("celery", reason="celery is not installed: make recipes")
    from celery import Celery
    from celery.contrib.testing.worker import start_worker
    from celery.signals import setup_logging
    from django.test import Client
    from django.urls import path

    # `watch` belongs to the current app, as in any Django project.
    app = Celery("project", broker="memory://", backend="cache+memory://", set_as_current=True)
    monkeypatch.setattr(setup_logging, "receivers", [])  # a worker takes the root logger over
    setup_logging.connect(lambda **_: None, weak=False)
    deliveries = cook("django_deliveries.py")
    urls: Any = types.ModuleType("deliveries_urls")
    urls.urlpatterns = [path("deliveries/<int:id>", deliveries["view"])]
    monkeypatch.setitem(sys.modules, "deliveries_urls", urls)
    assert Client().get("/deliveries/42").json()["id"] == "42"

    supplier.control(revoke="access")
    supplier.fail("refresh", status=503, retry_after=1)
    with start_worker(app, perform_ping_check=False, pool="solo"):
        status = deliveries["watch"].delay(43).get(timeout=60)
    assert status
    assert served(supplier) == {"login": 1, "refresh": 2, "data": 2}, "the task was to wait, and to try again"


def test_airflow(cook: Any, supplier: Supplier) -> None:
    auth_type = cook("airflow_auth.py")["supplier"]
    for _ in range(2):  # what HttpHook does for each of its requests
        with requests.Session() as session:
            session.auth = auth_type("demo", PASSWORD)
            assert session.get(supplier.delivery(42)).json()["id"] == "42"
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2}


def test_aws_lambda(cook: Any, supplier: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 asks a server here that speaks Secrets Manager's JSON."""

    def says(came: Came) -> Says:
        assert came.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        assert json.loads(came.body) == {"SecretId": "supplier"}
        return Says(json={"Name": "supplier", "SecretString": PASSWORD})

    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with listening(says) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
        handler = cook("lambda_handler.py")["handler"]
        assert aws.came == [], "a container that is started has asked nobody"
        assert [handler({"id": id}, None)["id"] for id in IDS] == list(IDS)
        assert len(aws.came) == 1
    assert served(supplier) == {"login": 1, "refresh": 0, "data": len(IDS)}


def test_aiohttp(cook: Any, supplier: Supplier) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is an extra")
    assert len(cook("aiohttp_tasks.py")["deliveries"]) == len(IDS)
    assert served(supplier) == {"login": 1, "refresh": 0, "data": len(IDS)}


def test_nightly(cook: Any, supplier: Supplier, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (home / "password").write_text(f"{PASSWORD}\n", "utf-8")
    monkeypatch.setenv("SUPPLIER_PASSWORD_FILE", str(home / "password"))
    for _ in range(2):
        cook("nightly.py", name="__main__")
    assert len(capsys.readouterr().out.split("\n")) == 3
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2}
    supplier.control(revoke="access")
    supplier.fail("refresh", status=503, retry_after=7)
    with pytest.raises(SystemExit) as ended:
        cook("nightly.py", name="__main__")
    assert ended.value.code == 75


def signs_in(url: str) -> bool:
    """A browser, whose user agrees: the page of a simulator is a link."""
    threading.Thread(target=lambda: requests.get(f"{url}&__person=agrees", timeout=10)).start()
    return True


@pytest.fixture
def authorizes(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Run a recipe against an authorization server that is made from its own vendor file."""
    monkeypatch.setattr("webbrowser.open", signs_in)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    with ExitStack() as stack:

        def cook(recipe: str) -> dict[str, Any]:
            text = RECIPES[recipe].read_text("utf-8")
            base = re.search('SUPPLIER = "(.*)"', text)
            assert base is not None
            namespace: dict[str, Any] = {"__name__": "recipe"}
            exec(compile(text, recipe, "exec"), namespace)
            url = stack.enter_context(serving(Simulator(namespace["VENDOR"])))
            exec(compile(text.replace(base[1], url), recipe, "exec"), namespace)
            return namespace

        yield cook


def test_like_gh(authorizes: Callable[[str], dict[str, Any]]) -> None:
    tool = authorizes("like_gh.py")
    assert tool["main"]("login") == "You are logged in."
    assert json.loads(tool["main"]("42"))["served"].endswith("/deliveries/42")


def test_brought_once(authorizes: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("TOKENS", str(home / "tokens"))
    service = authorizes("brought_once.py")
    nobody = service["delivery"](42)
    assert nobody["status"] == 503
    assert "authflow login acme" in nobody["reason"]
    authflow.AuthSession(service["VENDOR"], store=home / "tokens", ask="terminal").login()
    assert service["delivery"](42) == {"status": 200}


@pytest.mark.program
def test_fleet(cook: Any, supplier: Supplier, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHFLOW_KEY", new_key())
    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    monkeypatch.setenv("REDIS_URL", redis.url)
    for _ in range(2):  # two hosts
        assert cook("fleet.py")["delivery"](42)["id"] == "42"
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2}


@pytest.mark.parametrize("library", [requests, httpx])
def test_cassettes(cook: Any, supplier: Supplier, tmp_path: Path, library: Any) -> None:
    """No secret is on the cassette, and it is enough to log in and to be answered."""
    recorder, kept, secrets = cook("cassettes.py")["recorder"], tmp_path / "tape.yaml", ()
    for _ in range(2):
        session = authflow.AuthSession("supplier", username=USERNAME, password=PASSWORD, base_url=supplier.base_url)
        with recorder.use_cassette(str(kept)):
            how = {"auth": getattr(session, library.__name__), "follow_redirects": True}
            how |= {} if library is httpx else {"allow_redirects": how.pop("follow_redirects")}
            assert library.get(f"{supplier.base_url}deliveries/42", **how).status_code == 200
            token = session.token().access
        secrets = secrets or (PASSWORD, token)  # what was really granted, not what is played
        assert [secret for secret in secrets if secret in kept.read_text("utf-8")] == []
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 1}


def test_every_hook(cook: Any, supplier: Supplier, caplog: pytest.LogCaptureFixture) -> None:
    """Each is there, and does what the recipe says."""
    caplog.set_level("INFO", "house")
    try:
        made = cook("hooks.py")
        hooks = {name for name in vars(authflow.plugins.hooks) if name.startswith("authflow_")}
        assert {name for name in vars(made["House"]) if name.startswith("authflow_")} == hooks
        assert made["answer"].json()["id"] == "42"
        assert len(made["answer"].request.headers["X-Request-Id"]) == 32
        assert list(Path("parcels").glob("*.json"))
        assert [record.getMessage().partition(" after")[0] for record in caplog.records] == [
            "supplier: begins (start)",
            "supplier: signed_out, granted: signed_in",
            "supplier: signed_in",
        ]
        (intranet,) = made["House"]().authflow_vendors()
        simulator = Simulator(intranet)
        session = authflow.AuthSession(intranet, client=SimulatedSender(simulator), **simulator.inputs)
        assert session.token().access
        assert simulator.counts["login"] == 1
    finally:
        authflow.plugins.manager().unregister(name="house")


def test_tests_of_your_own_application(tmp_path: Path) -> None:
    shutil.copy(RECIPES["test_your_application.py"], tmp_path / "test_mine.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, timeout=120
    )
    assert "2 passed" in done.stdout, done.stdout
    assert authflow.__version__
