"""Which Pythons this machine has: those named by the package's classifiers, wherever an installer keeps them.

A name on PATH may be a shim that finds nothing, so each candidate is asked for its version before it counts.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_CLASSIFIER = "Programming Language :: Python :: 3."


def supported() -> list[str]:
    """The versions that the package says it runs on, as `"3.11"`, oldest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    minors = [line.removeprefix(_CLASSIFIER) for line in project["classifiers"] if line.startswith(_CLASSIFIER)]
    return [f"3.{minor}" for minor in sorted(map(int, minors))]


def find(version: str) -> Path | None:
    """An interpreter of this version: this one, one on PATH, pyenv's, or uv's; None if there is none."""
    return next((path for path in _candidates(version) if _version(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    pyenv = os.environ.get("PYENV_ROOT") or _said("pyenv", "root")
    if pyenv:
        yield from map(Path, sorted(glob.glob(f"{glob.escape(pyenv)}/versions/{version}.*/bin/python")))
    managed = _said("uv", "python", "find", version)
    if managed:
        yield Path(managed)


def _version(python: Path) -> str:
    return _said(str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
