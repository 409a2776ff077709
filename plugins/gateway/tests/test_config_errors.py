"""What is wrong with a gateway's files is one line with its place, exit code 2, before anything listens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from authflow_gateway.callers import Callers
from authflow_gateway.command import _port, _written, cli, main
from authflow_gateway.config import CONFIG_VARIABLE

from .conftest import COMMAND, ROUTE
from .test_operation import free_port

ACCOUNT = '[accounts.supplier]\nvendor = "supplier"\nstore = "memory"\nusername = "demo"\npassword = { env = "P" }\n'
TOP = 'listen = "127.0.0.1:0"\naccounts = "accounts.toml"\n'


def said(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says of a file that is wrong."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv(CONFIG_VARIABLE, "gateway.toml")  # the command sets it for its workers
    monkeypatch.setattr(sys, "argv", ["authflow-gateway", *(words or ("gateway.toml",))])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, ""), told.err
    assert "Traceback" not in told.err
    return told.err


def written(folder: Path, config: str, accounts: str = ACCOUNT) -> None:
    (folder / "gateway.toml").write_text(config, "utf-8")
    (folder / "accounts.toml").write_text(accounts, "utf-8")
    (folder / "accounts.toml").chmod(0o600)


def at(line: int, key: str) -> str:
    return f"authflow-gateway: gateway.toml:{line}:{key}: "


WRONG: dict[str, tuple[str, str, str]] = {
    "no TOML": (TOP + "x = = 1\n", "gateway.toml:3: is not TOML", ""),
    "half a string": (TOP + 'x = "\n', "gateway.toml:3: is not TOML", ""),
    "no routes": (TOP, "routes: missing", ""),
    "an empty list of routes": (TOP + "routes = []\n", at(3, "routes"), "there is none"),
    "an unknown key": (TOP + 'colour = "red"\n' + ROUTE, at(3, "colour"), "unknown key"),
    "an unknown key of a route": (TOP + ROUTE + "method = 1\n", at(9, "routes.0.method"), "did you mean 'methods'?"),
    "a key of the wrong type": (TOP + ROUTE + 'timeout = "long"\n', at(9, "routes.0.timeout"), "a number"),
    "a word that is none of two": (TOP + ROUTE + 'redirects = "no"\n', at(9, "routes.0.redirects"), "'follow'"),
    "a negative limit": (TOP + ROUTE + "max_body = -1\n", at(9, "routes.0.max_body"), "0"),
    "no workers": (TOP + "workers = 0\n" + ROUTE, at(3, "workers"), "1"),
    "a missing key of a route": (TOP + ROUTE.replace('account = "supplier"', ""), "routes.0.account: missing", ""),
    "an account that is not there": (
        TOP + ROUTE.replace('account = "supplier"', 'account = "nobody"'),
        at(6, "routes.0.account"),
        "no account 'nobody' (there are",
    ),
    "a file of accounts that is not there": (
        TOP.replace("accounts.toml", "none.toml") + ROUTE,
        at(2, "accounts"),
        "no such file",
    ),
    "two routes of one prefix": (TOP + ROUTE + ROUTE, at(11, "routes.1.path"), "taken by another route"),
    "a path without {path}": (TOP + ROUTE.replace("/{path}", ""), at(5, "routes.0.path"), "a path such as"),
    "a path with dots": (TOP + ROUTE.replace("/supplier", "/a/../b"), at(5, "routes.0.path"), ""),
    "a path of our own": (TOP + ROUTE.replace("/supplier", "/healthz"), at(5, "routes.0.path"), "own"),
    "a pattern that is none": (TOP + ROUTE.replace("deliveries/*", "a b"), at(8, "routes.0.paths"), "segments"),
    "a pattern with a query": (TOP + ROUTE.replace("deliveries/*", "a?b=*"), at(8, "routes.0.paths"), "segments"),
    "stars amid a pattern": (TOP + ROUTE.replace("deliveries/*", "a/**/b"), at(8, "routes.0.paths"), "segments"),
    "no paths": (TOP + ROUTE.replace('"deliveries/*", "me", "echo/**"', ""), at(8, "routes.0.paths"), "denied"),
    "no methods": (TOP + ROUTE.replace('"GET", "POST"', ""), at(7, "routes.0.methods"), "denied"),
    "a method in small letters": (TOP + ROUTE.replace('"GET"', '"get"'), at(7, "routes.0.methods"), "'get'"),
    "an address that is none": (TOP.replace("127.0.0.1:0", "here") + ROUTE, at(1, "listen"), "an address such as"),
    "a port that is none": (TOP.replace(":0", ":99999") + ROUTE, at(1, "listen"), "an address such as"),
    "a host that nobody knows": (
        TOP.replace("127.0.0.1:0", "no.such.host.invalid:80") + ROUTE,
        at(1, "listen"),
        "no.such.host.invalid:80",
    ),
    "an address of another machine": (TOP.replace("127.0.0.1:0", "192.0.2.7:80") + ROUTE, at(1, "listen"), "assign"),
    "a method that shows the token": (
        TOP + ROUTE.replace('"GET"', '"TRACE"'),
        at(7, "routes.0.methods"),
        "never passed",
    ),
    "a method that is a proxy's": (
        TOP + ROUTE.replace('"GET"', '"CONNECT"'),
        at(7, "routes.0.methods"),
        "never passed",
    ),
    "no key at a port": (TOP + "socket_needs_no_key = true\n" + ROUTE, at(3, "socket_needs_no_key"), "no Unix socket"),
    "a mode that is none": (TOP + 'socket_mode = "rw"\n' + ROUTE, at(3, "socket_mode"), "octal"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_file_is_one_line_with_its_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, place, reason = WRONG[name]
    written(tmp_path, config)
    told = said(tmp_path, monkeypatch, capsys)
    assert told.count("\n") == 1, told
    assert place in told
    assert reason in told


def folder(at: Path) -> None:
    at.mkdir()


BESIDE: dict[str, tuple[Callable[[Path], object], str]] = {
    "keys that are a folder": (lambda at: folder(at / "keys.json"), "keys.json: cannot be read"),
    "keys that are no keys": (lambda at: (at / "keys.json").write_text('{"a": 1}'), "keys.json: is not a file of keys"),
    "keys that are bytes": (lambda at: (at / "keys.json").write_bytes(b"\xff\xfe\x00"), "is not a file of keys"),
    "keys of others": (
        lambda at: ((at / "keys.json").write_text("[]"), (at / "keys.json").chmod(0o666)),
        "keys.json: others may write to it",
    ),
    "no vendor": (
        lambda at: (at / "accounts.toml").write_text(ACCOUNT.replace('"supplier"', '"nobodys"')),
        "nobodys",
    ),
    "a vendor file that is not there": (
        lambda at: (at / "accounts.toml").write_text(ACCOUNT.replace('"supplier"', '"acme.toml"')),
        "acme.toml",
    ),
    "accounts that are no TOML": (lambda at: (at / "accounts.toml").write_text("= 1"), "accounts.toml: is not TOML"),
    "accounts of others": (lambda at: (at / "accounts.toml").chmod(0o666), "others may write"),
    "a store that is none": (
        lambda at: (at / "accounts.toml").write_text(ACCOUNT.replace('"memory"', '"nowhere"')),
        "nowhere",
    ),
    "an input that is none": (
        lambda at: (at / "accounts.toml").write_text(ACCOUNT + 'colour = "red"\n'),
        "colour",
    ),
    "a config that is a folder": (
        lambda at: ((at / "gateway.toml").unlink(), folder(at / "gateway.toml")),
        "gateway.toml: cannot be read",
    ),
    "a config that is not there": (lambda at: (at / "gateway.toml").unlink(), "gateway.toml: cannot be read"),
    "a config that is bytes": (lambda at: (at / "gateway.toml").write_bytes(b"\xff\xfe"), "is not TOML"),
}


@pytest.mark.parametrize("name", list(BESIDE))
def test_what_is_wrong_beside_it_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, reason = BESIDE[name]
    written(tmp_path, TOP + ROUTE)
    spoil(tmp_path)
    told = said(tmp_path, monkeypatch, capsys)
    assert told.count("\n") == 1, told
    assert reason in told


def test_a_broken_vendor_file_is_told_with_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, TOP + ROUTE, ACCOUNT.replace('"supplier"', '"acme.toml"'))
    (tmp_path / "acme.toml").write_text('name = "acme"\nextends = "relogin"\nbase_url = "https://a.example/"\nx = 1\n')
    told = said(tmp_path, monkeypatch, capsys)
    assert "acme.toml:4:x: unknown key" in told
    assert all(line.startswith("authflow-gateway: ") for line in told.splitlines())


def test_a_port_that_is_taken_and_a_socket_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        written(tmp_path, TOP.replace(":0", f":{taken.getsockname()[1]}") + ROUTE)
        told = said(tmp_path, monkeypatch, capsys)
        assert told.splitlines()[-1].startswith(at(1, "listen"))
        assert "in use" in told
    for place, reason in (("served.sock", "listens there already"), ("file.sock", "in use"), ("no/where", "No such")):
        written(tmp_path, f'listen = "unix:{place}"\naccounts = "accounts.toml"\n{ROUTE}')
        (tmp_path / "file.sock").write_text("a file of somebody's")
        with socket.socket(socket.AF_UNIX) as held:
            monkeypatch.chdir(tmp_path)
            (tmp_path / "served.sock").unlink(missing_ok=True)
            held.bind("served.sock")
            held.listen()
            told = said(tmp_path, monkeypatch, capsys)
        assert told.splitlines()[-1].startswith(at(1, "listen"))
        assert reason in told
    assert (tmp_path / "file.sock").read_text() == "a file of somebody's"


@pytest.mark.parametrize("words", [("key", "revoke", "nobody"), ("key", "add"), ("gateway.toml", "--colour"), ("key",)])
def test_what_is_used_wrongly_ends_with_2(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, TOP + ROUTE)
    assert said(tmp_path, monkeypatch, capsys, *words)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_it_ends_as_it_is_told(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    """With a socket that is there no more, and nothing on standard error but the log."""
    written(tmp_path, f'listen = "unix:gw.sock"\naccounts = "accounts.toml"\n{ROUTE}')
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen([*COMMAND, "gateway.toml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=log)
        try:
            assert running.stdout is not None
            assert running.stdout.readline()
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(30)
                caller.connect(str(tmp_path / "gw.sock"))
                caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert b"".join(iter(lambda: caller.recv(4096), b"")).endswith(b"alive\n")
            running.send_signal(sent)
            assert running.wait(timeout=40) == code
        finally:
            running.kill()
            running.wait()
            assert running.stdout is not None
            running.stdout.close()
    assert not (tmp_path / "gw.sock").exists()
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


def test_a_file_without_keys_is_served_and_said_so(tmp_path: Path) -> None:
    written(tmp_path, TOP.replace(":0", f":{free_port()}") + ROUTE)
    done = subprocess.run([*COMMAND, "gateway.toml", "--check"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 route, nothing wrong\n")


def test_help_says_how_to_check_and_how_it_ends() -> None:
    told = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for words in ("CONFIG.toml", "--check", "Exit codes: 0", "2 used wrongly", "130 interrupted", "key Who may call"):
        assert words in told


def test_a_file_of_keys_keeps_its_permissions(tmp_path: Path) -> None:
    """Else a key that is made by root would lock out the gateway, which runs as another user."""
    callers = Callers(tmp_path / "keys.json")
    callers.add("one")
    assert callers.path.stat().st_mode & 0o777 == 0o600
    callers.path.chmod(0o644)
    made = callers.add("two")
    callers.revoke("one")
    assert callers.path.stat().st_mode & 0o777 == 0o644
    assert callers.named(made) == "two"


def test_keys_that_others_may_write_or_that_are_gone_open_nothing(tmp_path: Path) -> None:
    callers = Callers(tmp_path / "keys.json")
    made = callers.add("one")
    whole = callers.path.read_bytes()
    assert callers.named(made) == "one"
    for spoil in (lambda: callers.path.chmod(0o666), lambda: callers.path.write_bytes(b"[{"), callers.path.unlink):
        spoil()
        assert callers.named(made) is None
        callers.path.unlink(missing_ok=True)
        callers.path.write_bytes(whole)
        callers.path.chmod(0o600)
        assert callers.named(made) == "one"


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_address_it_tells_is_one_that_a_url_takes(host: str, shown: str) -> None:
    try:
        listening = _port(host, 0)
    except OSError:
        pytest.skip("this machine has no such address")
    with listening:
        assert _written(listening)[0] == shown
