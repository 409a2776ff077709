"""When a grant ends: each way in which an answer says so, and what the file says where none does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import jwt
import pytest

import authflow
from tests.scenarios.stage import FRAME, Stage
from tests.scripted import finished
from tests.servers import Came, Says


def iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def token(exp: float) -> str:
    return jwt.encode({"exp": int(exp)}, "k" * 32, "HS256")


@dataclass(frozen=True)
class Case:
    """`says` makes the answer for the instant (epoch seconds) at which the grant ends, an hour from now."""

    name: str
    reads: str
    says: Callable[[float], Any]


CASES = [
    Case("seconds", 'ttl = "{expires_in:int}"', lambda end: {"ttl": 3600}),
    Case("seconds as text", 'ttl = "{expires_in:int}"', lambda end: {"ttl": "3600"}),
    Case("milliseconds", 'ttl = "{expires_in:ms}"', lambda end: {"ttl": 3_600_000}),
    Case("epoch", 'end = "{expires_at:epoch}"', lambda end: {"end": end}),
    Case("epoch in milliseconds", 'end = "{expires_at:epoch_ms}"', lambda end: {"end": int(end * 1000)}),
    Case("ISO 8601", 'end = "{expires_at:iso8601}"', lambda end: {"end": iso(end)}),
    Case("an HTTP date", 'end = "{expires_at:http_date}"', lambda end: {"end": formatdate(end, usegmt=True)}),
    Case("an HTTP date in UTC", 'end = "{expires_at:http_date}"', lambda end: {"end": formatdate(end)[:-5] + "UTC"}),
    Case(
        "what is absolute comes first",
        'ttl = "{expires_in:int?}", end = "{expires_at:epoch?}"',
        lambda end: {"ttl": 5, "end": end},
    ),
]
GRANT = '{ token = "{access}" }'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_says_when_the_grant_ends(stage: Stage, case: Case) -> None:
    end = float(int(time.time()) + 3600)
    file = FRAME.replace(GRANT, f'{{ token = "{{access}}", {case.reads} }}')
    stage.load(file, {"login": Says(200, {"token": "t-1", **case.says(end)})})
    granted = stage.session.token()
    assert granted.expires_at == pytest.approx(end, abs=3)
    stage.clock.ahead = 3605
    assert stage.call().status_code == 200
    assert stage.walked() == ["login", "login", "data"]


def test_a_jwt_says_itself_when_it_ends(stage: Stage) -> None:
    end = int(time.time()) + 3600
    file = FRAME.replace(GRANT, '{ token = "{access:jwt}" }')
    stage.load(file, {"login": Says(200, {"token": token(end)})})
    assert stage.session.token().expires_at == pytest.approx(end, abs=3)
    stage.load(FRAME, {"login": Says(200, {"token": token(end)})})
    assert stage.session.token().expires_at is None


@pytest.mark.parametrize(
    ("row", "given", "lasts"),
    [
        ("lifetime = 90", {}, 90),
        ('lifetime = "2m"', {}, 120),
        ('lifetime = "{life}"', {"life": "1h"}, 3600),
        ('lifetime = "12h"', {}, 43200),
    ],
)
def test_a_fixed_lifetime_serves_where_the_answer_says_nothing(
    stage: Stage, row: str, given: dict[str, str], lasts: float
) -> None:
    file = FRAME.replace("[exchanges.login]", 'settings.life = { default = "1s" }\n[exchanges.login]', 1)
    stage.load(f"{file}[expiry]\n{row}\n", **given)
    granted = stage.session.token()
    assert granted.expires_at == pytest.approx(granted.issued_at + lasts)


def test_an_idle_grant_lives_from_its_last_good_use(stage: Stage) -> None:
    stage.load(FRAME + "[expiry]\nidle = 100\n")
    stage.call()
    for _ in range(3):
        stage.clock.ahead += 80
        stage.call()
    assert stage.walked() == ["login", *["data"] * 4]
    stage.clock.ahead += 101
    stage.call()
    assert stage.walked() == ["login", "data"]


@pytest.mark.parametrize(
    ("answers", "logins"),
    [
        ("", 1),
        ('answers.rejected = { json = { error = "expired" } }\n', 1),
        ("answers.rejected = { status = 302 }\n", 2),  # it may have been the login page
    ],
)
def test_a_redirect_to_an_undeclared_origin_is_a_good_use(stage: Stage, answers: str, logins: int) -> None:
    elsewhere = f"{stage.listener.url.replace('127.0.0.1', 'localhost')}/api/data"
    stage.load(answers + FRAME + "[expiry]\nidle = 100\n", {"moved": Says(302, headers={"Location": elsewhere})})
    stage.call()
    stage.clock.ahead += 80
    stage.call("moved", follow_redirects=True)
    stage.clock.ahead += 80
    stage.call()
    assert stage.walked().count("login") == logins


def test_nothing_known_is_valid_until_rejected(stage: Stage) -> None:
    stage.load(FRAME, {"data": [Says(200, {}), Says(200, {}), Says(401, {}), Says(200, {})]})
    stage.call()
    stage.clock.ahead = 10 * 365 * 86400
    stage.call()
    assert stage.walked() == ["login", "data", "data"]
    assert stage.call().status_code == 200
    assert stage.walked() == ["data", "login", "data"]


def test_expiry_belongs_to_its_grant_and_never_to_an_older_one(stage: Stage) -> None:
    file = FRAME.replace(GRANT, '{ token = "{access}", ttl = "{expires_in:int?}" }')
    stage.load(file, {"login": [Says(200, {"token": "t-1", "ttl": 60}), Says(200, {"token": "t-2"})]})
    assert stage.session.token().expires_at is not None
    stage.clock.ahead = 61
    assert stage.session.token().expires_at is None


def test_the_answers_date_corrects_a_clock_that_is_wrong(stage: Stage) -> None:
    """The session's clock is two hours slow: a token that ends in an hour there would have ended here already."""
    world = time.time()
    stage.clock.ahead = -7200
    file = FRAME.replace(GRANT, '{ token = "{access}", end = "{expires_at:epoch}" }')
    stage.load(file, {"login": Says(200, {"token": "t-1", "end": world + 3600})})
    assert stage.session.token().expires_at == pytest.approx(world + 3600 - 7200, abs=5)
    stage.clock.ahead = 7200
    stage.session.login()
    assert stage.session.token().expires_at == pytest.approx(world + 3600 + 7200, abs=5)


@pytest.mark.parametrize("value", [-1, 0, 1e18, "soon"])
def test_an_absurd_lifetime_is_left_out(stage: Stage, value: Any) -> None:
    file = FRAME.replace(GRANT, '{ token = "{access}", ttl = "{expires_in}" }')
    stage.load(file, {"login": Says(200, {"token": "t-1", "ttl": value})})
    assert stage.session.token().expires_at is None
    assert stage.call().status_code == 200


def test_a_lifetime_is_counted_from_when_the_request_was_sent(stage: Stage) -> None:
    def slow(came: Came) -> Says:
        stage.clock.ahead += 30
        return Says(200, {"token": "t-1", "ttl": 3600})

    stage.load(FRAME.replace(GRANT, '{ token = "{access}", ttl = "{expires_in:int}" }'), {"login": slow})
    assert stage.session.token().expires_at == pytest.approx(time.time() + 3600, abs=5)


def test_the_log_and_the_record_say_what_was_left_out_and_say_it_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    file = FRAME.replace(GRANT, '{ token = "{access}", ttl = "{expires_in:int?}" }')
    stage.load(file, {"login": Says(200, {"token": "t-1", "ttl": "never"})})
    for _ in range(3):
        stage.session.login()
    assert caplog.text.count("expires_in is left out") == 1
    assert stage.session._manager.grants.current.record.unread_end == "expires_in"
    stage.load(file, {"login": Says(200, {"token": "t-1", "ttl": 60})})
    stage.session.login()
    assert stage.session._manager.grants.current.record.unread_end == ""


def test_the_vendor_says_when_to_renew(stage: Stage) -> None:
    file = FRAME.replace(GRANT, '{ token = "{access}", ttl = "{expires_in:int?}", soon = "{refresh_in:int?}" }')
    stage.load(file, {"login": Says(200, {"token": "t-1", "ttl": 1000, "soon": 100})})
    stage.call()
    stage.clock.ahead = 95
    stage.call()
    assert stage.walked() == ["login", "data", "data"]
    stage.clock.ahead = 103
    stage.call()
    finished()
    assert sorted(stage.walked()) == ["data", "login"]


@pytest.mark.parametrize("life", [None, "60"])
def test_a_lifetime_that_is_not_given_is_not_known(stage: Stage, life: str | None) -> None:
    file = FRAME.replace(
        "[exchanges.login]\n",
        'settings.life = { optional = true }\nexpiry.lifetime = "{life?}"\n[exchanges.login]\n',
        1,
    )
    stage.load(file, {}, **({"life": life} if life else {}))
    assert (stage.session.token().expires_at is None) is (life is None)


def test_a_lifetime_that_is_none_is_said_before_anything_is_sent(stage: Stage) -> None:
    file = FRAME.replace(
        "[exchanges.login]\n", 'settings.life = {}\nexpiry.lifetime = "{life}"\n[exchanges.login]\n', 1
    )
    with pytest.raises(authflow.ConfigurationError, match=r"life.*a number of seconds"):
        stage.load(file, {}, life="soon")
