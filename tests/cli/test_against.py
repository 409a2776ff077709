# ruff: noqa: E501 -- vendor files keep their lines
"""`authflow check FILE --against BASE_URL`: a real server is asked, and shown answer by answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authflow import plugins
from authflow.cli import group as cli
from tests.servers import Came, Listener, Says, listening

FILE = """
name = "acme"
extends = "password"
base_url = "%s/"
[exchanges.login]
request = { url = "login", json = { u = "{username}", p = "{password}" } }
answers.granted = { status = 200, json = { data = { token = "{access}", renew = "{refresh}" }, life = "{expires_in:int}" } }
answers.denied = { status = 401, json = { message = "{reason?}" } }
[exchanges.refresh]
request = { url = "renew", json = { r = "{refresh}" } }
answers.granted = { status = 200, json = { token = "{access}" } }
answers.denied = { status = 401 }
"""
PASSWORD = "open-sesame-9"


class Vendor:
    """What the server of a test says; a test changes a part of it."""

    def __init__(self) -> None:
        grant = {"data": {"token": "tok-1", "renew": "ren-1"}, "life": 3600, "refresh_expires_in": 7200}
        self.login = Says(200, {**grant, "csrf_token": "s3cret-c"}, {"Set-Cookie": "sid=s3cret-s; Path=/"})
        self.renewal = Says(200, {"token": "tok-2", "renew": "ren-2", "life": 3599.5}, {"Retry-After": "3"})
        self.refusal = Says(401, {"message": "no such user"})

    def says(self, came: Came) -> Says:
        if came.path == "/login":
            return self.login if PASSWORD.encode() in came.body else self.refusal
        if came.path == "/renew":
            return self.renewal
        return Says(200 if came.headers.get("authorization") == "Bearer tok-1" else 401)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def server(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("AUTHFLOW_PASSWORD", PASSWORD)
    with listening(vendor.says) as listener:
        yield listener


def run(folder: Path, server: Listener, *more: str, at: str = "", file: str = FILE, asked: str = "") -> Result:
    path = folder / "acme.toml"
    path.write_text(file.replace("%s", at or server.url))
    arguments = ["check", str(path), "--against", asked or f"{server.url}/", "--set", "username=bob", *more]
    before = list(plugins.manager().get_plugins())
    done = CliRunner().invoke(cli._commands(), arguments, prog_name="authflow")
    assert list(plugins.manager().get_plugins()) == before
    assert not any(secret in done.output for secret in (PASSWORD, "s3cret", "tok-1", "tok-2", "ren-1", "ren-2"))
    return done


def test_each_answer_is_shown_with_what_was_taken_and_what_was_overlooked(tmp_path: Path, server: Listener) -> None:
    done = run(tmp_path, server, "--refuse")
    assert done.stdout.splitlines()[1:] == [
        "  login: status 200, granted; took access, expires_in, refresh; overlooked: the cookie sid,"
        " refresh_expires_in = 7200, csrf_token = ***",
        "login: good for 3600 s",
        "reuse: status 200 at the base URL",
        "  refresh: status 200, granted; took access; overlooked: Retry-After: 3, renew = ***, life = 3599.5",
        "renew: a new token",
        "  login: status 401, denied; took reason",
        "refuse: refused: no such user",
    ]
    assert done.exit_code == 0
    assert [came.path for came in server.came] == ["/login", "/", "/renew", "/login"]


def test_as_json(tmp_path: Path, server: Listener) -> None:
    told = json.loads(run(tmp_path, server, "--json").stdout)
    assert [one["step"] for one in told["answers"] if "result" in one] == ["login", "reuse", "renew"]
    assert told["failed"] == []


def test_nothing_goes_to_an_origin_that_the_file_does_not_declare(tmp_path: Path, server: Listener) -> None:
    done = run(tmp_path, server, at="https://acme.example")
    assert (done.exit_code, server.came) == (2, [])
    assert "is not an origin of acme" in done.output
    assert run(tmp_path, server, "--yes", at="https://acme.example").exit_code == 0


@pytest.mark.parametrize(
    ("part", "says", "message"),
    [
        ("login", Says(200, {"token": "tok-1"}), "login: acme: no pattern of login fits the answer"),
        ("login", Says(401, {"message": "locked"}), "login: acme: The server refused this username and password"),
        ("renewal", Says(200, {"tokn": 1}), "renew: acme: no pattern of refresh fits"),
        ("refusal", Says(404, {}), "refuse: acme: no pattern of login fits the answer"),
    ],
)
def test_a_step_that_goes_wrong_ends_it(
    tmp_path: Path, server: Listener, vendor: Vendor, part: str, says: Any, message: str
) -> None:
    setattr(vendor, part, says)
    done = run(tmp_path, server, "--refuse")
    assert done.exit_code == 1
    assert message in done.stderr


def test_a_file_that_leaves_its_base_url_to_the_user_is_asked_where_he_says(tmp_path: Path, server: Listener) -> None:
    """No --yes and no --set: there is no other place that the file could mean."""
    done = run(tmp_path, server, file=FILE.replace('base_url = "%s/"\n', ""))
    assert (done.exit_code, [came.path for came in server.came]) == (0, ["/login", "/", "/renew"])


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ("http://127.0.0.1:1/", 3, "Connection refused): check that the server runs there"),
        ("https://no-such-host.invalid/", 3, "check the host's name"),
        ("not-a-url", 1, "base_url: not an absolute http or https URL"),
    ],
)
def test_a_wrong_url_says_what_to_look_at(tmp_path: Path, server: Listener, asked: str, code: int, words: str) -> None:
    done = run(tmp_path, server, "--yes", asked=asked)
    assert (done.exit_code, done.output.count(words)) == (code, 1)


def test_where_nothing_is_found_the_base_url_is_doubted(tmp_path: Path, server: Listener, vendor: Vendor) -> None:
    vendor.login = vendor.refusal = Says(404, {})
    assert "is http" in run(tmp_path, server).stderr.splitlines()[-1]
    assert run(tmp_path, server).stderr.endswith("the vendor's base URL?\n")


def test_a_base_url_that_does_not_answer_is_no_mistake_of_ours(tmp_path: Path, server: Listener) -> None:
    """The login may live elsewhere."""
    base = "http://127.0.0.1:1/"
    file = FILE.replace('base_url = "%s/"', f'base_url = "{base}"\norigins.send = ["%s"]').replace(
        'url = "', 'url = "%s/'
    )
    done = run(tmp_path, server, file=file.replace('base_url = "%s/', 'base_url = "'), asked=base)
    assert done.stderr.startswith(f"authflow: reuse: {base}: no answer (")
    assert done.exit_code == 3


@pytest.mark.parametrize(
    ("present", "asked"),
    [
        ({"query": '{ key = "{access}" }'}, "/?key=tok-1"),
        ({"cookies": '{ sid = "{access}" }'}, "sid=tok-1"),
    ],
)
def test_the_token_goes_where_the_file_says(
    tmp_path: Path, server: Listener, vendor: Vendor, present: dict[str, str], asked: str
) -> None:
    """As a client sends it, not in headers alone."""

    def says(came: Came) -> Says:
        if came.path in ("/login", "/renew"):
            return vendor.says(came)
        return Says(200 if asked in (came.target, came.headers.get("cookie")) else 401)

    server.says = says
    ((place, text),) = present.items()
    done = run(tmp_path, server, file=f"insecure_url = true\n{FILE}[states.signed_in]\npresent.{place} = {text}\n")
    assert (done.exit_code, "reuse: status 200 at the base URL" in done.output) == (0, True), done.output


def test_what_is_fetched_is_said(tmp_path: Path, server: Listener, vendor: Vendor) -> None:
    """Many a base URL says nothing of the token; a path below it, or a whole URL, does."""

    def says(came: Came) -> Says:
        return Says(403) if came.path == "/" else Says(500) if came.path == "/broken" else vendor.says(came)

    server.says = says
    file = FILE + "[answers]\nrejected = { status = [401, 403] }\n"
    done = run(tmp_path, server, file=file)
    assert done.exit_code == 1
    assert "reuse: the token is rejected at the base URL (status 403); --get PATH fetches" in done.stderr
    done = run(tmp_path, server, "--get", "orders//7?of=a+b", file=file)
    assert (done.exit_code, server.came[-2].target) == (0, "/orders//7?of=a+b"), done.output
    assert f"reuse: status 200 at {server.url}/orders//7\n" in done.stdout
    done = run(tmp_path, server, "--get", f"{server.url}/broken", file=file)
    assert (done.exit_code, f"nothing good comes at {server.url}/broken (status 500)" in done.stderr) == (1, True)
    done = run(tmp_path, server, "--get", "https://elsewhere.example/", file=file)
    assert (done.exit_code, "elsewhere.example" in done.stderr) == (2, True)


def test_a_token_that_goes_into_bodies_is_not_tried(tmp_path: Path, server: Listener) -> None:
    done = run(tmp_path, server, file=f'{FILE}[states.signed_in]\npresent.json = {{ t = "{{access}}" }}\n')
    assert (done.exit_code, "reuse: not tried: the token goes into the body" in done.stdout) == (0, True)
    assert [came.path for came in server.came] == ["/login", "/renew"]


def test_a_login_that_says_the_time_may_be_refused_ahead_of_it(
    tmp_path: Path, server: Listener, vendor: Vendor
) -> None:
    """The clock is an hour ahead for the renewal: no vendor takes a time that is still to come."""

    def says(came: Came) -> Says:
        told = json.loads(came.body) if came.path == "/login" else {}
        return vendor.refusal if told.get("t", 0) > time.time() + 60 else vendor.says(came)

    server.says = says
    file = FILE.replace('p = "{password}"', 'p = "{password}", t = "{t:int}"').replace(
        'extends = "password"', 'extends = "relogin"'
    )
    file = file.partition("[exchanges.refresh]")[0].replace(', renew = "{refresh}"', "")
    done = run(tmp_path, server, file=f'{file}\n[derive]\nt = {{ now = "epoch" }}\n')
    assert (done.exit_code, "renew: not known: the login says the time" in done.stdout) == (0, True), done.output


def test_an_interrupt_leaves_what_was_heard(tmp_path: Path, server: Listener, vendor: Vendor) -> None:
    def interrupted(came: Came) -> Says:
        raise KeyboardInterrupt

    def says(came: Came) -> Says:
        return vendor.says(came)

    server.says = says
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("authflow.cli.against.judge", interrupted)
        patched.setattr("authflow.cli.against._read", lambda *_: {"status": 200})
        done = run(tmp_path, server, "--json")
    told = json.loads(done.stdout)
    assert [one["step"] for one in told["answers"]] == ["login", "login"]
