"""The reference lacks no word, has no stale one, and every example in it loads and is proved."""

from __future__ import annotations

import pytest

from authflow.templates import CONVERTERS, RESERVED
from authflow.templates.hints import HINTS
from authflow.vendors import flow
from authflow.vendors.asked import ASKED
from authflow.vendors.derive import FUNCTIONS
from authflow.vendors.extends import WHOLE, preset_names
from authflow.vendors.loading import load
from authflow.vendors.proofs.names import KEYWORDS, RENEWED
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


def test_every_placeholder_has_its_row() -> None:
    assert {f"{{{name}}}" for name in RESERVED} <= reference.FORM_ROWS.keys(), HOW
    brought = flow.INTO_BROWSER | flow.FROM_BROWSER
    assert reference.MEANINGS.keys() == HINTS | RENEWED | brought | {"reason", "credentials"} | ASKED.keys(), HOW


def test_every_outcome_has_its_row() -> None:
    built_in = {word for name, word in vars(flow).items() if name.isupper() and isinstance(word, str)}
    edges = KEYWORDS - {"send", "present", "fail", "tell"}
    assert reference.OUTCOMES.keys() == built_in | edges | {"rejected"}, HOW


def test_every_preset_and_merge_rule_has_its_row() -> None:
    assert sorted(reference.PRESET_ROWS) == preset_names(), HOW
    assert reference.MERGING.keys() == set(WHOLE), HOW


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


@pytest.mark.parametrize("row", reference.PRESET_ROWS.values(), ids=reference.PRESET_ROWS)
def test_every_presets_example_is_whole(row: str) -> None:
    load(reference.preset_example(row), signers={"digest": Signer})


WORDS = {
    **reference.FORM_ROWS,
    **reference.MEANINGS,
    **reference.OUTCOMES,
    **reference.MERGING,
    **reference.MERGING_TOO,
}


@pytest.mark.parametrize("name", WORDS)
def test_every_other_words_example_loads(name: str) -> None:
    load(reference.example(WORDS[name][1]), signers={"dpop": Signer})


@pytest.mark.parametrize("name", [*reference.MEANINGS, *reference.OUTCOMES])
def test_every_other_words_example_holds_it(name: str) -> None:
    assert name in WORDS[name][1]
