"""`plugins/README.md`, followed literally in an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "plugins" / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def block(language: str, holding: str) -> str:
    found = [text for kind, text in BLOCKS if kind == language and holding in text]
    assert len(found) == 1, f"{len(found)} blocks of {language} hold {holding!r}"
    return found[0]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


CLI = ("-c", "from authflow.cli import main; main()")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.toml").write_text(block("toml", 'title = "Acme"'), "utf-8")
    return tmp_path


def test_the_file_is_checked_and_a_slip_is_found(folder: Path) -> None:
    shown = block("console", "check acme.toml\n1 file checked").splitlines()[1]
    done = run(folder, *CLI, "check", "acme.toml")
    assert (done.returncode, done.stdout.strip()) == (0, shown)
    slip = block("console", "refrehs").splitlines()
    old, new = re.findall(r"s/(.+?)/(.+?)/'", slip[0])[0]
    text = (folder / "acme.toml").read_text("utf-8")
    assert text.count(old) >= 1
    (folder / "acme.toml").write_text(text.replace(old, new), "utf-8")
    done = run(folder, *CLI, "check", "acme.toml")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).split("\n")[0] == slip[1]


def test_it_is_explored_as_shown(folder: Path) -> None:
    command, *shown = block("console", "--explore").splitlines()
    done = run(folder, *CLI, *command.split()[2:], "--examples", "30", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.rstrip("0123456789 ") for line in done.stdout.splitlines()]
    wanted = [line.rstrip("0123456789 ") for line in shown[: shown.index("…")]]
    assert lines[: len(wanted)] == wanted
    assert shown[-1].partition(" of ")[2] in done.stdout


def test_the_simulated_vendor_is_used_from_another_process(folder: Path) -> None:
    command = [sys.executable, *CLI, "simulate", "acme.toml", "--quiet", "--exit-with-stdin"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = json.loads(server.stdout.readline())
        printed = json.loads(block("console", "authflow simulate").splitlines()[1])
        assert (found["inputs"], found.keys()) == (printed["inputs"], printed.keys())
        program = block("python", 'orders/7", auth=').replace("http://127.0.0.1:40123/v2/", found["base_url"])
        done = run(folder, "-c", program)
        assert done.returncode == 0, done.stderr
        assert "/v2/orders/7" in done.stdout


def test_the_suite_and_the_fixtures_run(folder: Path) -> None:
    (folder / "test_orders.py").write_text(block("python", "def test_orders"), "utf-8")
    options = ("-p", "no:cacheprovider", "--authflow-vendor", "acme.toml", "--authflow-examples", "10")
    done = run(folder, "-m", "pytest", *options)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def test_the_plugin_s_own_test_file_is_three_lines(folder: Path) -> None:
    program = block("python", "TestAcme").replace('"acme"', '"acme.toml"')
    assert len([line for line in program.splitlines() if line and not line.startswith("#")]) == 2
    (folder / "test_acme.py").write_text(program, "utf-8")
    done = run(folder, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", "test_acme.py")
    assert "TestAcme::runTest" in done.stdout


def test_every_fault_in_the_table_exists() -> None:
    from authflow.testing import Fault

    table = PAGE.read_text("utf-8").partition("| at the vendor |")[2].partition("\n\n")[0]
    names = re.findall(r"`([a-z0-9-]+(?:=\d+)?)`", table)
    assert len(names) >= 15
    for name in names:
        Fault.parse(name)
