"""Waiting for a vendor that is not done yet, and for a person: RFC 8628 as a server checks it, and a slow login."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import authflow
from authflow.stores import MemoryStore
from tests.scenarios.stage import Clock, Stage
from tests.servers import Came, Says

DEVICE = (Path(__file__).parents[1] / "testing" / "vendors" / "device.toml").read_text("utf-8")

#: A login that takes its time: nobody need be told.
SLOW = """
name = "slow"
base_url = "%URL%/api/"
start = "signed_out"
credentials.key = { secret = true }
[exchanges.begin]
request = { url = "begin", form = { key = "{key}" } }
answers.begun = { status = 202, json = { job = "{job}" } }
answers.denied = { status = 401 }
[exchanges.poll]
request = { url = "poll", query = { job = "{job}" } }
answers.granted = { status = 200, json = { token = "{access}" } }
answers.pending = { status = 202, again = "10s", for = "2m" }
answers.denied = { status = 401 }
[states]
signed_out = { send = "begin", begun = "waiting", denied = "refused" }
waiting = { send = "poll", granted = "signed_in", denied = "refused" }
signed_in = { present = { headers = { Authorization = "Bearer {access}" } }, rejected = "signed_out" }
refused = { fail = "No." }
"""


@dataclass
class DeviceServer:
    """RFC 8628, §3.1 to §3.5, as strict as its text: who polls sooner than told, or too late, hears of it."""

    clock: Clock
    interval: int | None = 5
    patience: int = 600
    agrees_after: float = 12.0
    says: str = "agrees"
    slow_downs: int = 0
    polled: list[float] = field(default_factory=list)
    codes: int = 0
    began: float = 0.0
    wanted: float = 0.0

    def begin(self, came: Came) -> Says:
        form = parse_qs(came.body.decode())
        assert form["client_id"] == ["tv"]
        self.codes += 1
        self.began, self.wanted, self.polled = self.clock(), float(self.interval or 5), []
        told = {"device_code": f"d-{self.codes}", "user_code": "WDJB-MJHT", "expires_in": self.patience}
        told |= {"verification_uri": "https://acme.example/device"}
        return Says(200, {**told, "interval": self.interval} if self.interval else told)

    def token(self, came: Came) -> Says:
        form = {name: values[0] for name, values in parse_qs(came.body.decode()).items()}
        if form["grant_type"] == "refresh_token":
            return Says(200, {"access_token": "a-2", "refresh_token": "r-2", "expires_in": 600})
        assert form["device_code"] == f"d-{self.codes}"
        now = self.clock()
        early = bool(self.polled) and now - self.polled[-1] < self.wanted - 0.01
        self.polled.append(now)
        if now - self.began >= self.patience:
            return Says(400, {"error": "expired_token"})
        if early or self.slow_downs:
            self.slow_downs -= not early
            self.wanted += 5
            assert not early, "polled sooner than told"
            return Says(400, {"error": "slow_down"})
        if now - self.began < self.agrees_after:
            return Says(400, {"error": "authorization_pending"})
        if self.says == "refuses":
            return Says(400, {"error": "access_denied"})
        return Says(200, {"access_token": "a-1", "refresh_token": "r-1", "expires_in": 600})

    @property
    def pauses(self) -> list[int]:
        return [round(b - a) for a, b in zip(self.polled, self.polled[1:], strict=False)]


@dataclass
class Person:
    told: list[tuple[str, str, str]] = field(default_factory=list)
    then: Callable[[], Any] = lambda: None

    def __call__(self, kind: str, text: str, url: str) -> None:
        self.told.append((kind, text, url))
        self.then()


def device(stage: Stage, **how: Any) -> DeviceServer:
    server = DeviceServer(stage.clock, **how)
    stage.script = {"device/auth": server.begin, "token": server.token}
    return server


def load_device(stage: Stage, server: DeviceServer, **given: Any) -> Stage:
    return stage.load(
        DEVICE, {"device/auth": server.begin, "token": server.token}, issuer=stage.url, client_id="tv", **given
    )


#: The same as `DEVICE`, on its preset.
PRESET = """
name = "device"
extends = "oauth2-device"
base_url = "%URL%/api/"
settings.client_id = { default = "tv" }
settings.device_url = { default = "device/auth" }
settings.token_url = { default = "token" }
"""


@pytest.mark.parametrize("file", [DEVICE, PRESET], ids=["written out", "preset"])
def test_a_device_is_told_once_and_polls_as_it_is_told(stage: Stage, file: str) -> None:
    person = Person()
    server = device(stage)
    given = {"issuer": stage.url, "client_id": "tv"} if file is DEVICE else {}
    stage.load(file, {"device/auth": server.begin, "token": server.token}, ask=person, **given)
    assert stage.call().status_code == 200
    assert person.told == [
        ("tell", "Go to https://acme.example/device and enter WDJB-MJHT.", "https://acme.example/device")
    ]
    assert server.pauses == [5, 5, 5]
    assert stage.sent("data")[0].headers["authorization"] == "Bearer a-1"


@pytest.mark.parametrize(("interval", "expected"), [(None, [5, 5]), (7, [7]), (1, [1] * 9)])
def test_the_interval_is_the_vendor_s(stage: Stage, interval: int | None, expected: list[int]) -> None:
    server = device(stage, interval=interval, agrees_after=9)
    load_device(stage, server, ask=Person())
    assert stage.call().status_code == 200
    assert server.pauses[: len(expected)] == expected


def test_slow_down_lengthens_this_pause_and_all_that_follow(stage: Stage) -> None:
    server = device(stage, slow_downs=2, agrees_after=50)
    load_device(stage, server, ask=Person())
    assert stage.call().status_code == 200
    assert server.pauses == [10, 15, 15, 15]


def test_a_person_who_refuses_is_told_so(stage: Stage) -> None:
    server = device(stage, says="refuses")
    load_device(stage, server, ask=Person())
    with pytest.raises(authflow.CredentialsRefused, match="The sign-in was refused: access_denied"):
        stage.call()
    assert "pending" not in stage.session.status().state


def test_a_person_who_is_too_late_begins_anew(stage: Stage) -> None:
    server = device(stage, patience=58, agrees_after=1e9)
    load_device(stage, server, ask=Person())
    with pytest.raises(authflow.VendorUnavailable, match="starts again"):
        stage.call()
    assert len(server.polled) == 12
    server.agrees_after = 0
    stage.clock.ahead += 60
    assert stage.call().status_code == 200
    assert server.codes == 2


def test_where_nobody_is_there_nothing_is_sent_and_the_command_is_named(stage: Stage) -> None:
    load_device(stage, device(stage))
    with pytest.raises(authflow.ConfigurationError, match="authflow login device"):
        stage.call()
    assert stage.sent() == []


def test_a_token_that_a_person_brought_is_found_by_the_program_that_waits(stage: Stage) -> None:
    store = MemoryStore()
    server = device(stage)
    load_device(stage, server, store=store)
    with pytest.raises(authflow.ConfigurationError):
        stage.call()
    waiting = stage.session
    load_device(stage, server, store=store, ask=Person())
    stage.session.login()
    stage.session = waiting
    stage.sent()
    assert stage.call().status_code == 200
    assert stage.walked() == ["data"]


def test_renewing_asks_nobody_as_long_as_the_refresh_token_is_good(stage: Stage) -> None:
    person = Person()
    load_device(stage, device(stage), ask=person)
    stage.call()
    stage.clock.ahead += 600
    assert stage.call().status_code == 200
    assert len(person.told) == 1


def test_nobody_holds_the_store_while_a_person_thinks(stage: Stage) -> None:
    store = MemoryStore()

    def look() -> None:
        with store.lock(stage.session._manager.grants.key, limit=5, wait=0.01):
            pass

    server = device(stage)
    load_device(stage, server, store=store, ask=Person(then=look))
    advance = stage.clock.advance
    stage.clock.advance = lambda seconds: (look(), advance(seconds))[1]  # type: ignore[method-assign]
    stage.session = authflow.AuthSession(
        stage.session.vendor, clock=stage.clock, store=store, ask=Person(then=look), issuer=stage.url, client_id="tv"
    )
    assert stage.call().status_code == 200


# --- nobody need be told ----------------------------------------------------------------------------------------------


def pending(times: int) -> list[Says]:
    return [*[Says(202, {})] * times, Says(200, {"token": "t-9"})]


def test_a_caller_s_request_waits_within_the_renewal_s_time(stage: Stage) -> None:
    stage.load(SLOW, {"begin": Says(202, {"job": "j"}), "poll": pending(3)}, key="k", timeout=40)
    assert stage.call().status_code == 200
    assert stage.walked() == ["begin", "poll", "poll", "poll", "poll", "data"]


def test_then_it_is_told_when_to_ask_and_the_next_call_goes_on_there(stage: Stage) -> None:
    store = MemoryStore()
    script = {"begin": Says(202, {"job": "j"}), "poll": pending(5)}
    stage.load(SLOW, script, key="k", timeout=25, store=store)
    with pytest.raises(authflow.VendorUnavailable, match="not done yet") as caught:
        stage.call()
    assert caught.value.retry_after == 10
    assert stage.walked() == ["begin", "poll", "poll", "poll"]
    with pytest.raises(authflow.VendorUnavailable):
        stage.call()
    assert stage.walked() == []
    stage.clock.ahead += 10
    stage.session = authflow.AuthSession(stage.session.vendor, clock=stage.clock, store=store, key="k", timeout=25)
    assert stage.call().status_code == 200
    assert stage.walked() == ["poll", "poll", "poll", "data"]


def test_when_its_time_is_over_the_next_call_begins_anew(stage: Stage) -> None:
    script = {"begin": Says(202, {"job": "j"}), "poll": [Says(202, {})]}
    stage.load(SLOW, script, key="k", timeout=25)
    for _ in range(2):
        with pytest.raises(authflow.VendorUnavailable):
            stage.call()
        stage.clock.ahead += 10
    stage.sent()
    stage.clock.ahead += 120
    script["poll"].insert(0, Says(200, {"token": "t-9"}))
    stage.script["poll"] = Says(200, {"token": "t-9"})
    assert stage.call().status_code == 200
    assert stage.walked() == ["begin", "poll", "data"]


def test_an_outcome_may_lead_on_when_its_time_is_over(stage: Stage) -> None:
    file = SLOW.replace(
        'denied = "refused" }\nsigned_in',
        'denied = "refused", pending = "late" }\nlate = { fail = "Too late." }\nsigned_in',
    ).replace("2m", "25s")
    stage.load(file, {"begin": Says(202, {"job": "j"}), "poll": [Says(202, {})]}, key="k", timeout=60)
    with pytest.raises(authflow.CredentialsRefused, match="Too late"):
        stage.call()
    assert stage.walked() == ["begin", "poll", "poll", "poll"]


def test_a_pause_is_a_second_at_least_and_no_wait_longer_than_half_an_hour(stage: Stage) -> None:
    file = SLOW.replace(
        'again = "10s", for = "2m"',
        'json = { again = "{again?}", most = "{most?}" }, again = "{again?}", for = "{most?}"',
    )
    polls = (
        [Says(202, {"again": 0.2, "most": 1e9}) for _ in range(3)]
        + [Says(202, {"again": 1799, "most": 1e9})]
        + pending(0)
    )
    stage.load(file, {"begin": Says(202, {"job": "j"}), "poll": polls}, key="k", timeout=1e6)
    with pytest.raises(authflow.VendorUnavailable, match="starts again"):
        stage.call()
    assert 2.5 < stage.clock.ahead < 4


def test_nobody_is_asked_ahead_of_the_end(stage: Stage) -> None:
    """There is no refresh token: a new login would ask the person, who is left alone as long as the token is good."""
    person = Person()
    server = device(stage)
    script = {"device/auth": server.begin, "token": lambda came: without_refresh(server.token(came))}
    stage.load(DEVICE, script, issuer=stage.url, client_id="tv", ask=person)
    stage.call()
    stage.clock.ahead += 570
    for _ in range(2):
        assert stage.call().status_code == 200
        for flight in list(stage.session._manager.grants.flights._under_way.values()):
            flight.wait()
    assert len(person.told) == 1
    stage.clock.ahead += 60
    assert stage.call().status_code == 200
    assert len(person.told) == 2


def without_refresh(said: Says) -> Says:
    return Says(said.status, {name: value for name, value in said.json.items() if name != "refresh_token"})


def test_a_login_that_is_refused_while_it_waits_leaves_the_grant_that_lives(stage: Stage) -> None:
    store, server = MemoryStore(), device(stage)
    load_device(stage, server, ask=Person(), store=store)
    assert stage.call().status_code == 200
    for says, patience in (("refuses", 600), ("agrees", 2)):
        server.says, server.patience = says, patience
        with pytest.raises(authflow.AuthFlowError):
            stage.session.login()
        other = authflow.AuthSession(
            stage.session.vendor, clock=stage.clock, store=store, issuer=stage.url, client_id="tv"
        )
        assert other.token().access == "a-1"
