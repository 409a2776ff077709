"""Pythons are found by what they say of themselves, not by their names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.wheels.interpreters import find, supported

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the interpreters of these tests are shell scripts")


def script(path: Path, does: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_this_python_is_supported_and_found() -> None:
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert this in supported()
    assert supported()[0] == "3.11"
    assert find(this) == Path(sys.executable)


def test_a_shim_that_finds_nothing_is_passed_over(machine: Path) -> None:
    script(machine / "bin" / "python3.99", "echo 'no such version' >&2; exit 127")
    assert find("3.99") is None
    real = script(machine / "pyenv" / "versions" / "3.99.2" / "bin" / "python", "echo 3.99")
    assert find("3.99") == real


def test_a_name_is_no_proof(machine: Path) -> None:
    script(machine / "bin" / "python3.99", "echo 3.98")
    assert find("3.99") is None
    other = script(machine / "bin" / "python3", "echo 3.99")
    assert find("3.99") == other
