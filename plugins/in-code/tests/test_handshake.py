"""Two requests make one login; the password is never among what the server sees."""

import hmac
from collections.abc import Iterator
from typing import Any

import pytest

import authflow
from authflow.plugins import manager
from authflow_in_code import handshake

from .conftest import Came, Serve

PASSWORD = "open-sesame"
ASKED = {"salt": "00ff", "rounds": 10, "challenge": "once"}


class Vendor:
    def __init__(self) -> None:
        self.seen: list[Came] = []
        self.asked: dict[str, Any] = ASKED

    def __call__(self, came: Came) -> tuple[int, Any]:
        self.seen.append(came)
        if came.json["username"] != "demo":
            return 403, {}
        if came.target == "/login/begin":
            return 200, self.asked
        good = hmac.compare_digest(handshake.proof(PASSWORD, **ASKED), came.json["proof"])
        return (200, {"access": "token-1", "expires_in": 60}) if good else (401, {})


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def url(serve: Serve, vendor: Vendor) -> Iterator[str]:
    manager().register(handshake)
    yield serve(vendor)
    manager().unregister(handshake)


def session(url: str, username: str = "demo", password: str = PASSWORD) -> authflow.AuthSession:
    return authflow.AuthSession(handshake.authflow_vendors()[0], server=url, username=username, password=password)


def test_a_login_of_two_requests(url: str, vendor: Vendor) -> None:
    assert session(url).token().access == "token-1"
    assert [came.target for came in vendor.seen] == ["/login/begin", "/login/finish"]
    assert PASSWORD not in "".join(came.body.decode() for came in vendor.seen)


@pytest.mark.parametrize(
    ("username", "password", "targets"),
    [("nobody", PASSWORD, ["/login/begin"]), ("demo", "wrong", ["/login/begin", "/login/finish"])],
)
def test_a_refusal_of_either_request_is_one(
    url: str, vendor: Vendor, username: str, password: str, targets: list[str]
) -> None:
    wrong = session(url, username, password)
    for _ in range(2):
        with pytest.raises(authflow.CredentialsRefused):
            wrong.token()
    assert [came.target for came in vendor.seen] == targets
