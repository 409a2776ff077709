"""The supplier as an authflow plugin: one vendor file, found by its entry point."""

import importlib.resources
from importlib.resources.abc import Traversable

import authflow


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__name__) / "supplier.toml"]
