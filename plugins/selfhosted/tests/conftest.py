"""One server of each product, started when its first test asks for it and ended after its last."""

from collections.abc import Iterator

import pytest

from authflow_selfhosted.servers import PRODUCTS, Running, Unavailable, running

#: Seconds that an access token lives: the fewest that a busy machine still uses in time (Keystone rounds down).
LIFETIME = 5


@pytest.fixture(scope="session", params=sorted(PRODUCTS))
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    serving = running(PRODUCTS[request.param], LIFETIME)
    try:
        started = serving.__enter__()
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    try:
        yield started
    finally:
        serving.__exit__(None, None, None)
