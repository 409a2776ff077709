"""Finding what plugins bring: vendors, stores, converters and functions, by entry point or by registration."""

from __future__ import annotations

import copyreg
import difflib
import functools
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pluggy

from authflow.errors import ConfigurationError, harmless
from authflow.plugins import hooks
from authflow.stores import Store
from authflow.templates import CONVERTERS, Converter
from authflow.vendors import FUNCTIONS, Function, Signer, Vendor, load

log: Final = logging.getLogger("authflow")
#: Installed plugins that could not be imported, with the reason.
broken: Final[dict[str, str]] = {}


@functools.cache
def manager() -> pluggy.PluginManager:
    """The process's plugin manager, with every installed plugin loaded."""
    plugins = pluggy.PluginManager(hooks.PROJECT)
    plugins.add_hookspecs(hooks)
    broken.clear()
    for entry in importlib.metadata.entry_points(group=hooks.PROJECT):
        if plugins.get_plugin(entry.name) or plugins.is_blocked(entry.name):
            continue
        try:
            plugins.register(entry.load(), name=entry.name)
        except Exception as error:  # of any class: a plugin's module may do anything when it is imported
            package = entry.dist.name if entry.dist is not None else entry.value
            broken[entry.name] = harmless(
                f"the plugin {entry.name} of {package} cannot be imported ({type(error).__name__}: {error})"
            )
            log.warning("%s; everything else works: repair or remove that package", broken[entry.name])
    return plugins


def register_file(path: str) -> None:
    """Make a plugin of a module that is not installed: for authors. Raises ConfigurationError."""
    try:
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
    except Exception as error:  # of any class: it is somebody's program
        raise ConfigurationError(f"the plugin {path} cannot be imported: {type(error).__name__}: {error}") from error
    manager().register(module, name=path)


def broken_plugins() -> list[str]:
    """Why each installed plugin that could not be imported was not."""
    manager()
    return list(broken.values())


class Hooks(NamedTuple):
    """What a session calls of its plugins; None where none of them implements it."""

    sign: Any
    rewrite_url: Any
    exchange: Any
    transition: Any
    renewal_begins: Any
    renewal_ends: Any


def implemented() -> Hooks:
    """The hooks that somebody implements now: a session settles them when it is made, and asks no more."""
    return _hooks(tuple([caller if caller.get_hookimpls() else None for caller in _callers()]))


@functools.cache
def _callers() -> Hooks:
    relay = manager().hook
    return Hooks(*(getattr(relay, f"authflow_{name}") for name in Hooks._fields))


@functools.lru_cache(maxsize=64)
def _hooks(callers: tuple[Any, ...]) -> Hooks:
    """One for all sessions that were made alike."""
    return Hooks(*callers)


def converters() -> Mapping[str, Converter]:
    return {**CONVERTERS, **_merged(manager().hook.authflow_converters())}


def functions() -> Mapping[str, Function]:
    return {**FUNCTIONS, **_merged(manager().hook.authflow_functions())}


def signers() -> Mapping[str, type[Signer]]:
    return _merged(manager().hook.authflow_signers())


def stores() -> Mapping[str, Callable[[str], Store]]:
    return _merged(manager().hook.authflow_stores())


def _merged(tables: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: item for table in tables for name, item in table.items()}


def vendors() -> dict[str, Any]:
    """What each installed vendor is loaded from, by name. A path's name is its file's."""
    known: dict[str, Any] = {}
    for sources in manager().hook.authflow_vendors():
        for source in sources:
            known[_name(source)] = source
    return known


def _name(source: Any) -> str:
    if isinstance(source, Vendor):
        return source.name
    return str(source["name"] if isinstance(source, Mapping) else source.name.removesuffix(".toml"))


def find_vendor(vendor: str | os.PathLike[str] | Mapping[str, Any] | Vendor) -> Vendor:
    """A vendor by its plugin's name, from a path to a `.toml`, from a mapping, or as it is.

    Raises ConfigurationError for an unknown name, VendorFileError for a file that is not right.
    """
    if isinstance(vendor, Vendor):
        return vendor
    given: Any = vendor
    if given is None or isinstance(given, int | float | bytes):
        kind = type(given).__name__
        raise ConfigurationError(f"a vendor is a plugin's name, a path, a mapping or a Vendor, not {kind}")
    if isinstance(vendor, str) and not (vendor.endswith(".toml") or os.sep in vendor):
        known = vendors()
        if vendor not in known:
            close = difflib.get_close_matches(vendor, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            names = ", ".join(sorted(known)) or "none"
            also = "".join(f"; {reason}" for reason in broken.values())
            raise ConfigurationError(
                f"unknown vendor {vendor!r}: {hint}installed are {names}; a file is named by its path{also}"
            )
        return _installed(vendor)
    return load(Path(vendor) if isinstance(vendor, os.PathLike) else vendor, **_brought())


def _brought() -> dict[str, Any]:
    """What plugins bring that a vendor file may name."""
    return {
        "converters": converters(),
        "functions": functions(),
        "signers": signers(),
        "installed": vendors(),
    }


# Where plugins are in use, a vendor that travels to another process finds their converters and functions there too.
copyreg.pickle(Vendor, lambda vendor: (find_vendor, (dict(vendor.raw),)))

_loaded: dict[str, tuple[Any, Vendor]] = {}


def _installed(name: str) -> Vendor:
    source = vendors()[name]
    if isinstance(source, Vendor):
        return source
    if name not in _loaded or _loaded[name][0] != source:
        _loaded[name] = source, load(source, **_brought())
    return _loaded[name][1]
