from collections.abc import Iterator

import pytest

from tests.scenarios.stage import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as one:
        yield one
