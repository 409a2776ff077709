"""Captures that cannot be used: one clear line each, never a traceback, never a file that `check` refuses."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import time
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from authflow_learn import CaptureError, learn, read_capture, vendor_file
from authflow_learn.command import cli

COMMAND = (sys.executable, "-c", "from authflow_learn.command import main; main()")
CHECK = (sys.executable, "-c", "from authflow.cli import main; main()", "check")
URL = "https://api.acme.example"


def entry(method: str, path: str, sent: Any = None, said: Any = None, status: int = 200, **more: Any) -> dict[str, Any]:
    headers = [{"name": name, "value": value} for name, value in more.get("headers", {}).items()]
    request: dict[str, Any] = {"method": method, "url": URL + path, "headers": headers}
    if sent is not None:
        request["postData"] = {"mimeType": "application/json", "text": json.dumps(sent)}
    content = {"text": json.dumps(said) if said is not None else "", **more.get("content", {})}
    return {"request": request, "response": {"status": status, "headers": more.get("heard", []), "content": content}}


def har(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"entries": list(entries)}}).encode()


def visit(user: str = "alice", password: str = "hunter-22", token: str = "tok-3f8a1b2c4d5e") -> list[dict[str, Any]]:
    carried = {"Authorization": f"Bearer {token}"}
    login = entry("POST", "/login", {"user": user, "password": password}, {"token": token})
    return [login, *(entry("GET", f"/orders/{number}", headers=carried) for number in range(2))]


WHOLE = har(*visit())
CURL = b"> GET /a HTTP/1.1\r\n> Host: api.acme.example\r\n>\r\n< HTTP/1.1 200 OK\r\n<\r\n"


def packed(said: bytes, encoding: str) -> dict[str, Any]:
    text = base64.b64encode(said).decode()
    heard = [{"name": "content-encoding", "value": encoding}]
    return entry(
        "POST",
        "/login",
        {"user": "alice", "password": "hunter-22"},
        heard=heard,
        content={"text": text, "encoding": "base64"},
    )


def replaced(*pairs: tuple[str, str]) -> bytes:
    text = WHOLE.decode()
    for old, new in pairs:
        text = text.replace(old, new)
    return text.encode()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blanks": (b" \n\t\n", "is empty"),
    "cut": (WHOLE[: len(WHOLE) // 2], "is not whole JSON"),
    "cut in a character": ('{"log": "é'.encode()[:-1], "is not whole JSON"),
    "gzip": (gzip.compress(WHOLE), "is compressed (gzip)"),
    "zip": (b"PK\x03\x04" + WHOLE, "is compressed (zip)"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(range(256)), "is compressed (zstd)"),
    "brotli": (bytes(range(128, 256)) * 9, "is not text"),
    "deflate": (zlib.compress(WHOLE), "is not text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not text"),
    "deep": (b'{"log": ' + b"[" * 100_000, "is not whole JSON"),
    "other JSON": (b'{"openapi": "3.1.0"}', "no log.entries"),
    "a list": (b"[1, 2]", "holds no exchange"),
    "log is a list": (b'{"log": []}', "no log.entries"),
    "entries of nothing": (b'{"log": {"entries": [null, 1, {}, {"request": null}]}}', "holds no exchange"),
    "a capture in lines": (b"\n".join([WHOLE, WHOLE]), "more than one JSON document"),
    "a flow of mitmproxy's": (b"1723:9:websocket;0:~8:response;1499:6:reason;2:OK,", "hardump=login.har"),
    "packets": (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(99), "packets"),
    "a page": (b"<!DOCTYPE html>\n<title>Sign in</title>", "is a page"),
    "no methods": (WHOLE.replace(b'"method": "', b'"method": 5, "m": "'), "holds no exchange"),
    "a password in a text": (
        har(entry("POST", "/login", "alice hunter-22", {"token": "tok-3f8a1b2c4d5e"}), *visit()[1:]),
        "nothing is written",
    ),
    "no http": (
        har({**entry("GET", ""), "request": {"method": "GET", "url": "data:text/plain,x"}}),
        "holds no",
    ),
    "no answers": (har({"request": {"method": "GET", "url": URL}}), "has no answers"),
    "answers of status 0": (har(entry("POST", "/login", {"user": "alice"}, status=0)), "has no answers"),
    "prose": (b"I logged in,\nand it worked.\n", "holds no exchange"),
    "curl without a login": (CURL, "no request carries"),
    "curl without answers": (CURL.partition(b"< ")[0], "holds no exchange"),
    "never logs in": (har(*[entry("GET", "/orders", status=401)] * 3), "no request carries"),
    "only refused": (har(*[entry("POST", "/login", {"password": "wrong"}, {}, 401)] * 3), "no request carries"),
    "a key that is refused": (har(entry("GET", "/a", status=401, headers={"X-Api-Key": "k-123456789"})), "was let in"),
    "pictures": (har(entry("GET", "/x.png"), entry("GET", "/app.js")), "nothing is left"),
    "scrubbed": (replaced(("hunter-22", "***"), ("tok-3f8a1b2c4d5e", "***")), "scrubbed"),
    "scrubbed by words": (replaced(("hunter-22", "[REDACTED]"), ("tok-3f8a1b2c4d5e", "[REDACTED]")), "scrubbed"),
    "the token scrubbed": (replaced(("tok-3f8a1b2c4d5e", "REDACTED")), "scrubbed"),
    "the password scrubbed": (replaced(("hunter-22", "xxxxxxxx")), "scrubbed"),
    "two accounts": (har(*visit(), *visit("bob", "other-pass", "tok-77777777aaaa")), "two accounts"),
    "packed answers": (har(packed(b"\x0b\x02\x80" + b"\x00\x01\xfe\xff" * 9, "br"), *visit()[1:]), ""),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_capture_is_one_line_and_no_file(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    (tmp_path / "capture").write_bytes(content)
    with pytest.raises(CaptureError) as error:
        vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert "hunter-22" not in str(error.value)


@pytest.mark.parametrize("name", ["two accounts", "scrubbed", "deep", "brotli"])
def test_the_command_says_it_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(BAD[name][0])
    words = [*COMMAND, "capture", "--out", "acme.toml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, ""), done.stderr
    assert not (tmp_path / "acme.toml").exists()


def test_a_value_that_was_not_captured_is_said(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(WHOLE)
    with pytest.raises(CaptureError, match="the value of password is nowhere"):
        learn(read_capture(tmp_path / "capture"), {"username": "alice", "password": "another"})


def test_200_megabytes_are_read_or_refused_in_a_line(tmp_path: Path) -> None:
    with (tmp_path / "capture").open("wb") as file:
        file.truncate(400 << 20)
    with pytest.raises(CaptureError, match="larger than"):
        read_capture(tmp_path / "capture")
    with (tmp_path / "capture").open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(CaptureError, match="is not text"):
        read_capture(tmp_path / "capture")


GOOD: dict[str, Callable[[], bytes]] = {
    "in gzip": lambda: har(packed(gzip.compress(b'{"token": "tok-3f8a1b2c4d5e"}'), "gzip"), *visit()[1:]),
    "in base64": lambda: har(packed(b'{"token": "tok-3f8a1b2c4d5e"}', ""), *visit()[1:]),
    "with a mark": lambda: b"\xef\xbb\xbf" + WHOLE,
    "by PowerShell": lambda: WHOLE.decode().encode("utf-16"),
    "with noise": lambda: har(
        *(entry("POST", "/collect", {"page": "x" * 900, "at": n}) for n in range(3000)), *visit()
    ),
    "with one large answer": lambda: har(entry("GET", "/all", said=["x" * 99] * 200_000), *visit()),
}


@pytest.mark.parametrize("name", list(GOOD))
def test_a_capture_that_is_odd_but_good(name: str, tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(GOOD[name]())
    text = vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    assert 'answers.granted = { json = { token = "{access}" } }' in text
    (tmp_path / "acme.toml").write_text(text, "utf-8")
    done = subprocess.run([*CHECK, "acme.toml"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_what_a_file_is_made_of_acts_on_no_terminal(tmp_path: Path) -> None:
    """A key with a title's escape, C1's CSI, an override, half a surrogate, and what cannot be seen."""
    key = "said\n\x1b]0;mine\x07\x9b31m\u202eabc\u2066\u200b\u2028\ufeff\ud800"
    login, *others = visit()
    login["response"]["content"]["text"] = json.dumps({key: "tok-3f8a1b2c4d5e"})
    (capture := tmp_path / "capture.har").write_bytes(har(login, *others))
    done = subprocess.run([*COMMAND, str(capture)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert [char for char in done.stdout + done.stderr if not char.isprintable() and char != "\n"] == []
    assert tomllib.loads(done.stdout)["exchanges"]["login"]["answers"]["granted"]["json"].keys() == {f"{key[:-1]}?"}


MASKED = "masked0123456789abcdef0123456789"


def test_a_stand_in_is_no_literal(tmp_path: Path) -> None:
    """Captures of authflow's own hold stand-ins: one is a credential with a question, or ends it in a line."""
    carried = {"Authorization": f"Bearer {MASKED[::-1]}"}
    data = [entry("GET", f"/orders/{number}", headers=carried) for number in range(2)]
    login = entry("POST", "/rpc", {"method": "login", "params": ["web", MASKED]}, {"token": MASKED[::-1]})
    (tmp_path / "capture").write_bytes(har(login, *data, login, *data))
    text = vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    assert MASKED not in text
    assert "# params is a stand-in, and is a credential here" in text
    login["request"]["postData"] = {"mimeType": "text/xml", "text": MASKED}
    login["request"]["url"] += "/***/login"
    (tmp_path / "capture").write_bytes(har(login, *data, login, *data))
    with pytest.raises(CaptureError, match="--with-secrets"):
        vendor_file(learn(read_capture(tmp_path / "capture")), "acme")


def test_thousands_of_logins_take_their_time_once(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(har(*visit() * 1000))
    began = time.process_time()
    vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    assert time.process_time() - began < 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_into_which_nobody_writes_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CaptureError, match="is empty"):
        read_capture(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--value-env", "secret"], "say --value-env NAME=VARIABLE"),
        (["--value-env", "=HERE"], "say --value-env NAME=VARIABLE"),
        (["--value-env", "access=HERE"], "'access' cannot be a credential's name"),
        (["--value-env", 'a"b=HERE'], "cannot be a credential's name"),
        (["--value-env", "secret=NOT_THERE"], "NOT_THERE is not set"),
        (["--out", "capture"], "is the capture itself"),
        (["--out", "."], "is a directory"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "capture").write_bytes(WHOLE)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        patched.setenv("HERE", "hunter-22")
        done = CliRunner().invoke(cli, ["capture", *words])
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert "hunter-22" not in done.output
    assert (tmp_path / "capture").read_bytes() == WHOLE


def test_a_refusal_that_says_again_what_was_sent_is_no_pattern(tmp_path: Path) -> None:
    """The wrong password of a capture is somebody's too; so is an expired token."""
    sent = {"user": "alice", "password": "hunter-21"}
    refused = entry("POST", "/login", sent, {"error": "hunter-21 is no password of alice", "code": "E7"})
    expired = entry("GET", "/orders/1", headers={"Authorization": "Bearer tok-3f8a1b2c4d5e"})
    expired["response"]["content"]["text"] = '{"error": "tok-3f8a1b2c4d5e has expired", "status": 9}'
    (tmp_path / "capture").write_bytes(har(refused, *visit(), expired, *visit(token="tok-0a9b8c7d6e5f")))
    text = vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    raw = tomllib.loads(text)
    assert raw["exchanges"]["login"]["answers"]["denied"][1] == {"status": 200, "json": {"code": "E7"}}
    assert raw["answers"]["rejected"] == {"status": 200, "json": {"status": 9}}
    assert "hunter" not in text


def test_what_nobody_calls_a_password_is_no_literal(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(replaced(("user", "q1"), ("password", "q2")))
    text = vendor_file(learn(read_capture(tmp_path / "capture")), "acme")
    assert "# q2 may be a secret, and is a credential here" in text
    assert "hunter-22" not in text
