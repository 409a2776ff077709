"""request: a curl that logs in."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest

from tests.commands.conftest import AUTHFLOW, Shell
from tests.servers import PASSWORD, Came, Listener, Says, Supplier, listening

TOKEN = "tok-" + "4711" * 6


def test_a_delivery_through_rewriting_and_redirect(account: Shell, supplier: Supplier) -> None:
    done = account("request", "GET", supplier.delivery(7))
    assert (done.code, done.err, done.json["id"]) == (0, "", "7")
    assert supplier.counts == {"login": 1, "tracking": 1, "data": 1}


def test_a_url_may_be_relative_and_the_answer_whole(account: Shell) -> None:
    done = account("request", "GET", "deliveries/7", "-i", "-a", "sup")
    head, _, body = done.out.partition("\n\n")
    assert head.startswith("200 ")
    assert "content-type: application/json" in head.lower()
    assert json.loads(body)["id"] == "7"


def test_redirects_can_be_left_alone(account: Shell, supplier: Supplier) -> None:
    done = account("request", "GET", supplier.delivery(7), "-i", "--no-follow")
    assert done.code == 0
    assert done.out[:1] == "3"
    assert supplier.counts == {"login": 1, "tracking": 1}


def test_the_body_goes_into_a_file(account: Shell, supplier: Supplier, tmp_path: Path) -> None:
    done = account("request", "GET", supplier.delivery(7), "-o", str(tmp_path / "body"))
    assert (done.code, done.out) == (0, "")
    assert json.loads((tmp_path / "body").read_text())["id"] == "7"


def test_a_url_elsewhere_never_sees_the_token(account: Shell) -> None:
    with listening() as other:
        done = account("request", "GET", f"{other.url}/x", "-a", "sup")
        unnamed = account("request", "GET", f"{other.url}/x")
        assert other.seen() == []
    assert [(end.code, end.err.count("\n")) for end in (done, unnamed)] == [(2, 1), (2, 1)]
    assert "not declared" in done.err
    assert "no account has" in unnamed.err


def vendor(shell: Shell, listener: Listener, tmp_path: Path) -> None:
    """A vendor that grants one token, and answers whatever is asked for."""
    (tmp_path / "echo.toml").write_text(
        f'extends = "relogin"\nbase_url = "{listener.url}/"\n'
        '[exchanges.login]\nrequest = { url = "login", json = { u = "{username}", p = "{password}" } }\n'
        '[exchanges.login.answers]\ngranted = { status = 200, json = { token = "{access}" } }\n'
        "denied = { status = 401 }\n"
    )
    shell.write('[accounts.echo]\nvendor = "echo.toml"\nusername = "demo"\npassword = { env = "P" }\n')
    shell.env["P"] = PASSWORD


def says(came: Came) -> Says:
    if came.path == "/login":
        return Says(json={"token": TOKEN})
    status = int(came.path.rpartition("/")[2] or 200)
    return Says(status, json={"body": came.body.decode(), "headers": dict(came.headers)})


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 0), (404, 1), (403, 1), (500, 3), (503, 3)])
def test_the_exit_code_tells_the_class_of_the_status(shell: Shell, tmp_path: Path, status: int, code: int) -> None:
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        assert shell("request", "GET", f"{listener.url}/{status}").code == code


@pytest.mark.parametrize(
    ("words", "body", "kind"),
    [
        (["-d", "a=1&b=2"], "a=1&b=2", "application/x-www-form-urlencoded"),
        (["--json", '{"a": 1}'], '{"a": 1}', "application/json"),
        (["--json", "@-"], '{"from": "stdin"}', "application/json"),
        (["-d", "<x/>", "-H", "Content-Type: text/xml"], "<x/>", "text/xml"),
    ],
)
def test_bodies_and_headers(shell: Shell, tmp_path: Path, words: list[str], body: str, kind: str) -> None:
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        done = shell("request", "post", "200", *words, "-H", "X-Trace: 1", given='{"from": "stdin"}')
        sent = listener.seen()[-1]
    assert done.code == 0, done
    assert (sent.method, sent.body.decode(), sent.headers["content-type"]) == ("POST", body, kind)
    assert (sent.headers["x-trace"], sent.headers["authorization"]) == ("1", f"Bearer {TOKEN}")


def test_two_bodies_are_wrong_use(account: Shell) -> None:
    assert account("request", "GET", "x", "-d", "1", "--json", "2").code == 2


def test_the_answer_is_printed_as_it_comes(shell: Shell, tmp_path: Path) -> None:
    """The server sends the rest of the body only once the first byte has been printed."""
    printed = threading.Event()
    late: list[bool] = []

    def slowly(came: Came) -> Says:
        if came.path == "/login":
            return says(came)
        return Says(body=b"first and rest", then=lambda: late.append(not printed.wait(30)))

    with listening(slowly) as listener:
        vendor(shell, listener, tmp_path)
        with subprocess.Popen(
            [*AUTHFLOW, "request", "GET", f"{listener.url}/200"], env=shell.environment(), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"f"
            printed.set()
            assert process.stdout.read() == b"irst and rest"
    assert (process.returncode, late) == (0, [False])
