"""`authflow demo` as people run it: in a pipe, interrupted, and with a claim that is not so."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from authflow.cli.demo import CLIENTS, LIFETIME, PASSWORD, STEPS, Step
from authflow.cli.demo_page import NEXT, Document, Row, Screen

DEMO = (sys.executable, "-c", "from authflow.cli import main; main()", "demo")


@contextmanager
def demo(**more: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def addresses(title: str) -> list[tuple[str, int]]:
    return [("127.0.0.1", int(port)) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", title)]


def answers(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def test_every_claim_holds_and_nothing_is_left_behind() -> None:
    with demo() as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    claims = len(CLIENTS) * (len(STEPS) + 1)
    assert f"All {claims} claims hold.\n" in out
    assert out.rstrip().endswith(NEXT[-1][1])
    assert len(out.splitlines()) <= 24, "it is to fit on one screen"
    assert max(map(len, out.splitlines())) <= 120
    assert "NOT SO" not in out
    assert "\x1b" not in out
    for name in CLIENTS:
        assert f"\n{name}" in out
    first, second = addresses(out.partition("\n")[0])
    assert not answers(first)
    assert not answers(second)
    for secret in (PASSWORD, "open-barley", "eyJ"):
        assert secret not in out


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_leaves_no_process_behind() -> None:
    with demo() as process:
        assert process.stdout is not None
        both = addresses(process.stdout.readline())
        assert [answers(address) for address in both] == [True, True]
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [answers(address) for address in both] == [False, False]


def test_a_claim_that_is_not_so_makes_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    page = Screen()
    page.chapter("requests")
    page.row(Row("it works", "signed_in", "none", "login 1"))
    assert page.verdict() == 0
    page.row(Row("it works too", "signed_in", "none", "login 2", wrong="expected login 1"))
    assert page.verdict() == 1
    said = capsys.readouterr().out
    assert "NOT SO  it works too" in said
    assert "expected login 1" in said
    assert "1 of 2 claims were not so." in said


def test_the_claims_as_json_are_one_object_when_all_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    page = Document()
    page.title("begins")
    page.chapter("requests")
    page.row(Row("it works", "signed_in", "none", "login 1"))
    page.row(Row("it works too", "signed_in", "none", "login 2", wrong="expected login 1"))
    assert capsys.readouterr().out == ""
    assert page.verdict() == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["claims"], told["wrong"]) == (2, 1)
    assert [claim["holds"] for claim in told["clients"][0]["claims"]] == [True, False]


def test_the_story_has_its_chapters() -> None:
    """One step each for: first call, reuse, expiry, re-login, and a crowd."""
    counted = [set(step.counted) & {"login", "refresh"} for step in STEPS]
    assert counted == [{"login"}, set(), {"refresh"}, {"refresh", "login"}, {"refresh"}]
    assert max(step.calls for step in STEPS) == 50
    assert [step.pass_time for step in STEPS if step.pass_time] == [LIFETIME + 1] * 2
    assert isinstance(STEPS[0], Step)
