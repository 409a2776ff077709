"""check --explore: what it prints, on which stream, and how it ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import AUTHFLOW, Shell

#: A client with a bug in it: every refusal of a password is forgotten.
FORGETFUL = """
from authflow.renewing.refusals import Guard

Guard.check = lambda *arguments, **named: None
from authflow.cli import main

main()
"""


def test_the_cells_are_shown_as_a_table_and_as_a_drawing(shell: Shell) -> None:
    done = shell("check", "supplier", "--explore", "--examples", "20", "--seed", "1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:3] == ["1 file checked, nothing wrong", "supplier:", "state       outcome      leads to    visits"]
    assert any(line.endswith(" of 9 cells visited") for line in lines)
    assert any("steps/s" in line for line in lines)
    drawing = done.out.partition("\n\n")[2]
    assert drawing.startswith("stateDiagram-v2\n")
    assert "    signed_out --> refused: denied (" in drawing


def test_as_json_it_is_one_document(shell: Shell) -> None:
    done = shell("check", "supplier", "--explore", "--examples", "5", "--seed", "1", "--json")
    assert done.code == 0
    [explored] = done.json["explored"]
    assert done.json["findings"] == []
    assert (explored["vendor"], explored["seed"], explored["failure"], explored["story"]) == ("supplier", 1, None, [])
    assert explored["examples"] >= 5
    assert explored["steps_per_second"] > 0
    assert {"state", "outcome", "leads_to", "visits"} == explored["cells"][0].keys()
    assert sum(cell["visits"] for cell in explored["cells"]) > 0


def test_a_seed_tells_the_same_stories_again(shell: Shell) -> None:
    words = ("check", "supplier", "--explore", "--examples", "5", "--seed", "7", "--json")
    first, second = (shell(*words).json["explored"][0] for _ in range(2))
    assert (first["cells"], first["steps"]) == (second["cells"], second["steps"])


def test_a_file_that_is_not_right_is_not_explored(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "bad.toml").write_text('extends = "api-kee"\n')
    done = shell("check", str(tmp_path / "bad.toml"), "--explore")
    assert done.code == 1
    assert "did you mean 'api-key'" in done.out
    assert "stateDiagram" not in done.out


@pytest.mark.parametrize("option", [("--examples", "0"), ("--steps", "-1"), ("--seed", "x")])
def test_a_mistake_in_what_was_typed_is_said(shell: Shell, option: tuple[str, str]) -> None:
    done = shell("check", "supplier", "--explore", *option)
    assert (done.code, done.out) == (2, "")
    assert option[0] in done.err


def test_a_broken_promise_is_told_as_a_list_and_as_a_diagram(tmp_path: Path, shell: Shell) -> None:
    program = [AUTHFLOW[0], "-c", FORGETFUL, "check", "supplier", "--explore"]
    environment = shell.environment()
    done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert done.stderr == "authflow: a promise is broken with supplier\n"
    failure, story, diagram = done.stdout.split("\n\n")
    assert "promise 3 (a refused password is not sent again): " in failure
    assert "(the same stories again: seed " in failure
    assert [line.split(".")[0].strip() for line in story.splitlines()] == [
        str(number) for number in range(1, len(story.splitlines()) + 1)
    ]
    assert len(story.splitlines()) < 60
    assert diagram.startswith("sequenceDiagram\n")
    assert "hears denied to login" in story
    assert list(tmp_path.iterdir()) == []
    machine = subprocess.run([*program, "--json"], env=environment, capture_output=True, text=True, timeout=300)
    assert machine.returncode == 1
    [explored] = json.loads(machine.stdout)["explored"]
    assert explored["failure"].startswith("promise 3 ")
    assert len(explored["story"]) > 5


def test_without_hypothesis_it_says_what_to_install(tmp_path: Path, shell: Shell) -> None:
    hidden = "import sys; sys.modules['hypothesis'] = None\n"
    hidden += "import importlib.util as u; real = u.find_spec\n"
    hidden += "u.find_spec = lambda name, *more: None if name == 'hypothesis' else real(name, *more)\n"
    hidden += "from authflow.cli import main; main()"
    program = [AUTHFLOW[0], "-c", hidden, "check", "supplier", "--explore"]
    done = subprocess.run(program, env=shell.environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "the exploration needs hypothesis: pip install 'authflow-http[test]'\n"


def test_a_terminal_gets_a_bar(shell: Shell) -> None:
    code, shown = shell.on_a_terminal("check", "supplier", "--explore", "--examples", "10")
    assert code == 0
    assert "exploring supplier" in shown
    assert "/12" in shown  # and an eighth more of several users
