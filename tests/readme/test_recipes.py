"""Each recipe of the README, run whole and by itself, in the framework that it is for.

A recipe starts from nothing, as who copies it does; what runs around it (a server, a worker, a kernel, AWS) is the real
thing or speaks its protocol over a socket.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
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
from tests.readme.snippets import BASE_URL, TEXT, run, snippets
from tests.servers import PASSWORD, Came, Says, Supplier, listening

RECIPES: dict[str, list[Any]] = {}
for snippet in snippets(TEXT, "python"):
    if snippet.section == "Recipes":
        RECIPES.setdefault(snippet.title, []).append(snippet)
IDS = ("42", "43", "44")


@pytest.fixture
def cook(supplier: Supplier, home: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run a recipe's snippets, and `then`, and have its names; its clients are closed with the test."""
    with ExitStack() as clients:

        def cook(title: str, start: int = 0, then: str = "") -> dict[str, Any]:
            namespace: dict[str, Any] = {"__name__": "recipe"}
            for snippet in RECIPES[title][start:]:
                run(snippet, namespace, {BASE_URL: supplier.base_url}, then)
            for made in namespace.values():
                if isinstance(made, requests.Session | httpx.Client):
                    clients.enter_context(made)
            return namespace

        yield cook


def served(supplier: Supplier) -> dict[str, int]:
    """What it cost, and how much data came of it."""
    counts = supplier.counts
    return {name: counts.get(name, 0) for name in ("login", "refresh", "data")}


def test_every_recipe_is_run_here() -> None:
    told = Path(__file__).read_text("utf-8")
    assert len(RECIPES) >= 7
    assert [title for title in RECIPES if told.count(f'"{title}"') < 1] == []


def test_pandas(cook: Any, supplier: Supplier) -> None:
    frame = cook("pandas, and whatever else takes a `requests.Session`")["deliveries"]
    assert list(frame["id"]) == list(IDS)
    assert "status" in frame
    cook("pandas, and whatever else takes a `requests.Session`")
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2 * len(IDS)}, "the second run was to find the token"


def test_notebooks(cook: Any, supplier: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt="": asked.append(prompt) or PASSWORD)
    namespace = cook("Notebooks", then="await client.aclose()")
    assert namespace["answer"].json()["id"] == "42"
    assert len(asked) == 1
    cook("Notebooks", then="await client.aclose()")
    assert len(asked) == 1, "after a restart of the kernel the store has the token"
    assert served(supplier) == {"login": 1, "refresh": 0, "data": 2}


def test_fastapi(cook: Any, supplier: Supplier) -> None:
    app = cook("FastAPI")["app"]

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
    from django.conf import settings

    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    recipe = RECIPES["Django and Celery"]
    names: dict[str, Any] = {}
    run(recipe[0], names, {})
    settings.configure(SUPPLIER=names["SUPPLIER"], ROOT_URLCONF="deliveries_urls", ALLOWED_HOSTS=["testserver"])
    importlib.import_module("django").setup()
    yield
    from django.utils.functional import empty

    settings._wrapped = empty


def test_django_and_celery(cook: Any, django: None, supplier: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Celery
    from celery.contrib.testing.worker import start_worker
    from celery.signals import setup_logging
    from django.test import Client
    from django.urls import path

    # `watch` belongs to the current app, as in any Django project.
    app = Celery("project", broker="memory://", backend="cache+memory://", set_as_current=True)
    monkeypatch.setattr(setup_logging, "receivers", [])  # a worker takes the root logger over
    setup_logging.connect(lambda **_: None, weak=False)
    deliveries = cook("Django and Celery", start=1)
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
    auth_type = cook("Airflow")["supplier"]
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
        handler = cook("AWS Lambda")["handler"]
        assert aws.came == [], "a container that is started has asked nobody"
        assert [handler({"id": id}, None)["id"] for id in IDS] == list(IDS)
        assert len(aws.came) == 1
    assert served(supplier) == {"login": 1, "refresh": 0, "data": len(IDS)}


def test_tests_of_your_own_application(tmp_path: Path) -> None:
    (snippet,) = RECIPES["Tests of your own application"]
    (tmp_path / "test_mine.py").write_text(snippet.code, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, timeout=120
    )
    assert "1 passed" in done.stdout, done.stdout
    assert authflow.__version__
