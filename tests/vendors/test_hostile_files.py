# ruff: noqa: E501 -- tables keep their rows
"""Whatever a vendor file holds, loading it gives a proved vendor or a VendorFileError of clear lines, and nothing else."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authflow.errors import VendorFileError
from authflow.vendors.extends import preset_names
from authflow.vendors.flow import Failing, Presenting, Sending
from authflow.vendors.loading import load
from tests.broken_vendors import BASE
from tests.odd_vendors import STORIES

RIGHT = [tomllib.loads(BASE), *({"name": "odd", **tomllib.loads(story.toml)} for story in STORIES.values())]


def keys_of(item: Any) -> set[str]:
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return set(item if isinstance(item, dict) else ()).union(*map(keys_of, inner))


WORDS = [
    *sorted(keys_of(RIGHT)),
    "lost",
    "expired",
    "unavailable",
    "_",
    "null",
    "absent",
    "store",
    "base_url",
    "verify",
    "jwks_url",
]
TEXTS = st.sampled_from(
    ["", "{access}", "{refresh?}", "{a}{b}", "{", "}}", "{null}", "{absent}", "{_}", "{x:int?}", "{x:nope}", "a\u202eb", "\ud800", "\0", "https://a.example/", "http://a.example/",
     "https://[", "//x", "../x?y={z}", "{base_url}", "12h", "-1s", "signed_in", "login", "password", "oauth2-password", "GET", "{a：b}", "{а}", "\u200b", "x" * 70]
) | st.sampled_from(WORDS) | st.text(max_size=8)  # fmt: skip
SCALARS = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([date(2026, 1, 1), datetime(2026, 1, 1), b"x", object, {1}, (), 10**400])
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=5) | st.integers(0, 9) | st.none()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=30
)


def check(source: Any) -> bool:
    """Was it a vendor?"""
    try:
        vendor = load(source)
    except VendorFileError as error:
        assert error.findings  # noqa: PT017
        for finding in error.findings:
            assert str(finding).isprintable()
            assert finding.reason
        return False
    assert vendor.flow.start in vendor.flow.states
    for state in vendor.flow.states.values():
        assert isinstance(state, Presenting | Failing | Sending)
        assert isinstance(state, Failing) or set(state.next.values()) <= set(vendor.flow.states)
    return True


@given(st.dictionaries(KEYS, TREES, max_size=8), st.sampled_from([None, *preset_names()]))
@example({"states": {"a": {"present": {}}}, "start": "a", "base_url": "https://a/", "name": "a"}, None)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_mapping(raw: dict[Any, Any], preset: str | None) -> None:
    check(raw if preset is None else {**raw, "name": "x", "base_url": "https://a.example/", "extends": preset})


def places(item: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and the key."""
    pairs = list(item.items()) if isinstance(item, dict) else list(enumerate(item)) if isinstance(item, list) else []
    return [place for key, value in pairs for place in ((item, key), *places(value))]


@st.composite
def bent(draw: st.DrawFn) -> Mapping[str, Any]:
    """A right file, wrong in a few places: something gone, something else in its place, something moved."""
    raw: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(RIGHT)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(raw)
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.integers(0, 4)):
            case 0:
                del holder[key]
            case 1:
                holder[key] = draw(TREES)
            case 2:
                other, another = draw(st.sampled_from(found))
                holder[key] = copy.deepcopy(other[another])
            case 3 if isinstance(holder, dict):
                holder[draw(KEYS)] = holder.pop(key)
            case _:
                holder[key] = draw(TEXTS)
    return raw


SEEN = {True: 0, False: 0}


@given(bent())
@settings(max_examples=500)
def test_a_right_file_bent(raw: Mapping[str, Any]) -> None:
    SEEN[check(raw)] += 1


def test_some_bent_files_were_vendors_still() -> None:
    """Runs after the one above: had all been refused, or none, it would have shown little."""
    assert not sum(SEEN.values()) or min(SEEN.values()) > sum(SEEN.values()) / 50


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(tmp_path: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([BASE, *(story.toml for story in STORIES.values())])).encode()
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + data.draw(
                st.binary(max_size=3)
                | st.sampled_from([b'"', b"[", b"}", b"\n[", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"{", b"\r"])
            )
            + text[at + data.draw(st.integers(0, 3)) :]
        )
    path = tmp_path / "any.toml"
    path.write_bytes(text)
    check(path)
