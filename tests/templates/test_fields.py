"""Named texts: what headers, cookies, query parameters and forms have in common."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.templates.converters import CONVERTERS
from authflow.templates.fields import by_name, compile_fields, match_fields, render_fields
from authflow.templates.placeholders import Mismatch, TemplateError


def read(table: dict[str, Any], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match_fields(compile_fields(table, CONVERTERS), by_name(tuple(pairs)), found)
    return found


@pytest.mark.parametrize(
    ("table", "pairs", "found"),
    [
        ({"a": "{x}"}, [("b", "0"), ("a", "1"), ("a", "2")], {"x": "1"}),
        ({"a": "n={x:int}"}, [("a", "none"), ("a", "n=2")], {"x": 2}),
        ({"a": ["{x}", "{y}"]}, [("a", "1"), ("a", "2")], {"x": "1", "y": "2"}),
        ({"a": ["{x}", "{y?}"]}, [("a", "1")], {"x": "1"}),
        ({"a": ["lit", "{x}"]}, [("a", "1"), ("a", "lit")], {"x": "1"}),
        ({"a": "{absent}", "b": "{x?}"}, [("c", "1")], {}),
        ({"a": "{x}", "b": "{x}"}, [("a", "1"), ("b", "2"), ("b", "1")], {"x": "1"}),
        ({"a": 1, "b": True, "c": 1.5}, [("a", "1"), ("b", "true"), ("c", "1.5")], {}),
    ],
)
def test_fits(table: dict[str, Any], pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
    assert read(table, pairs) == found


@pytest.mark.parametrize(
    ("table", "pairs"),
    [
        ({"a": "{x}"}, []),
        ({"a": ["{x}", "{y}"]}, [("a", "1")]),
        ({"a": "{absent}"}, [("a", "")]),
        ({"a": "x"}, [("a", "y"), ("a", "z")]),
        ({"a": "{x}", "b": "{x}"}, [("a", "1"), ("b", "2")]),
    ],
)
def test_does_not_fit(table: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(Mismatch) as mismatch:
        read(table, pairs)
    assert mismatch.value.where in table


@given(st.lists(st.sampled_from("abc"), max_size=6), st.data())
def test_what_is_rendered_is_read_back(names: list[str], data: st.DataObject) -> None:
    table: dict[str, list[str]] = {}
    values = {}
    for index, name in enumerate(names):
        table.setdefault(name, []).append(f"{{v{index}}}")
        values[f"v{index}"] = data.draw(st.text(max_size=4))
    fields = compile_fields(table, CONVERTERS)
    assert read(table, list(render_fields(fields, values))) == values


@pytest.mark.parametrize("value", [None, {}, "{a}{b}", "{null}", ["{"], [[]]])
def test_what_cannot_be(value: Any) -> None:
    with pytest.raises(TemplateError) as error:
        compile_fields({"key": value}, CONVERTERS)
    assert error.value.path == ["key"]
