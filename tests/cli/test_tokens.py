"""login, token, logout: what they print, where secrets come from, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from authflow.cli.exits import EPILOG
from tests.cli.conftest import AUTHFLOW, Shell, shown_until
from tests.servers import PASSWORD, Came, Listener, Says, Supplier, closed_port, listening


def by_hand(supplier: Supplier) -> list[str]:
    given = {"username": "demo", "base_url": supplier.base_url, "data_origin": supplier.data_url}
    return ["supplier", *(word for name, value in given.items() for word in ("--set", f"{name}={value}"))]


def test_the_token_is_printed_alone_and_kept(account: Shell, supplier: Supplier) -> None:
    first, second = account("token", "sup"), account("token", "sup")
    assert (first.code, first.err) == (0, "")
    assert first.out.count(".") == 2
    assert first.out == second.out
    assert first.out.endswith("\n")
    assert supplier.counts == {"login": 1}


def test_json_says_how_long(account: Shell) -> None:
    facts = account("token", "sup", "--json").json
    assert facts["token"].count(".") == 2
    assert facts["expires_at"] - facts["issued_at"] == pytest.approx(12 * 3600, abs=5)


def test_a_vendor_needs_no_account(shell: Shell, supplier: Supplier) -> None:
    assert shell("token", *by_hand(supplier), AUTHFLOW_PASSWORD=PASSWORD).code == 0
    assert not shell.config.exists()


def test_a_vendor_file_is_named_by_its_path(shell: Shell, supplier: Supplier, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    shutil.copy(resources.files("authflow_supplier") / "supplier.toml", file)
    _, *settings = by_hand(supplier)
    done = shell("token", str(file), *settings, AUTHFLOW_PASSWORD=PASSWORD)
    assert (done.code, done.err) == (0, ""), done
    assert supplier.counts == {"login": 1}


def test_login_reads_a_secret_from_standard_input_and_saves_the_account(shell: Shell, supplier: Supplier) -> None:
    done = shell("login", *by_hand(supplier), "--stdin", "password", "--save", "mine", given=f"{PASSWORD}\n")
    assert done.code == 0, done
    assert done.out == ""
    assert "11 h 59 min" in done.err
    assert "Its password is asked for each time, or read from AUTHFLOW_PASSWORD" in done.err
    assert "password = { keyring = true }" in done.err
    assert PASSWORD not in shell.config.read_text()
    assert shell.config.stat().st_mode & 0o777 == 0o600
    assert shell("token", "mine").code == 0
    assert supplier.counts == {"login": 1}


def test_login_logs_in_again_and_logout_forgets(account: Shell, supplier: Supplier) -> None:
    tokens = [account("login", "sup"), account("login", "sup"), account("logout", "sup"), account("token", "sup")]
    assert [done.code for done in tokens] == [0] * 4
    assert supplier.counts == {"login": 3}


def test_a_refused_password_is_one_line_and_sent_once(account: Shell, supplier: Supplier) -> None:
    ends = [account("token", "sup", SUP_PASSWORD="open-barley") for _ in range(2)]
    assert [done.code for done in ends] == [1, 1]
    assert all(done.err.count("\n") == 1 and "refused" in done.err and done.out == "" for done in ends)
    assert "open-barley" not in ends[0].err
    assert supplier.counts == {"login": 1, "login_refused": 1}


def test_with_json_the_error_is_json_too(account: Shell) -> None:
    done = account("token", "sup", "--json", SUP_PASSWORD="open-barley")
    facts = json.loads(done.err)
    assert (facts["error"], facts["exit_code"]) == ("CredentialsRefused", done.code)
    assert 0 < facts["retry_after"] <= 60


def test_a_vendor_that_cannot_be_reached(account: Shell) -> None:
    with closed_port() as url:
        done = account("token", "sup", "--set", f"base_url={url}/api/v1/auth/")
    assert (done.code, done.err.count("\n")) == (3, 1)


def test_a_store_that_cannot_be_used(account: Shell, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = account("token", "sup", "--store", str(tmp_path / "taken"))
    assert (done.code, done.err.count("\n")) == (4, 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["token", "sup", "--set", "password=open-sesame"], "AUTHFLOW_PASSWORD"),
        (["token", "sup", "--set", "usernam=demo"], "did you mean 'username'?"),
        (["token", "sup", "--set", "open-sesame"], "NAME=VALUE"),
        (["token", "nobody"], "no account and no vendor"),
        (["token", "suplier"], "did you mean 'supplier'?"),
        (["login", "sup", "--stdin", "password"], "standard input holds nothing"),
        (["token", "sup", "--store", "redis"], "redis://"),
        (["login", "sup", "--save", "sup"], "already"),
        (["login", "sup", "--save", "s p"], "letters, digits"),
        (["token", "sup", "--timeout", "nan"], "not a number of seconds"),
        (["token", "sup", "--timeout", "inf"], "not a number of seconds"),
        (["token", "sup", "--timeout", "0"], "not a number of seconds"),
        (["token", "sup", "--store", "redis://:open-sesame@127.0.0.1/0"], "AUTHFLOW_STORE"),
    ],
)
def test_wrong_use_is_one_line_without_the_secret(
    account: Shell, supplier: Supplier, words: list[str], says: str
) -> None:
    done = account(*words)
    assert supplier.counts == {}
    assert (done.code, done.err.count("\n"), done.out) == (2, 1, "")
    assert says in done.err
    assert PASSWORD not in done.err


def test_nobody_to_ask_is_said_and_not_waited_for(shell: Shell, supplier: Supplier) -> None:
    done = shell("token", *by_hand(supplier))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "AUTHFLOW_PASSWORD, pipe it in with --stdin password" in done.err
    unnamed = shell("token", "supplier")
    assert "AUTHFLOW_USERNAME, say --set username=" in unnamed.err
    assert "--stdin" not in unnamed.err


def test_the_hint_names_the_input_by_its_name_and_not_its_title(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "key.toml").write_text(
        'extends = "api-key"\nbase_url = "https://a.example/"\n[credentials]\n'
        'api_key = { secret = true, title = "The key from your profile page" }\n'
    )
    done = shell("token", str(tmp_path / "key.toml"))
    assert done.code == 2
    assert "authflow: The key from your profile page for" in done.err
    assert "set AUTHFLOW_API_KEY, pipe it in with --stdin api_key" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
@pytest.mark.parametrize(
    ("typed", "saved"),
    [([b""], None), ([b"\x04"], None), ([b"s p", b"sup", b"mine"], "mine")],
    ids=["no", "the input ends", "a name, at the third try"],
)
def test_a_login_at_a_terminal_offers_to_save_the_account(
    shell: Shell, supplier: Supplier, typed: list[bytes], saved: str | None
) -> None:
    shell.write('[accounts.sup]\nvendor = "supplier"\n')
    words = [f"--set=base_url={supplier.base_url}", f"--set=data_origin={supplier.data_url}"]
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*AUTHFLOW, "login", "supplier", *words],
        env=shell.environment(AUTHFLOW_PASSWORD=PASSWORD),
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown_until(master, b"supplier: ")
        os.write(master, b"demo\n")
        shown = b""
        for name in typed:
            shown += shown_until(master, b"Enter for no: ")
            os.write(master, name if name == b"\x04" else name + b"\n")
        shown += shown_until(master, None)
    os.close(master)
    assert process.returncode == 0, shown
    assert (shown.count(b"letters, digits"), shown.count(b"already")) == ((1, 1) if saved else (0, 0))
    if saved is None:
        assert shell.config.read_text().count("[accounts.") == 1
    else:
        assert 'username = "demo"' in shell.config.read_text().partition("[accounts.mine]")[2]
        assert shell("token", "mine").code == 0
    assert supplier.counts == {"login": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_a_password_is_asked_for_on_a_terminal_and_not_shown(shell: Shell, supplier: Supplier) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*AUTHFLOW, "token", *by_hand(supplier)],
        env=shell.environment(),
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        os.close(terminal)
        shown = shown_until(master, b": ")
        os.write(master, PASSWORD.encode() + b"\n")
        assert process.stdout is not None
        printed = process.stdout.read()
        shown += shown_until(master, None)
    os.close(master)
    assert (process.returncode, printed.count(".")) == (0, 2)
    assert b"password for supplier" in shown
    assert PASSWORD.encode() not in shown


def test_what_takes_long_shows_that_it_does_and_leaves_the_output_clean(account: Shell, supplier: Supplier) -> None:
    supplier.control(latency=1.5)
    done = account("token", "sup")
    assert (done.code, done.err, done.out.count(".")) == (0, "", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_a_terminal_sees_that_something_is_going_on(account: Shell, supplier: Supplier) -> None:
    supplier.control(latency=1.5)
    code, shown = account.on_a_terminal("login", "sup")
    assert code == 0
    assert "Logging in to Delivery status from the supplier …" in shown


@contextlib.contextmanager
def waiting_for(listener: Listener, shell: Shell, asked: threading.Event) -> Iterator[subprocess.Popen[str]]:
    """A verb that the vendor lets wait for its token."""
    with subprocess.Popen(
        [*AUTHFLOW, "token", *slow(listener, shell)],
        env=shell.environment(AUTHFLOW_PASSWORD=PASSWORD),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert asked.wait(30)
        yield process


def slow(listener: Listener, shell: Shell) -> list[str]:
    """A vendor at this listener, as words of a command."""
    file = shell.home / "slow.toml"
    text = (resources.files("authflow_supplier") / "supplier.toml").read_text("utf-8")
    file.write_text(text.replace("{access:jwt}", "{access}"))
    return [str(file), "--set", "username=demo", "--set", f"base_url={listener.url}/"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("insisting", [False, True])
def test_an_interrupt_is_one_line_and_loses_no_token(shell: Shell, insisting: bool) -> None:
    """Ctrl-C while the vendor takes its time: said at once, and what it grants then is kept; a second one ends it."""
    asked, answer = threading.Event(), threading.Event()

    def slowly(came: Came) -> Says:
        asked.set()
        assert answer.wait(30)
        return Says(json={"token": "tok-1", "refreshToken": "ref-1"})

    with listening(slowly) as listener:
        with waiting_for(listener, shell, asked) as process:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said = process.stderr.readline()
            if insisting:
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=30) == 130
            answer.set()
            out, more = process.communicate(timeout=30)
        assert (process.returncode, out, more) == (130, "", "")
        assert "interrupted: " in said
        if not insisting:
            kept = shell("token", *slow(listener, shell), AUTHFLOW_PASSWORD=PASSWORD)
            assert (kept.code, kept.out) == (0, "tok-1\n"), kept
    assert len(listener.came) == 1


def test_the_shell_completes_verbs_and_accounts(account: Shell) -> None:
    def complete(line: str) -> list[str]:
        words = line.split(" ")
        more = {"_AUTHFLOW_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        return [line.partition(",")[2] for line in account(**more).out.splitlines()]

    assert complete("authflow lo") == ["login", "logout"]
    assert complete("authflow token su") == ["sup", "supplier"]
    assert "--stdin" in complete("authflow login --")
    for shell, mark in (("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")):
        assert mark in account("completion", shell).out


@pytest.mark.parametrize("verb", ["login", "token", "logout", "request", "status", "doctor", "completion"])
def test_help_documents_the_exit_codes(shell: Shell, verb: str) -> None:
    said = " ".join(shell(verb, "--help").out.split())
    assert EPILOG in said
