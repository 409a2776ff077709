"""Where servers are installed: a virtual environment for each, in a cache that outlives the run.

The cache is $VENDOR_CACHE, else the user's cache folder. An environment's name tells its packages and its Python apart,
so that a change of either makes a new one, and an install that was broken off is started anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path


class Unavailable(Exception):
    """This machine cannot run the product; the message says what is lacking."""


def cache() -> Path:
    told = os.environ.get("VENDOR_CACHE")
    folder = Path(told) if told else user_cache_path("authflow-selfhosted")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def python_with(name: str, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment that has these packages; it is made if there is none. Raises Unavailable."""
    wanted = hashlib.sha256(repr((packages, sys.version_info[:2])).encode()).hexdigest()[:12]
    home = cache() / f"{name}-{wanted}"
    done = home / ".installed"
    with FileLock(home.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(home)], name)
            _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], name)
            done.touch()
    return home / "bin" / "python"


def node_with(name: str, packages: tuple[str, ...]) -> tuple[Path, Path]:
    """Node, and a folder of modules with these packages of npm; it is made if there is none. Raises Unavailable."""
    node, npm = program("node", "nodejs"), program("npm", "npm")
    wanted = hashlib.sha256(repr(packages).encode()).hexdigest()[:12]
    home = cache() / f"{name}-{wanted}"
    done = home / ".installed"
    with FileLock(home.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            _run([str(npm), "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), *packages], name)
            done.touch()
    return node, home / "node_modules"


def program(name: str, package: str) -> Path:
    """A program that the system's own packages bring. Raises Unavailable."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: apt-get install --no-install-recommends {package}")
    return Path(found)


def _run(command: list[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"{name} cannot be installed: {' '.join(last)}")
