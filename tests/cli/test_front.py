"""The way in and out: whatever a verb is given, it ends with an exit code and at most one line."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from authflow import plugins
from authflow.cli import group as cli
from authflow.cli.exits import EPILOG
from authflow.cli.front import Front
from tests.cli.conftest import AUTHFLOW, Done, Shell

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX streams and signals")

#: A call of each verb that prints something and ends well.
CALLS = {
    "check": ["check", "supplier"],
    "completion": ["completion", "bash"],
    "doctor": ["doctor", "--offline"],
    "login": ["login", "sup"],
    "logout": ["logout", "sup"],
    "new": ["new", "acme"],
    "request": ["request", "GET", "deliveries/7"],
    "schema": ["schema"],
    "show": ["show", "supplier"],
    "status": ["status"],
    "token": ["token", "sup"],
    "vendors": ["vendors"],
}
#: They have tests of their own: one takes seconds, the other ends when it is told to.
ELSEWHERE = {"demo", "simulate"}


def through_a_shell(shell: Shell, words: list[str], line: str) -> Done:
    """`line` with "$@" in the place of the command."""
    command = ["sh", "-c", line, "sh", *AUTHFLOW, *words]
    done = subprocess.run(
        command, env=shell.environment(), cwd=shell.home, capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_every_verb_is_tried() -> None:
    assert CALLS.keys() | ELSEWHERE == cli._commands().commands.keys()


@pytest.mark.parametrize("verb", CALLS)
def test_every_verb_speaks_json(account: Shell, verb: str) -> None:
    done = through_a_shell(account, [*CALLS[verb], "--json"], '"$@"')
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) is not None


@posix
@pytest.mark.parametrize("verb", sorted(CALLS.keys() - {"login", "logout"}))
def test_a_full_disk_is_one_line(account: Shell, verb: str) -> None:
    done = through_a_shell(account, CALLS[verb], '"$@" > /dev/full')
    assert (done.code, done.err) == (4, "authflow: the output cannot be written: No space left on device\n")


@posix
@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_whose_output_is_closed_does_its_work(account: Shell, verb: str) -> None:
    done = through_a_shell(account, CALLS[verb], '"$@" >&- 2>&- <&-')
    assert (done.code, done.out, done.err) == (0, "", "")


@posix
@pytest.mark.parametrize("words", [["schema"], ["--help"], ["token", "--help"]])
def test_whoever_stops_reading_is_not_told_about_it(shell: Shell, words: list[str]) -> None:
    """The reader has gone before a byte is written."""
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [*AUTHFLOW, *words], env=shell.environment(), stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(write)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lgoin"], "No such command 'lgoin'"),
        (["token"], "Missing argument 'ACCOUNT'. (authflow token --help)"),
        (["token", "sup", "--nope"], "No such option '--nope'"),
        (["token", "sup", "more"], "unexpected extra argument"),
        (["show", "supplier", "--format", "x"], "'x' is not one of"),
        (["completion", "powershell"], "'powershell' is not one of"),
        (["new", "acme", "--into", __file__], "exists already, and is not empty"),
    ],
)
def test_what_is_typed_wrongly_is_one_line_as_json_too(shell: Shell, words: list[str], says: str) -> None:
    done, as_json = shell(*words), shell(*words, "--json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert says in done.err
    assert (as_json.code, as_json.out, json.loads(as_json.err)["exit_code"]) == (2, "", 2)
    assert says in json.loads(as_json.err)["message"]


def test_no_verb_at_all_is_answered_with_the_help(shell: Shell) -> None:
    done = shell()
    assert (done.code, done.err) == (0, "")
    assert "Commands:" in done.out
    assert EPILOG in " ".join(done.out.split())


@pytest.mark.parametrize("kind", ["folder", "bytes", "no-toml", "deep", "foreign"])
def test_a_config_that_is_not_right_is_one_line(shell: Shell, kind: str) -> None:
    contents = {"bytes": b"\xff\xfe\x00", "no-toml": b"[accounts", "deep": b"a = " + b"[" * 9000, "foreign": b"x = 1"}
    if kind == "folder":
        shell.config.mkdir()
    else:
        shell.config.write_bytes(contents[kind])
        shell.config.chmod(0o600)
    for words in (["status"], ["token", "sup"], ["login", "supplier", "--save", "x"]):
        done = shell(*words)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert str(shell.config) in done.err


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"name = ", b"x = " + b"{a=" * 3000, b""])
def test_a_vendor_file_that_is_not_right_is_one_line(shell: Shell, content: bytes | None) -> None:
    file = shell.home / "v.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    for words in (["show", str(file)], ["token", str(file)]):
        done = shell(*words)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done
        assert str(file) in done.err


def test_a_terminal_that_does_not_know_a_character_gets_another(account: Shell) -> None:
    account("token", "sup")
    done = account("status", PYTHONIOENCODING="latin-1")
    assert (done.code, done.err) == (0, "")
    assert "???????????? 11 h 59 min" in done.out


@posix
@pytest.mark.parametrize("asked_for", ["username", "password"])
def test_ctrl_c_at_a_prompt_ends_it(shell: Shell, asked_for: str) -> None:
    """Nothing was sent, so nothing is said to be awaited."""
    import pty

    from tests.cli.conftest import shown_until

    known = {} if asked_for == "username" else {"AUTHFLOW_USERNAME": "demo"}
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*AUTHFLOW, "token", "supplier"],
        env=shell.environment(**known),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = shown_until(master, f"{asked_for} for supplier: ".encode())
        process.send_signal(signal.SIGINT)
        while not select.select([master], [], [], 2)[0]:  # Python hears of it only once its read has begun
            process.send_signal(signal.SIGINT)
        shown += shown_until(master, None)
    os.close(master)
    assert process.returncode == 130
    assert shown.endswith(b"authflow: interrupted\r\n")
    assert b"Traceback" not in shown


# --- a mistake of our own ---------------------------------------------------------------------------------------------


def mistaken(debug: bool) -> Result:
    @click.group(cls=Front)
    def group() -> None: ...

    @group.command()
    def verb() -> None:
        raise KeyError("a secret")

    return CliRunner().invoke(group, ["verb"], env={"AUTHFLOW_DEBUG": "1" if debug else ""})


def test_a_mistake_of_our_own_is_one_line_without_what_it_was_about() -> None:
    done = mistaken(debug=False)
    assert (done.exit_code, done.stdout) == (70, "")
    assert done.stderr.startswith(f"authflow: a bug in authflow: KeyError at {Path(__file__).name}:")
    assert "AUTHFLOW_DEBUG=1" in done.stderr
    assert "secret" not in done.stderr


def test_a_plugins_mistake_names_the_plugin() -> None:
    class Plugin: ...

    plugins.manager().register(plugin := Plugin(), name="theirs")
    try:
        assert mistaken(debug=False).stderr.startswith("authflow: a bug in the plugin theirs: KeyError at ")
    finally:
        plugins.manager().unregister(plugin)


def test_with_debug_it_is_a_traceback() -> None:
    assert isinstance(mistaken(debug=True).exception, KeyError)
