"""All benchmarks but the soak, one after another, each in a process of its own; `--short` tries whether they run."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measure import ROOT, interpreter, parser
from benchmarks.report import ORDER


def main() -> int:
    parser().parse_args()
    failed = []
    for name in ORDER:
        started = time.monotonic()
        command = [interpreter(), "-m", f"benchmarks.{name}", *sys.argv[1:]]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
        print(f"  ({name}: {time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"\nThese did not end well: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
