"""One renewal: what is re-read, sent, never sent again, and kept before anybody uses it. Without a network."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import authflow
from authflow.accounts.records import Record
from authflow.http import Answer, Request
from authflow.renewing.environment import NoAnswer, TooLarge
from authflow.session import AuthSession
from authflow.stores.base import Stored
from authflow.stores.memory import MemoryStore
from authflow.templates.answers import Outcome
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered, body_of, finished


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def refreshes(vendor: ScriptedVendor) -> list[str]:
    """The refresh tokens that were sent, in their order."""
    return [body_of(request)["refresh"] for request in vendor.sent if request.url.endswith("/refresh")]


def grants(store: MemoryStore) -> list[Record]:
    return [Record.from_bytes(stored.data) for stored in store._records.values()]


# --- shared -----------------------------------------------------------------------------------------------------------


def test_what_another_session_has_renewed_is_taken_over(vendor: ScriptedVendor, store: MemoryStore) -> None:
    one, other = vendor.session(store=store), vendor.session(store=store)
    assert one.token() == other.token()
    vendor.clock.now += LIFETIME + 1
    assert one.token() == other.token()
    assert vendor.names == ["login", "refresh"]


def test_after_a_rejection_too_the_record_is_read_first(vendor: ScriptedVendor, store: MemoryStore) -> None:
    one, other = vendor.session(store=store), vendor.session(store=store)
    one.token(), other.token()
    for session in (one, other):
        entry = session._manager.on_response(session._manager.grants.current, URL, answered(401))
        assert entry is not None
        assert entry.flight is not None
        entry.flight.wait()
    assert one.token() == other.token()
    assert vendor.names == ["login", "refresh"]


def test_a_stored_token_that_is_rejected_is_renewed_and_not_served_again(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    vendor.session(store=store).token()
    later = vendor.session(store=store)
    first = later.token()
    entry = later._manager.on_response(later._manager.grants.current, URL, answered(401))
    assert entry is not None
    assert entry.flight is not None
    assert entry.flight.wait().record.token != first
    assert vendor.names == ["login", "refresh"]


def test_two_accounts_share_nothing(vendor: ScriptedVendor, store: MemoryStore) -> None:
    tokens = {vendor.session(store=store, username=name).token().access for name in ("ann", "bob", "ann")}
    assert len(tokens) == 2
    assert vendor.names == ["login", "login"]


# --- refresh tokens ---------------------------------------------------------------------------------------------------


def test_a_replaced_refresh_token_is_never_sent_again(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    for _ in range(4):
        session.token()
        vendor.clock.now += LIFETIME + 1
    assert refreshes(vendor) == ["refresh-1", "refresh-2", "refresh-3"]


def test_a_refresh_token_that_the_answer_leaves_out_is_kept(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    for number in range(3):
        vendor.says("refresh", 200, {"access": f"new-{number}", "in": int(LIFETIME)})
        vendor.clock.now += LIFETIME + 1
        assert session.token().access == f"new-{number}"
    assert refreshes(vendor) == ["refresh-1"] * 3


def test_a_refused_refresh_token_is_never_sent_again(vendor: ScriptedVendor, store: MemoryStore) -> None:
    """Though the login after it fails, and though another session renewals next."""
    session = vendor.session(store=store)
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 401, {})
    vendor.says("login", 503, {})
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    vendor.clock.now += 2
    vendor.session(store=store).token()
    assert refreshes(vendor) == ["refresh-1"]
    assert vendor.names == ["login", "refresh", "login", "login"]


def test_a_lost_answer_has_cost_the_refresh_token(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", NoAnswer("ReadTimeout", sent=True))
    assert session.token().access == "access-2"
    assert refreshes(vendor) == ["refresh-1"]
    assert vendor.names == ["login", "refresh", "login"]


@pytest.mark.parametrize("said", [answered(200, {"nonsense": 1}), answered(200, ""), TooLarge()])
def test_nonsense_to_a_refresh_has_cost_the_refresh_token(vendor: ScriptedVendor, said: Any) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", said)
    with pytest.raises(authflow.VendorAnswerError):
        session.token()
    vendor.clock.now += 2
    session.token()
    assert refreshes(vendor) == ["refresh-1"]
    assert vendor.names == ["login", "refresh", "login"]


UNAVAILABLE = [
    *(answered(status, {}) for status in (408, 425, 429, 500, 502, 503, 504)),
    NoAnswer("ConnectError", sent=False),
]


@pytest.mark.parametrize("said", UNAVAILABLE, ids=str)
def test_an_unavailable_vendor_has_refused_nothing(vendor: ScriptedVendor, said: Any) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", said)
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    vendor.clock.now += 2
    session.token()
    assert refreshes(vendor) == ["refresh-1", "refresh-1"]
    assert vendor.names == ["login", "refresh", "refresh"]


# --- refused credentials ----------------------------------------------------------------------------------------------


def refuse(session: AuthSession) -> authflow.CredentialsRefused:
    with pytest.raises(authflow.CredentialsRefused) as caught:
        session.token()
    return caught.value


def test_a_refused_password_is_not_sent_again_by_any_session_of_the_store(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    vendor.down = answered(401, {})
    for _ in range(3):
        assert 0 < (refuse(vendor.session(store=store)).retry_after or 0) <= 60
    assert vendor.names == ["login"]


def test_another_password_is_sent_at_once(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.says("login", 401, {})
    refuse(vendor.session(store=store))
    assert vendor.session(store=store, password="another").token().access
    assert vendor.names == ["login", "login"]


def test_the_wait_grows_to_an_hour(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.down = answered(401, {})
    waits = []
    for _ in range(8):
        wait = refuse(vendor.session(store=store)).retry_after
        assert wait is not None
        waits.append(wait)
        vendor.clock.now += wait - 1
        refuse(vendor.session(store=store))
        vendor.clock.now += 1
    assert waits == [60, 600, *[3600] * 6]
    assert vendor.names == ["login"] * 8


def test_no_credential_is_ever_stored(vendor: ScriptedVendor, store: MemoryStore) -> None:
    seen: list[bytes] = []

    class Watched(MemoryStore):
        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            seen.append(key.encode() + data)
            return super().save(key, data, revision, lifetime=lifetime)

    session = vendor.session(store=Watched(), username="user@example.org")
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 401, {})
    vendor.says("login", 401, {})
    refuse(session)
    assert len(seen) >= 3
    for written in seen:
        assert b"pass-word" not in written
        assert b"user@example.org" not in written


# --- kept -------------------------------------------------------------------------------------------------------------

TWO_STEPS: dict[str, Any] = {
    "name": "two-steps",
    "base_url": "https://vendor.example/api/",
    "start": "signed_out",
    "credentials": {"username": {}, "password": {"secret": True}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {"ticketed": {"status": 200, "json": {"refresh": "{ticket}"}}, "denied": {"status": 401}},
        },
        "redeem": {
            "request": {"url": "redeem", "json": {"ticket": "{ticket}"}},
            "answers": {"granted": {"status": 200, "json": {"access": "{access}"}}, "denied": {"status": 401}},
        },
    },
    "states": {
        "signed_out": {"send": "login", "ticketed": "ticketed", "denied": "refused"},
        "ticketed": {"send": "redeem", "granted": "signed_in", "denied": "refused"},
        "signed_in": {"present": {"headers": {"X-Token": "{access}"}}, "rejected": "signed_out"},
        "refused": {"fail": "No."},
    },
}


def test_a_chain_that_was_interrupted_has_kept_what_it_learnt(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.says("redeem", 503, {})
    session = vendor.session(TWO_STEPS, store=store)
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    assert [dict(grant.captured) for grant in grants(store)] == [{"ticket": "refresh-1"}]
    vendor.clock.now += 2
    assert vendor.session(TWO_STEPS, store=store).token().access
    assert vendor.names[:2] == ["login", "redeem"]


def test_a_grant_is_stored_before_it_is_used(vendor: ScriptedVendor) -> None:
    session: AuthSession

    class Watching(MemoryStore):
        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            states.append(session.status().state)
            return super().save(key, data, revision, lifetime=lifetime)

    states: list[str] = []
    session = vendor.session(store=Watching())
    session.token()
    assert states == ["signed_out"]


def test_a_record_that_has_become_newer_is_taken_instead(
    vendor: ScriptedVendor, caplog: pytest.LogCaptureFixture
) -> None:
    """As for a process that was stopped for longer than its lock lasts: it overwrites nothing newer."""

    class Overtaken(MemoryStore):
        armed = False

        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            if self.armed:
                self.armed = False
                kept = Record.from_bytes(self._records[key].data)
                ends = vendor.clock.now + LIFETIME
                newer = kept.replace(captured={"access": "newer"}, issued_at=vendor.clock.now, expires_at=ends)
                super().save(key, newer.replace(grant="0b").to_bytes(), revision)
            return super().save(key, data, revision, lifetime=lifetime)

    store = Overtaken()
    session = vendor.session(store=store)
    session.token()
    vendor.clock.now += LIFETIME + 1
    store.armed = True
    with caplog.at_level(logging.WARNING, "authflow"):
        assert session.token().access == "newer"
    assert [grant.captured["access"] for grant in grants(store)] == ["newer"]
    assert "renewed by another" in caplog.text


def test_a_record_that_went_away_meanwhile_is_written_anew(vendor: ScriptedVendor) -> None:
    class Forgetful(MemoryStore):
        def load(self, key: str) -> Stored | None:
            stored = super().load(key)
            self.delete(key)
            return stored

    store = Forgetful()
    session = vendor.session(store=store)
    session.token()
    vendor.clock.now += LIFETIME + 1
    assert session.token().access == "access-2"
    assert [grant.captured["access"] for grant in grants(store)] == ["access-2"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{}", b"[]", b'{"format": 1}', b'{"format": 99, "state": "signed_in"}']
)
def test_a_record_that_cannot_be_read_is_replaced(vendor: ScriptedVendor, store: MemoryStore, data: bytes) -> None:
    vendor.session(store=store).token()
    (key,) = store._records
    store.delete(key)
    store.save(key, data, None)
    assert vendor.session(store=store).token().access == "access-2"
    assert [grant.state for grant in grants(store)] == ["signed_in"]


def test_a_record_in_a_state_that_the_file_no_longer_has_is_replaced(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    vendor.session(store=store).token()
    ((key, kept),) = store._records.items()
    store.save(key, Record.from_bytes(kept.data).replace(state="of_old").to_bytes(), kept.revision)
    assert vendor.session(store=store).token().access == "access-2"


# --- stores that fail -------------------------------------------------------------------------------------------------


class Broken(MemoryStore):
    """Fails in the verbs that it is told to."""

    def __init__(self, *verbs: str) -> None:
        super().__init__()
        self._verbs = verbs

    def _may(self, verb: str) -> None:
        if verb in self._verbs:
            raise authflow.StoreError(f"the disk is gone ({verb})")

    def load(self, key: str) -> Stored | None:
        self._may("load")
        return super().load(key)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        self._may("save")
        return super().save(key, data, revision, lifetime=lifetime)

    @contextmanager
    def lock(self, key: str, *, limit: float, wait: float) -> Iterator[None]:
        self._may("lock")
        with super().lock(key, limit=limit, wait=wait):
            yield


@pytest.mark.parametrize("verb", ["lock", "load", "save"])
def test_a_store_that_fails_is_an_error_and_no_token_is_used(vendor: ScriptedVendor, verb: str) -> None:
    session = vendor.session(store=Broken(verb))
    with pytest.raises(authflow.StoreError, match=verb):
        session.token()
    assert session.status().state == "signed_out"


@pytest.mark.parametrize("verbs", [("lock",), ("load",), ("save",), ("lock", "load", "save")])
def test_a_session_told_to_degrade_goes_on_by_itself(
    vendor: ScriptedVendor, verbs: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    session = vendor.session(store=Broken(*verbs), on_store_failure="degrade")
    with caplog.at_level(logging.WARNING, "authflow"):
        assert session.token().access == "access-1"
        vendor.clock.now += LIFETIME + 1
        assert session.token().access == "access-2"
    assert vendor.names == ["login", "refresh"]
    assert "going on without the store" in caplog.text


def test_a_store_that_works_again_is_not_gone_back_to_for_a_spent_refresh_token(vendor: ScriptedVendor) -> None:
    store = Broken()
    session = vendor.session(store=store, on_store_failure="degrade")
    session.token()
    for verbs in (("lock", "load", "save"), ("save",), ("load",), ()):
        store._verbs = verbs
        vendor.clock.now += LIFETIME + 1
        session.token()
    assert refreshes(vendor) == ["refresh-1", "refresh-2", "refresh-3", "refresh-4"]
    assert [grant.captured["access"] for grant in grants(store)] == ["access-5"]


def test_a_record_read_too_late_is_not_taken_for_a_newer_one(vendor: ScriptedVendor) -> None:
    class Hiccup(Broken):
        def load(self, key: str) -> Stored | None:
            try:
                return super().load(key)
            finally:
                self._verbs = ()

    store = Hiccup()
    session = vendor.session(store=store, on_store_failure="degrade")
    session.token()
    store._verbs = ("load",)
    vendor.clock.now += LIFETIME + 1
    assert session.token().access == "access-2"
    assert [grant.captured["access"] for grant in grants(store)] == ["access-2"]


def test_a_store_that_fails_harms_nobody_while_the_token_is_good(vendor: ScriptedVendor) -> None:
    store = Broken()
    session = vendor.session(store=store)
    token = session.token()
    store._verbs = ("lock", "load", "save")
    for elapsed in (500, 440, 55):
        vendor.clock.now += elapsed
        assert session.token() == token
        finished()


# --- the exchange itself ----------------------------------------------------------------------------------------------


def test_the_lock_is_grant_while_an_exchange_is_under_way_and_free_afterwards(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    grant: list[bool] = []

    def look(request: Request) -> Answer:
        (key,) = store._holders
        grant.append(bool(key))
        return answered(200, {"access": "a", "in": 1000})

    vendor.says("login", look)
    vendor.session(store=store).token()
    assert grant == [True]
    assert store._holders == {}


@pytest.mark.parametrize(
    "said", [NoAnswer("reset", sent=True), TooLarge(), answered(503), answered(418), RuntimeError("a bug in a client")]
)
def test_whatever_fails_leaves_no_lock_behind(vendor: ScriptedVendor, store: MemoryStore, said: Any) -> None:
    session = vendor.session(store=store)
    vendor.says("login", said)
    with pytest.raises(type(said) if type(said) is RuntimeError else authflow.AuthFlowError):
        session.token()
    assert store._holders == {}
    vendor.clock.now += 61
    assert session.token().access


def test_the_whole_renewal_is_bounded_by_the_timeout(vendor: ScriptedVendor) -> None:
    told: list[float] = []

    class Slow(ScriptedVendor):
        def exchange(self, request: Request, timeout: float) -> Answer:
            told.append(timeout)
            threading.Event().wait(0.05)
            return super().exchange(request, timeout)

    slow = Slow(vendor.clock)
    session = slow.session(TWO_STEPS, timeout=7)
    slow.says("login", 200, {"refresh": "ticket"})
    session.token()
    first, second = told
    assert 6 < first <= 7
    assert second <= first - 0.05


Observed = Callable[[], list[tuple[str, str, str]]]


def test_each_transition_is_observed(vendor: ScriptedVendor, caplog: pytest.LogCaptureFixture) -> None:
    session = vendor.session()
    with caplog.at_level(logging.DEBUG, "authflow"):
        session.token()
        vendor.clock.now += LIFETIME + 1
        vendor.says("refresh", 401, {})
        session.token()
    walked = [record.args for record in caplog.records if "--%s-->" in str(record.msg)]
    assert walked == [
        ("ladder", "signed_out", "granted", "signed_in"),
        ("ladder", "signed_in", "expired", "stale"),
        ("ladder", "stale", "denied", "signed_out"),
        ("ladder", "signed_out", "granted", "signed_in"),
    ]
    assert "access-1" not in caplog.text
    assert LADDER["name"] in caplog.text


# --- a refresh token that the user gave -------------------------------------------------------------------------------

#: Begun elsewhere: the user brings a refresh token, which each answer replaces.
BROUGHT: dict[str, Any] = {
    "name": "brought",
    "base_url": "https://vendor.example/api/",
    "start": "stale",
    "credentials": {"refresh": {"secret": True}},
    "exchanges": {
        "refresh": {
            "request": {"url": "refresh", "json": {"refresh": "{refresh}"}},
            "answers": {
                "granted": {"status": 200, "json": {"access": "{access}", "refresh": "{refresh?}"}},
                "denied": {"status": 401},
            },
        }
    },
    "states": {
        "stale": {"send": "refresh", "granted": "signed_in", "denied": "refused"},
        "signed_in": {"present": {"headers": {"Authorization": "Bearer {access}"}}, "rejected": "stale"},
        "refused": {"fail": "Bring another refresh token."},
    },
}


ENDS: dict[str, Any] = {
    "refused": answered(401, {}),
    "lost": NoAnswer("ReadTimeout", sent=True),
    "unforeseen": answered(418, {}),
}


def brought(vendor: ScriptedVendor, store: MemoryStore, refresh: Any = "r-0") -> AuthSession:
    own: dict[str, Any] = {"client": vendor, "clock": vendor.clock, "store": store, "refresh": refresh}
    return AuthSession(BROUGHT, **own)


@pytest.mark.parametrize("given", ["r-0", lambda: "r-0"], ids=["text", "callable"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_one_that_was_replaced_is_not_sent_again_when_its_replacement_fails(
    vendor: ScriptedVendor, store: MemoryStore, given: Any, end: Any
) -> None:
    session = brought(vendor, store, given)
    session.token()
    vendor.says("refresh", end)
    flight: Any = session._manager.grants.renewed(
        (), session._manager.grants.current, Outcome("rejected", {}), replayable=True
    )
    with pytest.raises(authflow.AuthFlowError):
        flight.wait()
    for again in (session, brought(vendor, store, given)):
        for _ in range(3):
            vendor.clock.now += 4000
            with pytest.raises(authflow.CredentialsRefused, match="Bring another"):
                again.login()
    assert refreshes(vendor) == ["r-0", "refresh-1"]
    # Another one is sent at once.
    assert brought(vendor, store, "r-9").token().access
    assert refreshes(vendor) == ["r-0", "refresh-1", "r-9"]


def test_one_that_was_refused_is_not_sent_again_either(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = brought(vendor, store)
    vendor.says("refresh", 401, {})
    for _ in range(3):
        with pytest.raises(authflow.AuthFlowError):
            session.token()
        vendor.clock.now += 4000
    assert refreshes(vendor) == ["r-0"]


@pytest.mark.parametrize("end", [end for name, end in ENDS.items() if name != "refused"])
def test_one_survives_every_outage(vendor: ScriptedVendor, store: MemoryStore, end: Any) -> None:
    """There is no other way in, so nothing is lost by sending it once more."""
    for _ in range(3):
        vendor.says("refresh", end)
        with pytest.raises(authflow.AuthFlowError):
            brought(vendor, store).token()
        vendor.clock.now += 4000
    assert brought(vendor, store).token().access
    assert refreshes(vendor) == ["r-0"] * 4


def test_one_that_was_refused_is_not_sent_again_though_the_login_behind_it_failed(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    file = {**LADDER, "start": "stale", "credentials": {"refresh": {"secret": True, "optional": True}}}
    for _ in range(3):
        vendor.says("refresh", 401, {})
        vendor.says("login", 503, {})
        with pytest.raises(authflow.VendorUnavailable):
            vendor.session(file, store=store, refresh="r-0").token()
        vendor.clock.now += 120
    assert vendor.session(file, store=store, refresh="r-0").token().access
    assert refreshes(vendor) == ["r-0"]


def test_one_is_spent_for_all_scopes_of_an_account(vendor: ScriptedVendor) -> None:
    file = {**BROUGHT, "vary": ["scope"], "answers": {"more": {"status": 403, "headers": {"X-Need": "{scope}"}}}}
    file["states"] = {**BROUGHT["states"], "signed_in": {**BROUGHT["states"]["signed_in"], "more": "stale"}}
    del file["states"]["signed_in"]["rejected"]
    session = AuthSession(file, client=vendor, clock=vendor.clock, refresh="r-0")
    grant: Any = session._manager.grants.wanted()
    grant = grant.wait()
    for scope in ("orders", "parcels"):
        with contextlib.suppress(authflow.CredentialsRefused):
            flight: Any = session._manager.grants.renewed(
                (scope,), grant, Outcome("more", {"scope": scope}), replayable=True
            )
            flight.wait()
    assert refreshes(vendor).count("r-0") == 1


def test_one_that_no_answer_replaces_serves_again(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = brought(vendor, store)
    for _ in range(3):
        vendor.says("refresh", 200, {"access": "a"})
        session.login()
    vendor.says("refresh", 503, {})
    with pytest.raises(authflow.VendorUnavailable):
        session.login()
    session.login()
    assert refreshes(vendor) == ["r-0"] * 5


def test_the_record_holds_no_refresh_token_that_the_user_gave(vendor: ScriptedVendor, store: MemoryStore) -> None:
    brought(vendor, store, "r-0-secret").token()
    (record,) = store._records.values()
    assert b"r-0-secret" not in record.data
