"""Each target for a few seconds, so that what breaks at once is found; longer by hand: `python -m tests.fuzz`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import SEEDS, TARGETS

SECONDS = 2
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_raised_but_what_is_promised(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed (make recipes), or has no wheel here")
    options = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, *options], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Done " in done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_pass(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)
