"""request: a curl that logs in."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import authflow
from authflow.cli.exits import Failed
from authflow.cli.fetching import LIBRARIES, Order
from tests.cli.conftest import AUTHFLOW, Shell
from tests.servers import PASSWORD, Came, Listener, Says, Supplier, closed_port, listening

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


def test_a_capture_has_stand_ins_unless_somebody_asks(account: Shell, supplier: Supplier, tmp_path: Path) -> None:
    for words in ((), ("--with-secrets",)):
        file = tmp_path / "login.json"
        done = account("request", "GET", supplier.delivery(7), "--store", "memory", "--capture", str(file), *words)
        assert (done.code, done.json["id"]) == (0, "7"), done.err
        assert (PASSWORD in file.read_text("utf-8"), file.stat().st_mode & 0o777) == (bool(words), 0o600)
        urls = [entry["request"]["url"] for entry in json.loads(file.read_text("utf-8"))["log"]["entries"]]
        assert [url.rpartition("/")[2] for url in urls] == ["login", "7", "7"][: len(urls)]


def test_a_login_that_is_refused_is_captured_too(account: Shell, supplier: Supplier, tmp_path: Path) -> None:
    file = tmp_path / "refused.har"
    words = ("request", "GET", supplier.delivery(7), "--store", "memory", "--capture", str(file))
    done = account(*words, SUP_PASSWORD="wrong")
    assert done.code == 1
    (entry,) = json.loads(file.read_text("utf-8"))["log"]["entries"]
    assert entry["response"]["status"] == 401
    nowhere = account("request", "GET", supplier.delivery(7), "--capture", str(tmp_path / "no" / "x.har"))
    assert (nowhere.err.count("\n"), "cannot be written" in nowhere.err) == (1, True)


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
def test_with_fail_the_exit_code_tells_the_class_of_the_status(
    shell: Shell, tmp_path: Path, status: int, code: int
) -> None:
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        plain, strict = (shell("request", "GET", f"{listener.url}/{status}", *words) for words in ([], ["--fail"]))
    assert (plain.code, strict.code) == (0, code)
    assert plain.out == strict.out
    assert strict.err == ""


def test_a_token_that_is_refused_ends_with_1(shell: Shell, tmp_path: Path) -> None:
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        assert shell("request", "GET", f"{listener.url}/401").code == 1


def test_a_redirect_elsewhere_is_followed_without_the_token_and_told(shell: Shell, tmp_path: Path) -> None:
    with listening(says) as other, listening(lambda came: going(came, other.url)) as listener:
        vendor(shell, listener, tmp_path)
        done = shell("request", "GET", f"{listener.url}/go")
        (landed,) = other.seen()
    assert done.code == 0
    assert "Authorization" not in dict(landed.headers)
    assert TOKEN not in str(landed)
    assert f'write origins.present = ["{other.url}"]' in done.err


@pytest.mark.parametrize("library", LIBRARIES)
def test_whichever_client_is_installed_asks_alike(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    made = {"extends": "bearer", "name": "echo", "title": "Echo"}
    with listening(lambda came: going(came, listener.url)) as listener:
        session = authflow.AuthSession({**made, "base_url": f"{listener.url}/"}, token=TOKEN)
        asked = Order("POST", f"{listener.url}/200", (("X-Own", "a"), ("Content-Type", "text/plain")), b"whole body")
        with LIBRARIES[library](library, session, asked) as reply:
            found = json.loads(b"".join(reply.chunks))
        with LIBRARIES[library](library, session, Order("GET", f"{listener.url}/go")) as reply:
            followed = reply.status, json.loads(b"".join(reply.chunks))["headers"]
        with LIBRARIES[library](library, session, Order("GET", f"{listener.url}/go", follow=False)) as reply:
            left = reply.status, {name.lower(): value for name, value in reply.headers}["location"]
    sent = {name.lower(): value for name, value in found["headers"].items()}
    assert (sent["x-own"], sent["authorization"], found["body"]) == ("a", f"Bearer {TOKEN}", "whole body")
    assert followed[0] == 200
    assert f"Bearer {TOKEN}" in followed[1].values()
    assert left == (302, f"{listener.url}/200")
    with pytest.raises(Failed, match="no answer"), LIBRARIES[library](library, session, asked):
        raise AssertionError("nobody answers there any more")


def going(came: Came, url: str) -> Says:
    return Says(302, headers={"Location": f"{url}/200"}) if came.path == "/go" else says(came)


def test_a_request_ends_after_its_time(shell: Shell, tmp_path: Path) -> None:
    held = threading.Event()

    def late(came: Came) -> Says:
        if came.path != "/login":
            held.wait(30)
        return says(came)

    with listening(late) as listener:
        vendor(shell, listener, tmp_path)
        done = shell("request", "GET", f"{listener.url}/200", "--max-time", "0.5")
        held.set()
    assert (done.code, done.err.count("\n")) == (3, 1)


def test_an_answer_that_trickles_ends_after_its_time_too(shell: Shell, tmp_path: Path) -> None:
    """Each byte comes in time, the whole does not."""
    gone = threading.Event()

    class Trickle(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "99")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not gone.wait(0.2):
                    self.wfile.write(b"x")

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        path = tmp_path / "slow.toml"
        base_url = f"http://127.0.0.1:{server.server_port}/"
        path.write_text(f'name = "slow"\nextends = "bearer"\nbase_url = "{base_url}"\n', "utf-8")
        done = shell("request", "GET", "x", "-a", str(path), "--max-time", "1.5", AUTHFLOW_TOKEN=TOKEN)
        gone.set()
        server.shutdown()
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "not done after 1.5 s" in done.err


@pytest.mark.parametrize(
    ("words", "body", "kind"),
    [
        (["-d", "a=1&b=2"], "a=1&b=2", "application/x-www-form-urlencoded"),
        (["-j", '{"a": 1}'], '{"a": 1}', "application/json"),
        (["--data-json", "@-"], '{"from": "stdin"}', "application/json"),
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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["GET", "x", "-d", "1", "-j", "2"], "one body"),
        (["GET", "x", "-d", "@-", "--stdin", "password"], "one thing"),
        (["GET", "x", "-d", "@no-such-file"], "no-such-file: cannot be read: No such file"),
        (["GET", "x", "-d", "@."], "cannot be read: Is a directory"),
        (["GE T", "x"], "'GE T' is not an HTTP method"),
        (["GET", "x", "-H", "no colon"], "NAME: VALUE"),
        (["GET", "x", "-H", "a b: c"], "NAME: VALUE"),
        (["GET", "x", "-H", "X: 1\nAuthorization: 2"], "in one line"),
        (["GET", "http://[::1"], "is not a URL"),
        (["GET", "http://[::1", "-a", "sup"], "is not a URL"),
        (["GET", "x", "-o", "no-such-folder/body"], "there is no folder"),
        (["GET", "x", "-o", "."], "is a directory"),
    ],
)
def test_wrong_use_is_one_line_and_nothing_is_sent(
    account: Shell, supplier: Supplier, words: list[str], says: str
) -> None:
    done = account("request", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert says in done.err
    assert supplier.counts == {}


def test_json_prints_status_headers_and_body_as_one_object(shell: Shell, tmp_path: Path) -> None:
    def binary(came: Came) -> Says:
        bodies = {"/text": b"caf\xc3\xa9", "/bytes": b"\x89PNG\x00\xff"}
        return Says(404, body=bodies[came.path]) if came.path in bodies else says(came)

    with listening(binary) as listener:
        vendor(shell, listener, tmp_path)
        document, text, other = (shell("request", "GET", name, "--json").json for name in ("200", "text", "bytes"))
    assert (document["status"], document["body"]["body"]) == (200, "")
    assert ["content-type", "application/json"] in [[name.lower(), value] for name, value in document["headers"]]
    assert (text["status"], text["body"]) == (404, "café")
    assert (base64.b64decode(other["base64"]), "body" in other) == (b"\x89PNG\x00\xff", False)


def test_a_header_goes_out_byte_for_byte(shell: Shell, tmp_path: Path) -> None:
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        assert shell("request", "GET", "200", "-H", "X-Name: Zoë").code == 0
        assert listener.seen()[-1].headers["x-name"].encode("latin-1").decode() == "Zoë"


def test_a_full_disk_is_said_in_one_line(account: Shell, supplier: Supplier) -> None:
    done = account("request", "GET", supplier.delivery(7), "-o", "/dev/full")
    assert (done.code, done.err) == (4, "authflow: /dev/full cannot be written: No space left on device\n")


def test_an_address_where_nobody_answers(shell: Shell, tmp_path: Path) -> None:
    """The token is there, the vendor has gone since."""
    with listening(says) as listener:
        vendor(shell, listener, tmp_path)
        assert shell("token", "echo").code == 0
    done = shell("request", "GET", "200", "-a", "echo")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert f"{listener.url}/200: no answer" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_what_is_no_text_does_not_go_to_a_terminal(shell: Shell, tmp_path: Path) -> None:
    def picture(came: Came) -> Says:
        return Says(body=b"\x89PNG\x00\x1b[2J") if came.path == "/picture" else says(came)

    with listening(picture) as listener:
        vendor(shell, listener, tmp_path)
        refused, shown = shell.on_a_terminal("request", "GET", "picture")
        wanted, raw = shell.on_a_terminal("request", "GET", "picture", "-o", "-")
    assert (refused, "-o FILE" in shown, "PNG" in shown) == (2, True, False)
    assert (wanted, "PNG" in raw) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="RSS in kilobytes")
def test_a_large_body_takes_no_memory(shell: Shell, tmp_path: Path) -> None:
    """64 MiB come in, and the process grows by less than half of that."""
    size = 64 << 20

    def large(came: Came) -> Says:
        if came.path == "/login":
            return says(came)
        return Says(body=bytes(size if came.path == "/large" else 1))

    peak = "import resource, sys; from authflow.cli import main\n"
    peak += "try: main()\nfinally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"

    def taken(path: str) -> int:
        words = [sys.executable, "-c", peak, "request", "GET", path, "-o", str(tmp_path / "body")]
        done = subprocess.run(words, env=shell.environment(), capture_output=True, text=True, timeout=60, check=True)
        return int(done.stderr) * 1024

    with listening(large) as listener:
        vendor(shell, listener, tmp_path)
        small, large_one = taken("small"), taken("large")
    assert (tmp_path / "body").stat().st_size == size
    assert large_one - small < size / 2


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


@pytest.mark.parametrize("library", [name for name in LIBRARIES if importlib.util.find_spec(name)])
def test_where_no_answer_comes_no_url_with_the_token_is_shown(library: str) -> None:
    """requests says "Max retries exceeded with url: /x?key=…"."""
    states = {"signed_in": {"present": {"query": {"key": "{token}"}}}}
    with closed_port() as url:
        file = {"name": "acme", "extends": "bearer", "base_url": f"{url}/", "insecure_url": True, "states": states}
        session = authflow.AuthSession(file, token=TOKEN)
        try:  # the library's own error, of which this one comes, is its user's
            with LIBRARIES[library](library, session, Order("GET", f"{url}/x")):
                said = ""
        except Failed as failed:
            said = failed.message
    assert "no answer (" in said
    assert TOKEN not in said
