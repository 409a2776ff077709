"""The wheel as users get it: `python -m tests.wheels [VERSION…]` (of Python; by default all that are supported).

For each version: an empty environment, the wheel that the sdist makes with its clients, and the scenario suite out of
the sdist, beside which no source tree lies; then the same with niquests; and, in the newest, each client alone.
What the machine lacks is said. Exit status 1 when anything failed, or when no Python was found.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.wheels.alone import CLIENTS
from tests.wheels.distributions import build, supplier_wheel, unpack
from tests.wheels.interpreters import ROOT, find, supported

_MATRICES = ("redirect_matrix", "redirects", "remains")
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
#: Where each redirect goes hangs on the client and not on the Python: `make test` sees to it.
_SCENARIOS = ("tests/clients", *(f"--ignore=tests/clients/test_{name}.py" for name in _MATRICES))
#: The environments: which extras are installed, and what is run there.
SUITES = {
    "requests,httpx,httpx2,aiohttp,test": (*_PYTEST, *_SCENARIOS),
    "niquests,test": (*_PYTEST, *_SCENARIOS, "tests/niquests"),
}
ALONE = {"": ("-W", "error", "tests/wheels/alone.py")} | {
    client: ("-W", "error", "tests/wheels/alone.py", client) for client in CLIENTS
}
AT_ONCE = 2
#: Seconds for one suite; a machine that is busy with other work takes a few minutes.
PATIENCE = 1200.0


def tried(python: Path, extras: str, command: tuple[str, ...], wheels: list[str], sdist: Path) -> tuple[bool, str]:
    """Did it pass; and the last line of what was said, or all of it."""
    with tempfile.TemporaryDirectory(prefix="authflow-wheel-") as folder:
        home = unpack(sdist, Path(folder))
        shutil.rmtree(home / "authflow")  # the wheel's is meant, and no other
        _run(str(python), "-m", "venv", str(home / "env"), cwd=home)
        installed = home / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        core, *others = wheels
        pip = [str(installed), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, f"{core}[{extras}]" if extras else core, *(others if "test" in extras else ()), cwd=home)
        done = subprocess.run(
            [str(installed), *command],
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
    wanted = versions or supported()
    found = {version: path for version in wanted if (path := find(version)) is not None}
    newest = next(reversed(found), None)
    for version in wanted:
        if version not in found:
            print(f"Python {version}: not on this machine, so not tried")
    with tempfile.TemporaryDirectory(prefix="authflow-wheels-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        sdist, wheel = build(ROOT, Path(folder))
        wheels = [str(wheel), str(supplier_wheel(Path(folder)))]
        started = time.monotonic()
        runs = [
            (version, extras, pool.submit(tried, path, extras, command, wheels, sdist))
            for version, path in found.items()
            for extras, command in (SUITES | (ALONE if version == newest else {})).items()
        ]
        failed = 0
        for version, extras, run in runs:
            passed, said = run.result()
            failed += not passed
            print(f"Python {version} with {extras or 'no client'}: {said}", flush=True)
    print(f"{len(runs) - failed} passed, {failed} failed: {time.monotonic() - started:.0f} s")
    return 1 if failed or not runs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
