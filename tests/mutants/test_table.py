"""Every seeded bug fits the code, and is another program: what the mutation check would call stale fails here."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import authflow

HERE = Path(__file__).parent


def _table() -> Any:
    spec = importlib.util.spec_from_file_location("mutants_table", HERE / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TABLE = _table()


@pytest.mark.parametrize("mutant", TABLE.MUTANTS, ids=lambda mutant: mutant.name)
def test_it_fits_the_code_once_and_is_another_program(mutant: Any) -> None:
    text = (Path(authflow.__file__).parent / mutant.file).read_text("utf-8")
    seeded = mutant.seeded(text)
    assert seeded != text
    if mutant.file.endswith(".toml"):
        tomllib.loads(seeded)
    else:
        compile(seeded, mutant.file, "exec")
    for test in mutant.tests:
        assert (HERE.parents[1] / test.partition("::")[0]).is_file(), test


def test_there_are_enough_and_each_has_its_name() -> None:
    names = [mutant.name for mutant in TABLE.MUTANTS]
    assert len(names) == len(set(names)) >= 25


@pytest.mark.parametrize(
    ("text", "seeded"),
    [
        ("def f():\n    if a:\n        b()\n", "def f():\n    if not a:\n        b()\n"),
        ("if a:\n    b()\n", "if not a:\n    b()\n"),
        ("if a:\n    c()\n", None),
        ("if a:\n    b()\nif a:\n    b()\n", None),
    ],
)
def test_lines_are_found_at_any_depth_but_only_once(text: str, seeded: str | None) -> None:
    mutant = TABLE.Mutant("one", "x.py", "    if a:\n        b()\n", "    if not a:\n        b()\n")
    if seeded is None:
        with pytest.raises(TABLE.Stale):
            mutant.seeded(text)
    else:
        assert mutant.seeded(text) == seeded
