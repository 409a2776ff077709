"""Each attack is a script that says what it expects, and finds nothing."""

from __future__ import annotations

import pytest

from tests.attacks import at_the_port, planted_records, planted_refusals, swapped_records


@pytest.mark.parametrize(
    "module", [swapped_records, planted_records, planted_refusals, at_the_port], ids=lambda it: it.__name__
)
def test_an_attack_finds_nothing(module: object) -> None:
    assert list(getattr(module, "attack")()) == []  # noqa: B009
