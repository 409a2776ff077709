from collections.abc import Iterator

import pytest

from tests.vendors.stage import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as one:
        yield one
