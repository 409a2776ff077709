"""The wheel as users get it: `python -m tests.wheels [VERSION…]` (of Python; by default all that are supported).

For each version: an empty environment, the wheel that the sdist makes with its clients, and the scenario suite out of
the sdist, beside which no source tree lies; then the same with niquests alone. What the machine lacks is said. Exit
status 1 when a suite failed, or when no Python was found.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.wheels.distributions import build, supplier_wheel, unpack
from tests.wheels.interpreters import ROOT, find, supported

#: The environments: which extras are installed, and what is run there.
EXTRAS = {
    "requests,httpx,httpx2": ("tests/clients",),
    "niquests": ("tests/clients", "tests/niquests"),
}
AT_ONCE = 2
#: Seconds for one suite; a machine that is busy with other work takes a few minutes.
PATIENCE = 1200.0


def suite(python: Path, extras: str, tests: tuple[str, ...], wheels: list[str], sdist: Path) -> tuple[bool, str]:
    """Did it pass; and pytest's last line, or all that was said."""
    with tempfile.TemporaryDirectory(prefix="authflow-wheel-") as folder:
        home = unpack(sdist, Path(folder))
        shutil.rmtree(home / "authflow")  # the wheel's is meant, and no other
        _run(str(python), "-m", "venv", str(home / "env"), cwd=home)
        installed = home / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        core, *others = wheels
        pip = [str(installed), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, f"{core}[{extras},test]", *others, cwd=home)
        done = subprocess.run(
            [str(installed), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    lines = done.stdout.splitlines() or [""]
    return done.returncode == 0, lines[-1] if done.returncode == 0 else done.stdout + done.stderr


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def main(versions: list[str]) -> int:
    pythons = {version: find(version) for version in versions or supported()}
    for version in [version for version, path in pythons.items() if path is None]:
        print(f"Python {version}: not on this machine, so not tried")
    with tempfile.TemporaryDirectory(prefix="authflow-wheels-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        sdist, wheel = build(ROOT, Path(folder))
        wheels = [str(wheel), str(supplier_wheel(Path(folder)))]
        started = time.monotonic()
        runs = [
            (version, extras, pool.submit(suite, path, extras, tests, wheels, sdist))
            for version, path in pythons.items()
            if path is not None
            for extras, tests in EXTRAS.items()
        ]
        failed = 0
        for version, extras, run in runs:
            passed, said = run.result()
            failed += not passed
            print(f"Python {version} with {extras}: {said}", flush=True)
    print(f"{len(runs) - failed} passed, {failed} failed: {time.monotonic() - started:.0f} s")
    return 1 if failed or not runs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
