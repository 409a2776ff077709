"""Where the README's snippets run: a supplier on this machine in the place of the one they name, and an empty home."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from authflow.plugins import discovery
from tests.servers import Supplier, running_supplier


def supplier_file() -> dict[str, Any]:
    return tomllib.loads((resources.files("authflow_supplier") / "supplier.toml").read_text("utf-8"))


@pytest.fixture
def supplier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supplier]:
    """A supplier on this machine, and its vendor file with that address."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with running_supplier() as supplier:
        here = supplier_file()
        here["base_url"] = supplier.base_url
        here["settings"]["data_origin"]["default"] = supplier.data_url
        installed = discovery.vendors()
        monkeypatch.setattr(discovery, "vendors", lambda: {**installed, "supplier": here})
        yield supplier


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home and the working folder of a user who has nothing yet: `store="file"` is in there."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path
