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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final, NamedTuple

import pluggy

from authflow.errors import ConfigurationError, harmless
from authflow.plugins import hooks
from authflow.stores import Store
from authflow.templates import CONVERTERS, Converter
from authflow.vendors import FUNCTIONS, Function, Signer, Vendor, load

log: Final = logging.getLogger("authflow")
#: What is wrong with plugins, each of which was passed over.
broken: Final[dict[str, str]] = {}


@functools.cache
def manager() -> pluggy.PluginManager:
    """The process's plugin manager, with every installed plugin loaded."""
    plugins = pluggy.PluginManager(hooks.PROJECT)
    plugins.add_hookspecs(hooks)
    broken.clear()
    for entry in _entry_points():
        if plugins.get_plugin(entry.name) or plugins.is_blocked(entry.name):
            continue
        try:
            plugins.register(entry.load(), name=entry.name)
        except (Exception, SystemExit) as error:  # of any class: a plugin's module may do anything when it is imported
            if plugins.get_plugin(entry.name):  # half of it
                plugins.unregister(name=entry.name)
            package = entry.dist.name if entry.dist is not None else entry.value
            _pass_over(entry.name, f"the plugin {entry.name} of {package} cannot be imported", error)
    return plugins


def _entry_points() -> Iterator[importlib.metadata.EntryPoint]:
    try:
        yield from importlib.metadata.entry_points(group=hooks.PROJECT)
    except Exception:  # one package's list cannot be read, and with it none
        for package in importlib.metadata.distributions():
            try:
                yield from package.entry_points.select(group=hooks.PROJECT)
            except Exception as error:
                name = str(package.metadata["Name"])
                _pass_over(name, f"the entry_points.txt of {name} cannot be read", error)


def _pass_over(key: str, what: str, error: BaseException) -> None:
    """Name what is wrong with a plugin, once; it harms nobody else."""
    reason = harmless(f"{what} ({type(error).__name__}: {error})")
    if broken.get(key) != reason:
        broken[key] = reason
        log.warning("%s; everything else works: repair or remove that package", reason)


def register_file(path: str) -> None:
    """Make a plugin of a module that is not installed: for authors. Raises ConfigurationError."""
    try:
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        if spec is None or spec.loader is None:
            raise ImportError("it is no file of Python (.py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
        manager().register(module, name=path)
        if not manager().get_hookcallers(module):
            manager().unregister(module)
            raise ImportError("it holds no hook (@authflow.hookimpl)")
    except (Exception, SystemExit) as error:  # of any class: it is somebody's program
        raise ConfigurationError(f"the plugin {path} cannot be imported: {type(error).__name__}: {error}") from error


def broken_plugins() -> list[str]:
    """Why each plugin that cannot be used, or a part of it, was passed over."""
    stores(), _brought()
    return list(broken.values())


def plugin_of(error: BaseException) -> str:
    """The name of the plugin through whose code an error came, or ""."""
    through = {frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)}
    for name, plugin in manager().list_name_plugin():
        home = str(getattr(plugin, "__module__", None) or getattr(plugin, "__name__", ""))
        if home.partition(".")[0] in through - {"authflow"}:
            return name
    return ""


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
    return {**CONVERTERS, **_given("converters", _table(Converter))}


def functions() -> Mapping[str, Function]:
    return {**FUNCTIONS, **_given("functions", _table(Function))}


def signers() -> Mapping[str, type[Signer]]:
    return _given("signers", _table(Callable))


def stores() -> Mapping[str, Callable[[str], Store]]:
    return _given("stores", _table(Callable))


def vendors() -> dict[str, Any]:
    """What each installed vendor is loaded from, by name. A path's name is its file's."""
    return _given("vendors", _sources)


def _given(hook: str, read: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    """What plugins bring, by name. One that fails, or gives what `read` cannot read, is named and passed over."""
    found: dict[str, Any] = {}
    for one in reversed(getattr(manager().hook, f"authflow_{hook}").get_hookimpls()):
        try:
            found |= read(one.function() or ())
        except Exception as error:  # of any class: it is somebody's program
            _pass_over(f"{one.plugin_name} {hook}", f"the plugin {one.plugin_name} brings no {hook}", error)
    return found


def _table(kind: Any) -> Callable[[Any], Mapping[str, Any]]:
    def read(given: Any) -> Mapping[str, Any]:
        table = dict(given)
        if wrong := [name for name, item in table.items() if not (isinstance(name, str) and isinstance(item, kind))]:
            raise TypeError(f"must return a dict of names and {kind.__name__}s, and {wrong[0]!r} is not one")
        return table

    return read


def _sources(given: Any) -> Mapping[str, Any]:
    """Raises TypeError, with what a plugin's author is to give."""
    found = {}
    for source in (given,) if isinstance(given, Mapping | str | os.PathLike | Vendor) else given:
        name = source.get("name") if isinstance(source, Mapping) else getattr(source, "name", None)
        if not isinstance(name, str):
            raise TypeError(
                f"must return a list of Paths, of mappings with a name, or of Vendors, not of {source!r:.60}"
            )
        found[name if isinstance(source, Mapping | Vendor) else name.removesuffix(".toml")] = source
    return found


def find_vendor(vendor: str | os.PathLike[str] | Mapping[str, Any] | Vendor) -> Vendor:
    """A vendor by its plugin's name, from a path to a `.toml`, from a mapping, or as it is.

    Raises ConfigurationError for an unknown name, VendorFileError for a file that is not right.
    """
    if isinstance(vendor, Vendor):
        return vendor
    if not isinstance(vendor, str | os.PathLike | Mapping):
        kind = type(vendor).__name__
        raise ConfigurationError(f"a vendor is a plugin's name, a path, a mapping or a Vendor, not {kind}")
    if isinstance(vendor, str) and not (vendor.endswith(".toml") or os.sep in vendor):
        known = vendors()
        if vendor not in known:
            close = difflib.get_close_matches(vendor, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            names = ", ".join(sorted(known)) or "none"
            also = "".join(f"; {reason}" for reason in broken.values())
            raise ConfigurationError(
                f"unknown vendor {vendor!r}: {hint}installed are {names}; give a vendor file by its path{also}"
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
