"""The archives that users install: built here without a network, and looked into."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.wheels.interpreters import ROOT


def build(project: Path, into: Path, *kinds: str) -> list[Path]:
    """Build a project's archives with the backend that is installed; without `--sdist` or `--wheel` an sdist, and the
    wheel from that sdist.
    """
    before = set(into.glob("*"))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), *kinds, str(project)],
        check=True,
        capture_output=True,
    )
    return sorted(set(into.glob("*")) - before, key=lambda path: path.suffix)


def supplier_wheel(into: Path) -> Path:
    return build(ROOT / "plugins" / "supplier", into, "--wheel")[0]


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel; `RECORD` is left out, which only lists the others."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def unpack(sdist: Path, into: Path) -> Path:
    """Unpack an sdist; its one folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    return into / sdist.name.removesuffix(".tar.gz")
