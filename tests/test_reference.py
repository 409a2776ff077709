"""The reference lacks no word, has no stale one, and every example in it loads and is proved."""

from __future__ import annotations

import pytest

from authflow.templates import CONVERTERS
from authflow.vendors.derive import FUNCTIONS
from authflow.vendors.loading import load
from authflow.vendors.signers import Signer
from tests import reference

HOW = "one row in tests/reference.py, then: make reference"


def test_every_key_has_its_row() -> None:
    keys = {f"{table}.{key}" for table, key, _ in reference.words()}
    assert sorted(keys ^ reference.EXAMPLES.keys()) == [], HOW
    assert {key.partition(".")[0] for key in keys} == reference.TABLES.keys(), HOW


def test_every_converter_and_function_has_its_row() -> None:
    assert reference.CONVERTER_ROWS.keys() == CONVERTERS.keys(), HOW
    assert reference.FUNCTION_ROWS.keys() == FUNCTIONS.keys(), HOW


def test_the_page_is_the_one_that_is_made() -> None:
    assert reference.PAGE.read_text("utf-8") == reference.page(), "make reference"


@pytest.mark.parametrize("key", reference.EXAMPLES)
def test_every_keys_example_loads_and_holds_the_key(key: str) -> None:
    load(reference.example(reference.EXAMPLES[key]), signers={"dpop": Signer, "digest": Signer})
    assert key.partition(".")[2] in reference.EXAMPLES[key]


@pytest.mark.parametrize("name", reference.CONVERTER_ROWS)
def test_every_converters_example_loads(name: str) -> None:
    row = reference.CONVERTER_ROWS[name][1]
    assert f":{name}" in row
    load(reference.converter_example(row))


@pytest.mark.parametrize("name", reference.FUNCTION_ROWS)
def test_every_functions_example_loads(name: str) -> None:
    row = reference.FUNCTION_ROWS[name][1]
    assert f"{name} = " in row
    load(reference.function_example(row))
