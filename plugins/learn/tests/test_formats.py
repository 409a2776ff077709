"""One login as each program writes it down: the same file is learnt of all."""

from __future__ import annotations

import base64
import copy
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authflow.vendors import load
from authflow_learn import learn, read_capture, vendor_file

HOST, PASSWORD, TOKEN = "api.acme.example", "hunter-22", "tok-3f8a1b2c4d5e"
FORM = f"user=alice&password={PASSWORD}"
ANSWER = json.dumps({"token": TOKEN, "expires_in": 3600})
Entry = dict[str, Any]


def named(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def entry(at: int, method: str, path: str, *headers: tuple[str, str], said: str = "{}") -> Entry:
    content = {"size": len(said), "mimeType": "application/json", "text": said}
    answer = {"status": 200, "headers": named(("Content-Type", "application/json")), "content": content}
    request = {"method": method, "url": f"https://{HOST}{path}", "headers": named(*headers), "cookies": []}
    return {"startedDateTime": f"2026-01-01T10:00:0{at}.000Z", "request": request, "response": answer}


def visit() -> list[Entry]:
    login = entry(0, "POST", "/login", ("Content-Type", "application/x-www-form-urlencoded"), said=ANSWER)
    login["request"]["postData"] = {"mimeType": "application/x-www-form-urlencoded", "text": FORM}
    carried = ("Authorization", f"Bearer {TOKEN}")
    return [login, entry(1, "GET", "/orders/1", carried), entry(2, "GET", "/orders/2", carried)]


def params(entries: list[Entry], folder: Path) -> None:
    """Charles: the fields of a form in a list, and the port in each URL."""
    posted = entries[0]["request"]["postData"]
    del posted["text"]
    posted["params"] = named(("user", "alice"), ("password", PASSWORD))
    for one in entries:
        one["request"]["url"] = one["request"]["url"].replace(HOST, f"{HOST}:443")


def firefox(entries: list[Entry], folder: Path) -> None:
    """Headers of a form before its text; what was sent first need not stand first."""
    head = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 31\r\n\r\n"
    entries[0]["request"]["postData"]["text"] = head + FORM
    entries[0]["startedDateTime"] = "2026-01-01T11:00:00+01:00"
    entries.reverse()


def chromium(entries: list[Entry], folder: Path) -> None:
    """HTTP/2's names, fields with an underscore, a preflight, and a request that was blocked."""
    for one in entries:
        request = one["request"]
        request["headers"] = [{**pair, "name": pair["name"].lower()} for pair in request["headers"]]
        request["headers"] += named((":authority", HOST), (":method", request["method"]), (":path", "/x"))
        one |= {"_initiator": {"type": "script"}, "_priority": "High", "cache": {}, "timings": {"_queued": 1}}
    preflight = entry(0, "OPTIONS", "/login", ("access-control-request-method", "POST"))
    blocked = entry(0, "GET", "/blocked")
    blocked["response"] |= {"status": 0, "_error": "net::ERR_BLOCKED_BY_CLIENT", "content": {"size": 0}}
    entries[:0] = [preflight, blocked]


def mitmproxy(entries: list[Entry], folder: Path) -> None:
    for one in entries:
        content = one["response"]["content"]
        content |= {"text": base64.b64encode(content["text"].encode()).decode(), "encoding": "base64"}
        one["request"].setdefault("postData", {"mimeType": "", "text": "", "params": []})


def playwright(entries: list[Entry], folder: Path) -> None:
    """Bodies in files beside it; -1 is a request without an answer."""
    (folder / "5a1f.json").write_text(ANSWER, "utf-8")
    (folder / "77aa.dat").write_text(FORM, "utf-8")
    content, posted = entries[0]["response"]["content"], entries[0]["request"]["postData"]
    del content["text"], posted["text"]
    content["_file"], posted["_file"] = "5a1f.json", "77aa.dat"
    gone = entry(3, "GET", "/orders/3", ("Authorization", f"Bearer {TOKEN}"))
    gone["response"] |= {"status": -1, "content": {"size": -1, "mimeType": "x-unknown"}}
    entries.append(gone)


def safari(entries: list[Entry], folder: Path) -> None:
    """Answers of data requests without a text; only sizes."""
    for one in entries[1:]:
        one["response"]["content"] = {"size": 512, "compression": 400, "mimeType": "application/json"}
        one["response"] |= {"bodySize": 112, "_transferSize": 300}


WRITERS = (params, firefox, chromium, mitmproxy, playwright, safari)


def learnt(path: Path) -> str:
    text = vendor_file(learn(read_capture(path), {"username": "alice", "password": PASSWORD}), "acme")
    load(tomllib.loads(text))
    assert PASSWORD not in text
    assert TOKEN not in text
    return text


def expected(folder: Path) -> str:
    (folder / "plain.har").write_text(json.dumps({"log": {"entries": visit()}}), "utf-8")
    text = learnt(folder / "plain.har")
    assert 'form = { user = "{username}", password = "{password}" }' in text
    assert 'json = { token = "{access}", expires_in = "{expires_in:int}" }' in text
    return text


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: str(writer.__name__))
def test_each_writer_of_har(writer: Callable[[list[Entry], Path], None], tmp_path: Path) -> None:
    entries = copy.deepcopy(visit())
    writer(entries, tmp_path)
    (tmp_path / "capture.har").write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}), "utf-8")
    assert learnt(tmp_path / "capture.har") == expected(tmp_path)


def test_a_body_in_a_file_is_beside_the_capture_or_nowhere(tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    (tmp_path / "secret").write_text(ANSWER, "utf-8")
    for name in ("../secret", str(tmp_path / "secret"), "missing", 7):
        entries = visit()
        entries[0]["response"]["content"] = {"_file": name}
        (tmp_path / "within" / "a.har").write_text(json.dumps({"log": {"entries": entries}}), "utf-8")
        assert read_capture(tmp_path / "within" / "a.har")[0].answer.body == ""


def test_cookies_and_redirects_that_only_lists_tell(tmp_path: Path) -> None:
    entries = visit()
    entries[0]["response"] |= {"status": 302, "redirectURL": "/home", "cookies": named(("sid", "s-91aa72bb63cc"))}
    for one in entries[1:]:
        one["request"] |= {"headers": [], "cookies": named(("sid", "s-91aa72bb63cc"))}
    (tmp_path / "a.har").write_text(json.dumps({"log": {"entries": entries}}), "utf-8")
    first = read_capture(tmp_path / "a.har")[0].answer
    assert (first.header("location"), first.header("set-cookie")) == ("/home", "sid=s-91aa72bb63cc")
    text = learnt(tmp_path / "a.har")
    assert 'cookies = { sid = "{access}" }' in text


# --- curl -------------------------------------------------------------------------------------------------------------


def verbose(version: str, *, said: bool = True, quiet: bool = False) -> str:
    """As curl 8 writes it; the later requests use the connection that is there."""
    two = version == "2"
    lines: list[str] = []
    for method, path, body in (("POST", "/login", ANSWER), ("GET", "/orders/1", "{}"), ("GET", "/orders/2", "{}")):
        if said:
            data = f" -d '{FORM}'" if method == "POST" else f" -H 'Authorization: Bearer {TOKEN}'"
            lines.append(f"alice@desk:~/x$ curl -{'s' * quiet}v https://{HOST}{path}{data}")
        if not quiet:
            lines.append("  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current")
        if method == "POST":
            lines += [f"* Host {HOST}:443 was resolved.", "*   Trying 192.0.2.1:443...", "* ALPN: curl offers h2"]
            lines += ["} [5 bytes data]", "* TLSv1.3 (OUT), TLS handshake, Client hello (1):", "{ [122 bytes data]"]
            lines += [f"* Connected to {HOST} (192.0.2.1) port 443"]
        else:
            lines.append(f"* Re-using existing https: connection with host {HOST}")
        if two:
            lines += [f"* [HTTP/2] [1] OPENED stream for https://{HOST}{path}", f"* [HTTP/2] [1] [:method: {method}]"]
            lines += ["* [HTTP/2] [1] [:scheme: https]", f"* [HTTP/2] [1] [:path: {path}]"]
        lines += [f"> {method} {path} HTTP/{version}", f"> Host: {HOST}", "> User-Agent: curl/8.5.0", "> Accept: */*"]
        if method == "POST":
            lines += [f"> Content-Length: {len(FORM)}", "> Content-Type: application/x-www-form-urlencoded"]
        else:
            lines.append(f"> {'authorization' if two else 'Authorization'}: Bearer {TOKEN}")
        lines += ["> ", "< HTTP/1.1 100 Continue", "< "] if method == "POST" and not two else ["> "]
        lines += [f"< HTTP/{version} 200 {'' if two else 'OK'}", "< content-type: application/json", "< "]
        lines += ["{ [51 bytes data]", f"{body}* Connection #0 to host {HOST} left intact"]
    return "\r\n".join(lines) + "\r\n"


def traced(*, answer: str = ANSWER, hexadecimal: bool = False, timed: bool = False) -> str:
    lines = [f"== Info: Connected to {HOST} (192.0.2.1) port 443", "== Info: SSL connection using TLSv1.3"]

    def block(title: str, data: bytes) -> None:
        lines.append(f"{title}, {len(data)} bytes ({hex(len(data))})")
        at = 0
        while at < len(data):
            if hexadecimal:
                row = data[at : at + 16]
                text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
                lines.append(f"{at:04x}: {row.hex(' ') + ' ':<48}{text}")
                at += len(row)
                continue
            row = data[at : at + 64].partition(b"\r\n")[0]
            lines.append(f"{at:04x}: {row.decode().replace(chr(10), '.')}")
            at += len(row) + 2 * (data[at + len(row) :][:2] == b"\r\n")

    for method, path, body in (("POST", "/login", answer), ("GET", "/orders/1", "{}"), ("GET", "/orders/2", "{}")):
        more = f"Content-Length: {len(FORM)}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        carried = f"Authorization: Bearer {TOKEN}\r\nUser-Agent: {'long-' * 30}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\n{more if method == 'POST' else carried}\r\n"
        block("=> Send header", head.encode())
        if method == "POST":
            block("=> Send data", FORM.encode())
        block("<= Recv header", b"HTTP/1.1 200 OK\r\n")
        block("<= Recv header", b"Content-Type: application/json\r\n")
        block("<= Recv header", b"\r\n")
        block("<= Recv data", body.encode())
    return "\n".join(f"12:00:00.123456 {line}" if timed and line[:1] in "=<" else line for line in lines) + "\n"


def included(long: bool) -> str:
    data, header = ("--data-raw", "--header") if long else ("-d", "-H")
    fields = f"{data} user=alice {data} 'password={PASSWORD}'" if long else f"-sid '{FORM}'"
    lines = [f"$ curl {'--include' if long else ''} https://{HOST}/login \\\n  {fields}", "HTTP/2 200"]
    lines += ["content-type: application/json", "", ANSWER]
    for number in (1, 2):
        lines += [
            f"$ curl -si {header} 'Authorization: Bearer {TOKEN}' {HOST}/orders/{number}".replace(
                HOST, f"https://{HOST}"
            )
        ]
        lines += ["HTTP/2 200", "content-type: application/json", "", "{}"]
    return "\n".join(lines)


TRANSCRIPTS: dict[str, Callable[[], str]] = {
    "HTTP/1.1": lambda: verbose("1.1"),
    "HTTP/2": lambda: verbose("2"),
    "quiet": lambda: verbose("2", quiet=True),
    "with heads": lambda: re.sub(r"\r\n< ([^\r]*)", r"\r\n< \1\r\n\1", verbose("2", quiet=True)),
    "trace-ascii": traced,
    "trace": lambda: traced(hexadecimal=True),
    "trace with times": lambda: traced(timed=True),
    "-i": lambda: included(long=False),
    "--include": lambda: included(long=True),
    "a body in several lines": lambda: verbose("2").replace(
        f"-d '{FORM}'", f"-d 'user=alice' \\\r\n  -d 'password={PASSWORD}'"
    ),
    "Windows": lambda: verbose("2").replace("alice@desk:~/x$ curl", "C:\\Users\\alice>curl.exe").replace("'", '"'),
}


@pytest.mark.parametrize("name", list(TRANSCRIPTS))
def test_each_transcript_of_curl(name: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(TRANSCRIPTS[name]().encode())
    assert learnt(tmp_path / "log") == expected(tmp_path)


@pytest.mark.parametrize("hexadecimal", [True, False])
def test_rows_of_a_trace_are_joined(hexadecimal: bool, tmp_path: Path) -> None:
    pretty = json.dumps(json.loads(ANSWER), indent=2)
    text = traced(answer=pretty, hexadecimal=hexadecimal)
    (tmp_path / "log").write_text(text, "utf-8")
    first, second, _ = read_capture(tmp_path / "log")
    assert first.answer.document == json.loads(ANSWER)
    assert second.request.header("user-agent") == "long-" * 30


def test_json_in_several_lines_of_a_command(tmp_path: Path) -> None:
    body = f'{{\n  "user": "alice",\n  "password": "{PASSWORD}"\n}}'
    (tmp_path / "log").write_text(verbose("2").replace(FORM, body), "utf-8")
    assert 'json = { user = "{username}", password = "{password}" }' in learnt(tmp_path / "log")


def test_what_curl_does_not_show_is_asked(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(verbose("1.1", said=False), "utf-8")
    text = vendor_file(learn(read_capture(tmp_path / "log")), "acme")
    load(tomllib.loads(text))
    assert "# what does 'login' send? The capture has no body of it" in text


def test_redirects_below_one_command(tmp_path: Path) -> None:
    lines = [f"$ curl -isL -u alice:{PASSWORD} https://{HOST}/old", "HTTP/1.1 302 Found", "Location: /new", ""]
    (tmp_path / "log").write_text("\n".join([*lines, "HTTP/1.1 200 OK", "", "{}"]), "utf-8")
    found = read_capture(tmp_path / "log")
    assert [(one.url, one.status, one.answer.body) for one in found] == [
        (f"https://{HOST}/old", 302, ""),
        (f"https://{HOST}/new", 200, "{}"),
    ]
    assert 'extends = "basic"' in learnt(tmp_path / "log")
