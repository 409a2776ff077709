"""What a store gives is a claim: nobody is given another's token, and no server is sent another server's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.accounts.fingerprints import bound, label, quick, slow
from authflow.accounts.records import MOST_SLOTS, Record
from authflow.http import Answer
from authflow.session import AuthSession
from authflow.stores import MemoryStore
from tests.scripted import LADDER, LIFETIME, REGISTRY, ScriptedVendor, body_of, finished, pull


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def kept(store: MemoryStore) -> tuple[str, Record]:
    """The grant in the store, and its key."""
    ((key, stored),) = ((key, stored) for key, stored in store._records.items() if "-refusals-" not in key)
    return key, Record.from_bytes(stored.data)


def plant(store: MemoryStore, key: str, record: Record) -> None:
    stored = store.load(key)
    store.save(key, record.to_bytes(), stored.revision if stored is not None else None)


# --- records that are planted, swapped, stale, or another's ----------------------------------------------------------


PLANTED: dict[str, Callable[[Record], Record]] = {
    "of another place": lambda record: record.replace(key=f"{record.key}x"),
    "granted with other settings": lambda record: record.replace(settings="0" * 32),
    "for other servers": lambda record: record.replace(servers=("https://evil.example/",)),
    "in no state": lambda record: record.replace(state="elsewhere"),
    "granted after the end of time": lambda record: record.replace(issued_at=1e300),
    "ending before time": lambda record: record.replace(expires_at=-1.0),
    "waiting since never": lambda record: record.replace(waits_since=1e300),
    "a slot that is a path": lambda record: record.replace(slots=("../../etc",)),
    "more slots than there may be": lambda record: record.replace(slots=("0" * 16,) * (MOST_SLOTS + 1)),
    "a mark that is none": lambda record: record.replace(mark="\x1b[2J"),
    "a grant that is none": lambda record: record.replace(grant="\x1b[2J"),
    "without a token": lambda record: record.replace(captured={"refresh": "r"}),
    "a table for a token": lambda record: record.replace(captured={**record.captured, "access": {"a": 1}}),
    "a line break in a token": lambda record: record.replace(captured={**record.captured, "access": "a\r\nX: y"}),
    "text for a number": lambda record: record.replace(captured={**record.captured, "expires_in": "soon"}),
    "of another owner": lambda record: record.replace(owner={"password": "0" * 32}),
    "of no owner": lambda record: record.replace(owner={}),
}


@pytest.mark.parametrize("asks", [False, True], ids=["a password", "a callable"])
@pytest.mark.parametrize("change", PLANTED.values(), ids=PLANTED)
def test_a_record_that_is_not_right_is_no_grant(
    vendor: ScriptedVendor, store: MemoryStore, change: Callable[[Record], Record], asks: bool
) -> None:
    vendor.session(store=store).token()
    key, record = kept(store)
    plant(store, key, change(record))
    given: dict[str, Any] = {"password": lambda: "pass-word"} if asks else {}
    session = vendor.session(store=store, **given)
    owned = change(record).owner == record.owner
    # Who has not been asked for the password yet may use what another has got with it.
    expected = "access-1" if asks and not owned else "access-2"
    assert session.token().access == expected
    assert vendor.names == (["login"] if expected == "access-1" else ["login", "login"])


@pytest.mark.parametrize("planted", [{"base_url": "https://evil.example/"}, {"host": "evil.example"}], ids=str)
def test_no_record_moves_what_its_file_never_captures(
    vendor: ScriptedVendor, store: MemoryStore, planted: dict[str, str]
) -> None:
    """Whoever can write to the store could send the next password wherever he likes."""
    file = {**LADDER, "base_url": "https://{host}/api/", "settings": {"host": {"default": "vendor.example"}}}
    vendor.session(file, store=store).token()
    key, record = kept(store)
    for state in ("signed_out", "stale", "signed_in"):
        plant(store, key, record.replace(state=state, captured={**record.captured, **planted}, expires_at=1.0))
        vendor.says("refresh", 401, {})
        vendor.session(file, store=store).token()
    assert {request.url.partition("/api/")[0] for request in vendor.sent} == {"https://vendor.example"}


def test_a_name_that_no_answer_brings_is_taken_out_of_a_record(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.session(LADDER, store=store).token()
    key, record = kept(store)
    plant(store, key, record.replace(captured={**record.captured, "stranger": "x"}))
    session = vendor.session(LADDER, store=store)
    assert session.token().access == record.captured["access"]
    assert "stranger" not in session._manager.grants.current.record.captured


#: What it presents stands in the caller's own JSON, where a table could stand as well as a text.
IN_JSON: Any = {
    **{name: value for name, value in LADDER.items() if name != "extends"},
    "credentials": {"username": {}, "password": {"secret": True}},
    "identity": ["username"],
    "start": "signed_out",
    "states": {
        "signed_out": {"send": "login", "granted": "in"},
        "in": {"present": {"json": {"auth": "{access}"}}, "expired": "stale"},
        "stale": {"send": "refresh", "granted": "in", "missing": "signed_out"},
    },
}


@pytest.mark.parametrize("name", ["access", "refresh"])
@pytest.mark.parametrize("value", [{"a": 1}, ["a"], True, 1.5, ""])
def test_what_no_answer_brings_for_a_token_no_record_does(
    name: str, value: Any, vendor: ScriptedVendor, store: MemoryStore
) -> None:
    vendor.session(IN_JSON, store=store).token()
    key, record = kept(store)
    plant(store, key, record.replace(captured={**record.captured, name: value}))
    assert vendor.session(IN_JSON, store=store).token().access == "access-2"


def test_a_record_put_in_anothers_place_is_not_used(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.session(store=store, username="alice").token()
    _, alices = kept(store)
    bob = vendor.session(store=store, username="bob")
    plant(store, bob._manager.grants.key, alices)
    assert bob.token().access == "access-2"
    assert vendor.names == ["login", "login"]


def test_what_an_older_file_left_is_used_as_far_as_it_serves(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.session(store=store).token()
    key, record = kept(store)
    plant(store, key, record.replace(captured={**record.captured, "of_old": "x"}))
    assert vendor.session(store=store).token().access == "access-1"
    signed_in = {"present": {"headers": {"Authorization": "Bearer {access}", "X-Tenant": "{tenant}"}}}
    login = {**LADDER["exchanges"]["login"]}
    login["answers"] = {"granted": {"json": {"access": "{access}", "tenant": "{tenant}"}}}
    newer = {
        **LADDER,
        "exchanges": {**LADDER["exchanges"], "login": login},
        "states": {**LADDER["states"], "signed_in": signed_in},
    }
    vendor.says("login", 200, {"access": "a", "tenant": "t"})
    assert vendor.session(newer, store=store).headers("https://vendor.example/api/")["X-Tenant"] == "t"


def test_a_record_of_the_first_edition_is_none(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = vendor.session(store=store)
    store.save(session._manager.grants.key, b'{"format": 1, "state": "signed_in", "captured": {"access": "a"}}', None)
    assert session.token().access == "access-1"


# --- which secret got it ---------------------------------------------------------------------------------------------


def test_another_password_does_not_use_the_grant_and_leaves_it(vendor: ScriptedVendor, store: MemoryStore) -> None:
    first = vendor.session(store=store).token()
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused):
        vendor.session(store=store, password="wrong").token()
    assert vendor.session(store=store).token() == first
    assert vendor.session(store=store, password=lambda: "unasked").token() == first
    assert vendor.names == ["login", "login"]


def test_a_refused_password_is_not_sent_again_though_the_right_one_is_in_between(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    for _ in range(3):
        vendor.says("login", 401, {})
        with pytest.raises(authflow.CredentialsRefused):
            vendor.session(store=store, password="wrong").token()
        vendor.script["login"].clear()
        vendor.session(store=store).token()
        vendor.clock.now += 5
    assert [body_of(request)["password"] for request in vendor.sent] == ["wrong", "pass-word"]


def test_a_password_that_was_accepted_has_the_grant(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.session(store=store).token()
    changed = vendor.session(store=store, password="changed").token()
    assert changed.access == "access-2"
    assert vendor.session(store=store, password="changed").token() == changed
    assert vendor.names == ["login", "login"]


def test_a_refresh_token_given_anew_is_used_though_an_older_grant_lives(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    file = {**LADDER, "start": "stale", "credentials": {"refresh": {"secret": True, "optional": True}}}
    file["identity"] = ["username"]
    vendor.session(file, store=store, refresh="r-1").token()
    vendor.session(file, store=store, refresh="r-2").token()
    assert [body_of(request)["refresh"] for request in vendor.sent] == ["r-1", "r-2"]


def test_a_given_refresh_token_is_spent_once_for_all_settings(vendor: ScriptedVendor, store: MemoryStore) -> None:
    """What was granted with other settings is not presented: it is renewed with what has replaced that token."""
    refresh = {
        "request": {"url": "refresh", "json": {"refresh": "{refresh}", "scope": "{scope}"}},
        "answers": {
            "granted": {"json": {"access": "{access}", "refresh": "{refresh?}", "in": "{expires_in:int?}"}},
            "denied": {"status": 401},
        },
    }
    file = {
        "name": "brought",
        "base_url": "https://vendor.example/api/",
        "start": "stale",
        "settings": {"scope": {}},
        "credentials": {"refresh": {"secret": True}},
        "exchanges": {"refresh": refresh},
        "states": {
            "stale": {"send": "refresh", "granted": "in", "denied": "refused"},
            "in": {"present": {"headers": {"K": "{access}"}}, "rejected": "stale", "expired": "stale"},
            "refused": {"fail": "no"},
        },
    }

    def session(scope: str) -> AuthSession:
        own: dict[str, Any] = {"client": vendor, "clock": vendor.clock, "store": store}
        return AuthSession(file, refresh="r-0", scope=scope, **own)

    tokens = [session(scope).token().access for scope in ("read", "write", "write")]
    assert tokens == ["access-1", "access-2", "access-2"]
    assert [body_of(request) for request in vendor.sent] == [
        {"refresh": "r-0", "scope": "read"},
        {"refresh": "refresh-1", "scope": "write"},
    ]


def test_a_key_or_a_subjects_token_is_asked_for_at_each_renewal(vendor: ScriptedVendor, store: MemoryStore) -> None:
    answers = iter(["alice-1", "alice-2"])
    file = {
        "extends": "token-exchange",
        "name": "exchange",
        "base_url": "https://vendor.example/api/",
        "settings": {"token_url": {"default": "https://vendor.example/token"}},
    }
    given: dict[str, Any] = {"client_id": "c", "client_secret": "s", "subject_token": lambda: next(answers)}
    session = AuthSession(file, client=vendor, clock=vendor.clock, store=store, **given)
    for _ in range(2):
        vendor.says("token", 200, {"access_token": "a", "expires_in": int(LIFETIME)})
        session.token()
        vendor.clock.now += LIFETIME + 1
    assert [b"alice-1" in (request.body or b"") for request in vendor.sent] == [True, False]
    assert len([key for key in store._records if "-refusals-" not in key]) == 2


def test_a_users_name_is_asked_for_once(vendor: ScriptedVendor, store: MemoryStore) -> None:
    asked: list[str] = []
    session = vendor.session(store=store, username=lambda: asked.append("name") or "demo")
    for _ in range(3):
        session.login()
    assert asked == ["name"]


# --- where a record leads ---------------------------------------------------------------------------------------------


def leading(**more: Any) -> dict[str, Any]:
    """The ladder, whose login may say where the token goes."""
    told = {"refresh": "{refresh?}", "in": "{expires_in:int?}", "site": "{base_url?}"}
    answers = {"granted": {"json": {"access": "{access}", **told}}}
    exchanges = {name: {**LADDER["exchanges"][name], "answers": answers} for name in LADDER["exchanges"]}
    return {**LADDER, "exchanges": exchanges, **more}


HOME, EVIL = "https://data.example/", "https://evil.example/"


def said_where(vendor: ScriptedVendor, name: str, access: str) -> None:
    document = {"access": access, "refresh": f"{access}-refresh", "in": int(LIFETIME), "site": HOME}
    vendor.says(name, 200, document)


def shown_at(session: AuthSession, url: str) -> str | None:
    try:
        return session.headers(url)["Authorization"]
    except authflow.UntrustedOrigin:
        return None


def test_where_a_record_leads_is_bound_to_the_secret_that_got_it(vendor: ScriptedVendor, store: MemoryStore) -> None:
    said_where(vendor, "login", "first")
    vendor.session(leading(), store=store).token()
    key, record = kept(store)
    assert vendor.session(leading(), store=store).token().access == "first"
    plant(store, key, record.replace(captured={**record.captured, "base_url": EVIL}, expires_at=vendor.clock.now))
    session = vendor.session(leading(), store=store)
    assert session.token().access == "access-1"
    assert shown_at(session, EVIL) is None
    assert vendor.names == ["login", "login"]


def test_what_refusals_tell_of_a_secret_forges_no_record(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = vendor.session(leading(), store=store)
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused):
        session.token()
    vendor.clock.now += 100
    session.token()
    claims = session._manager.grants.renewal(*_parts(session)).stored.claims
    (refusals,) = (stored.data for name, stored in store._records.items() if "-refusals-" in name)
    told = claims.refusals(refusals).accepted["password"]
    key, record = kept(store)
    captured = {**record.captured, "base_url": EVIL}
    for owner in (told, bound(told, {"base_url": EVIL}), bound(told, {})):
        plant(store, key, record.replace(captured=captured, owner={"password": owner}))
        session = vendor.session(leading(), store=store)
        session.token()
        assert shown_at(session, EVIL) is None


def _parts(session: AuthSession) -> tuple[Any, ...]:
    return session._manager.grants.watch(), *session._manager.grants.identity_now()


def test_who_was_not_asked_renews_for_those_who_give_the_secret(vendor: ScriptedVendor, store: MemoryStore) -> None:
    said_where(vendor, "login", "first")
    vendor.session(leading(), store=store).token()
    unasked = vendor.session(leading(), store=store, password=lambda: pytest.fail("nobody is asked"))
    vendor.clock.now += LIFETIME
    assert unasked.token().access == "access-1"
    session = vendor.session(leading(), store=store)
    assert (session.token().access, shown_at(session, HOME)) == ("access-1", "Bearer access-1")


def test_who_renews_a_thiefs_record_does_not_make_it_theirs(vendor: ScriptedVendor, store: MemoryStore) -> None:
    file = leading()
    refresh = {"url": "refresh", "json": {"refresh": "{refresh}", "proof": "{password}"}}
    file["exchanges"]["refresh"] = {**file["exchanges"]["refresh"], "request": refresh}
    vendor.session(file, store=store).token()
    key, record = kept(store)
    plant(store, key, record.replace(captured={**record.captured, "base_url": EVIL}))
    vendor.clock.now += LIFETIME
    assert vendor.session(file, store=store, password=lambda: "pass-word").token().access == "access-2"
    assert vendor.names == ["login", "refresh"]
    session = vendor.session(file, store=store)
    session.token()
    assert shown_at(session, EVIL) is None


def test_a_new_login_forgets_where_the_one_before_led(vendor: ScriptedVendor, store: MemoryStore) -> None:
    said_where(vendor, "login", "first")
    session = vendor.session(leading(), store=store)
    session.token()
    assert shown_at(session, HOME) == "Bearer first"
    vendor.clock.now += LIFETIME
    vendor.says("refresh", 401, {})
    assert (session.token().access, shown_at(session, HOME)) == ("access-1", None)


def test_where_good_answers_lead_holds_for_other_processes(vendor: ScriptedVendor, store: MemoryStore) -> None:
    file = leading(keep=[{"status": 200, "json": {"moved": "{base_url}"}}])
    session = vendor.session(file, store=store)
    url = "https://vendor.example/api/x"
    grant = session._manager.authorize(url).wait()
    session._manager.on_response(grant, url, Answer(200, (), json.dumps({"moved": HOME}).encode()))
    session.close()
    finished()
    another = vendor.session(file, store=store)
    assert another.token().access == "access-1"
    assert shown_at(another, HOME) == "Bearer access-1"


# --- grants that `vary` tells apart ----------------------------------------------------------------------------------


def test_another_process_logs_all_grants_out(vendor: ScriptedVendor, store: MemoryStore) -> None:
    one = vendor.session(REGISTRY, store=store)
    for name in ("alpha", "beta"):
        pull(one, name)
    vendor.session(REGISTRY, store=store).logout()
    assert store._records == {}


def test_grants_do_not_grow_without_bound(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = vendor.session(REGISTRY, store=store)
    for number in range(MOST_SLOTS + 20):
        pull(session, f"r{number}")
    records = {key: Record.from_bytes(stored.data) for key, stored in store._records.items()}
    assert len(records) == MOST_SLOTS + 1
    (listed,) = (record.slots for record in records.values() if record.slots)
    assert {key[-16:] for key in records if len(key) > len("registry-") + 32} == set(listed)


def test_an_event_counts_with_vary_as_without(vendor: ScriptedVendor) -> None:
    """A step up: the event says which scope is wanted, and leads to an exchange of its own."""
    up = {
        "request": {"url": "up", "json": {"scope": "{need}"}},
        "answers": {"granted": {"json": {"access": "{access}"}}, "denied": {"status": 401}},
    }
    states = {"signed_in": {"short": "up"}, "up": {"send": "up", "granted": "signed_in", "denied": "refused"}}
    file = {
        **LADDER,
        "vary": ["need"],
        "exchanges": {**LADDER["exchanges"], "up": up},
        "states": {**LADDER["states"], **states},
        "answers": {"short": {"status": 403, "headers": {"X-Need": "{need}"}}},
    }
    from authflow.templates import Outcome

    session = vendor.session(file)
    session.token()
    grants = session._manager.grants
    flight: Any = grants.renewed(("write",), grants.current, Outcome("short", {"need": "write"}), replayable=True)
    assert flight.wait().record.captured["access"] == "access-2"
    assert vendor.names == ["login", "up"]
    # The refresh token stays with the grant that has it.
    assert "refresh" not in flight.wait().record.captured or flight.wait().record.captured["refresh"] == "refresh-2"


# --- what is kept, and shown -----------------------------------------------------------------------------------------


def test_what_served_one_login_is_not_kept(vendor: ScriptedVendor, store: MemoryStore) -> None:
    begin = {
        "request": {"url": "begin", "json": {"u": "{username}"}},
        "answers": {"begun": {"json": {"code": "{code}", "device": "{device_code}"}}, "denied": {"status": 401}},
    }
    login = {
        "request": {"url": "login", "json": {"code": "{code}", "password": "{password}"}},
        "answers": {"granted": {"json": {"access": "{access}"}}, "denied": {"status": 401}},
    }
    file = {
        "extends": "relogin",
        "name": "codes",
        "base_url": "https://vendor.example/api/",
        "exchanges": {"begin": begin, "login": login},
        "states": {
            "signed_out": {"send": "begin", "begun": "coded", "denied": "refused"},
            "coded": {"send": "login", "granted": "signed_in", "denied": "refused"},
            "signed_in": {"present": {"headers": {"X-Device": "{device_code}", "K": "{access}"}}},
        },
    }
    vendor.says("begin", 200, {"code": "c-1", "device": "d-1"})
    vendor.session(file, store=store).token()
    assert sorted(kept(store)[1].captured) == ["access", "device_code"]  # what is presented is needed


def test_an_account_cannot_be_guessed_from_what_logs_show(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = vendor.session(store=store)
    session.token()
    shown = session.status().account
    assert shown
    assert shown not in session._manager.grants.key
    assert vendor.session(username="another").status().account != shown
    assert vendor.session().status().account == shown
    assert label(b"1", "k") != label(b"2", "k")


def test_the_key_of_labels_lies_beside_the_store_and_is_its_own(vendor: ScriptedVendor, tmp_path: Any) -> None:
    here, there = ([vendor.session(store=str(tmp_path / name)) for _ in range(2)] for name in ("here", "there"))
    shown = [[session.status().account for session in sessions] for sessions in (here, there)]
    assert shown[0][0] == shown[0][1] != shown[1][0] == shown[1][1]


def test_a_secret_is_hashed_slowly_once_and_only_when_a_store_is_asked(
    vendor: ScriptedVendor, store: MemoryStore, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    made: list[bytes] = []
    scrypt = hashlib.scrypt
    monkeypatch.setattr(hashlib, "scrypt", lambda text, **more: made.append(text) or scrypt(text, **more))
    sessions = [vendor.session(store=str(tmp_path / "s"), password="once-only") for _ in range(3)]
    vendor.session(store=store, password="never").token()
    assert made == []
    for session in sessions:
        session.status()
        session.token()
        session.login()
    assert made == [b"once-only"]
    assert slow("a", b"salt") != slow("a", b"other") != quick("a", b"other")
