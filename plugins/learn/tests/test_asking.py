"""At a terminal, `authflow-learn` asks what nothing in the capture said; without one it never waits."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from authflow.vendors import load

pty = pytest.importorskip("pty")
COMMAND = (sys.executable, "-c", "from authflow_learn.command import main; main()")
URL = "https://api.acme.example"


def capture(path: Path) -> None:
    carried = [{"name": "Authorization", "value": "Bearer tok-3f8a1b2c4d5e"}]
    login = {"method": "POST", "url": f"{URL}/login", "postData": {"text": '{"a": "alice", "b": "hunter-22"}'}}
    entries = [{"request": login, "response": {"status": 200, "content": {"text": '{"token": "tok-3f8a1b2c4d5e"}'}}}]
    data = {"request": {"method": "GET", "url": f"{URL}/orders/1", "headers": carried}, "response": {"status": 200}}
    path.write_text(json.dumps({"log": {"entries": [*entries, data, data]}}), "utf-8")


def at_a_terminal(folder: Path, *lines: str) -> tuple[int, str]:
    """Exit status, and what the terminal showed; each line is typed when the next question has come."""
    ours, theirs = pty.openpty()
    words = [*COMMAND, "login.har", "--out", "acme.toml"]
    running = subprocess.Popen(words, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown, waiting, overdue, asked = "", list(lines), time.monotonic() + 60, 0
    while time.monotonic() < overdue:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed: Linux says so with an error
                break
            if not part:
                break
            shown += part.decode("utf-8", "replace")
        if waiting and shown.count("): ") > asked:
            asked = shown.count("): ")
            os.write(ours, f"{waiting.pop(0)}\n".encode())
    os.close(ours)
    return running.wait(timeout=30), shown


def test_a_person_is_asked_what_nobody_knows(tmp_path: Path) -> None:
    capture(tmp_path / "login.har")
    code, shown = at_a_terminal(tmp_path, "alice", "hunter-22", "419", "soon", "12h")
    assert code == 0, shown
    text = (tmp_path / "acme.toml").read_text("utf-8")
    raw = tomllib.loads(text)
    load(raw)
    assert raw["expiry"] == {"lifetime": "12h"}
    assert raw["answers"]["rejected"] == {"status": 419}
    assert raw["exchanges"]["login"]["request"]["json"] == {"a": "{username}", "b": "{password}"}
    assert "'soon' is none" in shown
    assert "hunter-22" not in shown + text
    assert not text.startswith("#"), "what was answered is no question any more"


def test_what_a_person_leaves_open_stays_a_comment(tmp_path: Path) -> None:
    capture(tmp_path / "login.har")
    code, shown = at_a_terminal(tmp_path, "alice", "hunter-22", "", "")
    assert code == 0, shown
    text = (tmp_path / "acme.toml").read_text("utf-8")
    assert text.startswith("# how does the vendor say that a token has expired?")
    assert "# how long is the token good?" in text


def test_nobody_is_waited_for_without_a_terminal(tmp_path: Path) -> None:
    capture(tmp_path / "login.har")
    words = [*COMMAND, "login.har", "--username", "alice"]
    done = subprocess.run(words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "question: how long is the token good?" in done.stderr
