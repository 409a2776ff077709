"""`extends`: a vendor file laid over a preset, which is a vendor file too.

tables                          merge key by key, the file's keys first where order matters
request, present, sign, outcome the file's replaces the preset's, whole
a state with send or fail       replaces the preset's state
what the file has no use for    a preset's state that nothing leads to any more goes, and its exchange with it;
                                a preset's setting or credential that nothing mentions any more is none; one that
                                the file uses without `?` must be given
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from authflow.errors import Finding
from authflow.vendors.notation import did_you_mean
from authflow.vendors.reading import read

_PRESETS: Final = Path(__file__).with_name("presets")
#: What of a file replaces the preset's whole: paths of keys, `*` for any. Other tables merge key by key.
WHOLE: Final = (
    *("exchanges.*.request", "exchanges.*.sign", "exchanges.*.answers.*", "states.*.present"),
    *("answers.*", "derive.*", "sign"),
)
_NAMED: Final = ("states", "settings", "credentials")
_NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)")
#: A placeholder that must have its value.
_NEEDED: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::\w+)?\}")


def preset_names() -> list[str]:
    return sorted(path.stem for path in _PRESETS.glob("*.toml"))


def extended(
    file: str, raw: Mapping[str, Any], installed: Mapping[str, Any] = {}, dropped: set[str] | None = None
) -> tuple[dict[str, Any], list[Finding]]:
    """The file with the presets and installed vendors that it extends below it, and what is wrong with `extends`.
    `dropped` takes up the names of states and inputs that the file has no use for.
    """
    merged, seen, below = dict(raw), list[str](), set[str]()
    while (extends := merged.pop("extends", None)) is not None:
        if not isinstance(extends, str):
            return merged, [Finding(file, "extends", "must name a preset", f"there are {_presets()}")]
        known = {*preset_names(), *installed}
        if extends in seen or extends not in known:
            reason = "extends itself" if extends in seen else f"unknown preset {extends!r}"
            return merged, [Finding(file, "extends", reason, did_you_mean(extends, known))]
        seen.append(extends)
        under, findings = _below(extends, installed)
        if findings:
            return merged, findings
        below |= _table(under, "credentials").keys()
        merged = merge(under, merged)
    had = set(_table(merged, "credentials"))
    whole = {name for kind in _NAMED for name in _table(merged, kind)}
    if seen:
        _drop_leftovers(merged, raw)
        _add_to_identity(merged, raw, below)
    _place_secret(merged)
    if dropped is not None:
        dropped |= whole.difference(*(_table(merged, kind) for kind in _NAMED))
    warnings = []
    if had and not _table(merged, "credentials"):
        name = next((name for name, item in _table(raw, "exchanges").items() if "request" in _mapping(item)), "")
        reason = f"the login carries no credential: {', '.join(sorted(had))} stood in what this replaces"
        hint = "a request replaces its preset's whole: say all of it"
        warnings = [Finding(file, f"exchanges.{name}.request" if name else "states", reason, hint, warning=True)]
    return merged, warnings


def _below(name: str, installed: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Finding]]:
    """What a file extends: a preset, else an installed vendor, whose name and title are its own."""
    if name in preset_names():
        return read(_PRESETS / f"{name}.toml", named=False)[1:]
    source = installed[name]
    _, raw, findings = read(getattr(source, "raw", source))
    return {key: value for key, value in raw.items() if key not in ("name", "title")}, findings


def _place_secret(merged: dict[str, Any]) -> None:
    """`secret_in`: where the client's id and secret stand, for all exchanges that send them as RFC 6749 §2.3.1 says."""
    place = merged.get("secret_in")
    for name, exchange in _table(merged, "exchanges").items() if place in ("header-raw", "body") else ():
        request = _table(exchange, "request") if isinstance(exchange, Mapping) else {}
        pair = request.get("client_basic")
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        placed = {key: value for key, value in request.items() if key != "client_basic"}
        if place == "header-raw":
            placed["basic"] = pair
        else:
            placed["form"] = {**_table(request, "form"), "client_id": pair[0], "client_secret": pair[1]}
        merged["exchanges"] = {**merged["exchanges"], name: {**exchange, "request": placed}}


def _presets() -> str:
    return ", ".join(preset_names())


def merge(under: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """A file laid over its preset: tables merge key by key, the file's keys first where order matters."""
    merged: dict[str, Any] = {}
    for key in (*over, *(key for key in under if key not in over)):
        here = (*path, key)
        if key in over and key in under and _merges(here, under[key], over[key]):
            merged[key] = merge(under[key], over[key], here)
        else:
            merged[key] = over[key] if key in over else under[key]
    return merged


def _merges(path: tuple[str, ...], under: Any, over: Any) -> bool:
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return False
    if path[0] == "states" and len(path) == 2:
        return not ("send" in over or "fail" in over or ("present" in over and "present" not in under))
    rules = [rule.split(".") for rule in WHOLE]
    return not any(len(rule) == len(path) and all(map(lambda at, key: at in ("*", key), rule, path)) for rule in rules)


# --- what a preset leaves over ----------------------------------------------------------------------------------------


def _drop_leftovers(merged: dict[str, Any], own: Mapping[str, Any]) -> None:
    states, exchanges = _table(merged, "states"), _table(merged, "exchanges")
    start = merged.get("start")
    if isinstance(start, str) and start in states:
        reached = _reached(start, states)
        merged["states"] = {
            name: item for name, item in states.items() if name in reached or name in _table(own, "states")
        }
    users: list[tuple[Mapping[str, Any], str]] = [(merged, "on_logout")]
    users += [(item, "send") for item in _table(merged, "states").values() if isinstance(item, Mapping)]
    users += [(item, "answers") for item in exchanges.values() if isinstance(item, Mapping)]
    sent = {item[key] for item, key in users if isinstance(item.get(key), str)}
    if exchanges:
        merged["exchanges"] = {
            name: item for name, item in exchanges.items() if name in sent or name in _table(own, "exchanges")
        }
    inputs = ("settings", "credentials")
    rest = {key: item for key, item in merged.items() if key not in (*inputs, "identity")}
    told = _table(rest, "exchanges").get(str(merged.get("on_logout")))  # of what it lacks, a vendor is just not told
    uses = {**rest, "exchanges": [item for item in _table(rest, "exchanges").values() if item is not told]}
    names, needed = set(mentioned(rest)), set(_NEEDED.findall(" ".join(texts(uses))))
    for key in inputs:
        kept = {}
        for name, item in _table(merged, key).items():
            if name in _table(own, key) or not isinstance(item, Mapping):
                kept[name] = item
            elif name in names:
                kept[name] = {**item, "optional": False} if name in needed and item.get("optional") else item
        if key in merged and isinstance(merged[key], Mapping):
            merged[key] = kept


def _add_to_identity(merged: dict[str, Any], own: Mapping[str, Any], below: set[str]) -> None:
    """What a file adds to a preset's credentials may tell users apart too: unless the file says who they are, it joins
    the preset's identity, marked `name?`: not where it is a callable, which would have to be asked first.
    """
    identity = merged.get("identity")
    if "identity" in own or not isinstance(identity, list) or not identity:
        return
    left = {*_table(merged, "settings"), *_table(merged, "credentials")}
    identity = [name for name in identity if name in left]
    if not identity:  # the file has replaced all that told users apart: then all its credentials do
        del merged["identity"]
        return
    added = {name: item for name, item in _table(own, "credentials").items() if name not in below}
    once = {name for name, item in added.items() if isinstance(item, Mapping) and item.get("once")}
    merged["identity"] = [*identity, *(f"{name}?" for name in added if name not in once)]


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _mapping(raw.get(key))


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _reached(start: str, states: Mapping[str, Any]) -> set[str]:
    reached, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name not in reached and isinstance(states.get(name), Mapping):
            reached.add(name)
            todo += [
                after for key, after in states[name].items() if key not in ("send", "fail") and isinstance(after, str)
            ]
    return reached


def texts(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    for inner in item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ():
        yield from texts(inner)


def mentioned(item: Any) -> Iterator[str]:
    """Every name in a placeholder, and every text alone (in `vary`, a name stands without its braces)."""
    if isinstance(item, str):
        yield item
        yield from _NAME.findall(item)
    for inner in item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ():
        yield from mentioned(inner)
