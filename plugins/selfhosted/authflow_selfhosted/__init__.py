"""Products that people run themselves, one vendor file each, found by one entry point."""

import importlib.resources
from importlib.resources.abc import Traversable

import authflow


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [entry for entry in importlib.resources.files(__name__).iterdir() if entry.name.endswith(".toml")]
