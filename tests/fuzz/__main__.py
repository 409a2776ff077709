"""Fuzz one target with atheris (libFuzzer) until it fails or is stopped.

python -m tests.fuzz answers -max_total_time=60        whatever follows the target is libFuzzer's
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["authflow"]):
    from tests.fuzz.targets import SEEDS, TARGETS


def main() -> None:
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as seeds:
        for number, seed in enumerate(SEEDS[name]):
            Path(seeds, str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, seeds], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
