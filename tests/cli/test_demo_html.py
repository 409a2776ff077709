"""`authflow demo --html FILE`: the story, drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

AUTHFLOW = (sys.executable, "-c", "from authflow.cli import main; main()")


def test_the_demo_draws_what_it_tells(tmp_path: Path) -> None:
    target = tmp_path / "demo.html"
    done = subprocess.run(
        [*AUTHFLOW, "demo", "--html", str(target)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "All 18 claims hold." in done.stdout
    assert str(target) in done.stdout
    text = target.read_text("utf-8")
    assert text.count('class="recording"') == 1
    assert len(re.findall(r'<details id="r\d" class="story"', text)) == 6
    assert re.search(r"[45]\d waited", text)
    assert "open-sesame" not in text
    assert "open-barley" not in text


@pytest.mark.parametrize("path", [".", "no-such-folder/demo.html"])
def test_a_page_that_has_no_place_is_wrong_use_and_told_before_the_story(tmp_path: Path, path: str) -> None:
    done = subprocess.run(
        [*AUTHFLOW, "demo", "--html", path], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
