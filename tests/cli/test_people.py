"""`authflow login` where a person is needed: a browser, a device, and a terminal without either."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from authflow.testing import Simulator, serving
from tests.cli.conftest import AUTHFLOW, Shell

CODE = """
name = "acme"
extends = "oauth2-code"
base_url = "{url}"
settings.authorize_url = {{ default = "authorize" }}
settings.token_url = {{ default = "token" }}
settings.client_id = {{ default = "app" }}
"""
DEVICE = (
    CODE.replace("oauth2-code", "oauth2-device").replace("authorize_url", "device_url").replace("authorize", "device")
)
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@contextlib.contextmanager
def served(text: str, tmp_path: Path) -> Iterator[tuple[Simulator, str]]:
    """A vendor of this kind on this machine, and the path to its file."""
    file = tmp_path / "acme.toml"
    file.write_text(text.format(url="https://acme.example/"))
    simulator = Simulator(file)
    with serving(simulator) as url:
        file.write_text(text.format(url=url))
        yield simulator, str(file)


def clicks(page: str, url: str, label: str) -> str:
    """What a browser shows in the end whose user follows the link of that label."""
    (path,) = re.findall(rf'href="([^"]+)">{label}', page)
    with OPENER.open(urljoin(url, path.replace("&amp;", "&")), timeout=10) as answer:
        return str(answer.read().decode())


def signs_in(url: str, label: str = "Sign in") -> str:
    with OPENER.open(url, timeout=10) as answer:
        return clicks(answer.read().decode(), url, label)


def browser(tmp_path: Path, label: str = "Sign in") -> str:
    """A browser for $BROWSER: a program that signs in, and goes where it is sent."""
    program = tmp_path / "browser"
    root = Path(__file__).parents[2]
    line = f"import sys; sys.path.insert(0, {str(root)!r}); from tests.cli.test_people import signs_in; "
    program.write_text(f"#!{sys.executable}\n{line}signs_in(sys.argv[1], {label!r})\n")
    program.chmod(0o755)
    return f"{program} %s &"


def test_a_browser_is_opened_and_the_token_kept(shell: Shell, tmp_path: Path) -> None:
    with served(CODE, tmp_path) as (simulator, file):
        nobody = shell("token", file, "--store", "file")
        assert nobody.code != 0
        assert "authflow login acme" in nobody.err
        done = shell("login", file, "--store", "file", BROWSER=browser(tmp_path))
        assert done.code == 0, done
        assert "sign in at this address" in done.err
        token = shell("token", file, "--store", "file")
        assert token.code == 0, token
        assert token.out.startswith("access")
        assert simulator.counts["authorize"] == 1


def test_a_person_who_refuses(shell: Shell, tmp_path: Path) -> None:
    with served(CODE, tmp_path) as (_, file):
        done = shell("login", file, BROWSER=browser(tmp_path, "Refuse"))
        assert done.code != 0
        assert "The sign-in was refused" in done.err


@contextlib.contextmanager
def begun(shell: Shell, *words: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A verb under way, and the lines that it has shown so far."""
    shown: list[str] = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*AUTHFLOW, *words], env=shell.environment(**more), text=True, **pipes) as process:  # type: ignore[call-overload]

        def read() -> None:
            shown.extend(iter(process.stderr.readline, ""))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield process, shown
        finally:
            with contextlib.suppress(OSError):
                process.kill()
            reader.join(10)


def address(shown: list[str]) -> str:
    ends = time.monotonic() + 30
    while not (found := [line.strip() for line in shown if line.startswith("http")]):
        assert time.monotonic() < ends, shown
        time.sleep(0.02)
    return found[0]


@pytest.mark.parametrize("pastes", [False, True], ids=["the port is reached", "the address is pasted"])
def test_without_a_browser(shell: Shell, tmp_path: Path, pastes: bool) -> None:
    class Stays(urllib.request.HTTPRedirectHandler):
        def http_error_302(self, req: urllib.request.Request, fp: object, *rest: object) -> object:  # type: ignore[override]
            return fp

    with served(CODE, tmp_path) as (_, file), begun(shell, "login", file, "--no-browser") as (process, shown):
        url = address(shown)
        if pastes:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stays())
            with opener.open(f"{url}&__person=agrees", timeout=10) as answer:
                typed = answer.headers["Location"]
        else:
            visitor = threading.Thread(target=signs_in, args=(url,))  # it waits at the port until somebody looks there
            visitor.start()
            typed = ""
        assert process.stdin is not None
        process.stdin.write(f"{typed}\n")
        process.stdin.flush()
        assert process.wait(30) == 0, shown
    assert "Logged in to acme" in "".join(shown)


def test_a_device_shows_a_code(shell: Shell, tmp_path: Path) -> None:
    with served(DEVICE, tmp_path) as (simulator, file):
        done = shell("login", file)
        assert done.code == 0, done
        assert re.search(r"Go to verificationuri\w+ and enter usercode\w+\.", done.err)
        assert "█" in done.err or "▄" in done.err
        assert simulator.counts["poll_repeated"] == 1


def test_ctrl_c_ends_it_at_once(shell: Shell, tmp_path: Path) -> None:
    with served(DEVICE, tmp_path) as (simulator, file):
        simulator.person.does = "leaves"
        with begun(shell, "login", file) as (process, shown):
            ends = time.monotonic() + 30
            while not any("enter" in line for line in shown) and time.monotonic() < ends:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(20) == 130
            assert time.monotonic() - began < 10
