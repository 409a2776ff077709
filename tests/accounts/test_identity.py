"""Who a session is for: what must be given, what it is read as, and whose record is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from authflow import AuthSession
from authflow.accounts.fingerprints import slow
from authflow.accounts.identity import (
    Identity,
    answered,
    check_identity,
    complete,
    identified,
    identity_of,
    servers,
    slot_key,
    unasked,
)
from authflow.errors import ConfigurationError
from authflow.plugins import find_vendor
from authflow.stores import EncryptedStore, RedisStore, new_key
from authflow.vendors import Given
from authflow.vendors.loading import load
from tests.testing.shapes import shapes

VENDOR = load(
    {
        "name": "Acme",
        "title": "Acme",
        "base_url": "https://{host}:{port}/",
        "start": "in",
        "identity": ["user"],
        "settings": {
            "host": {"default": "a.example"},
            "port": {"type": "int", "default": 443},
            "note": {"optional": True},
            "token": {"secret": True, "optional": True},
        },
        "credentials": {"user": {}, "password": {"secret": True, "title": "your password"}},
        "states": {
            "in": {"present": {"basic": ["{user}", "{password}"], "headers": {"N": "{note?}", "T": "{token?}"}}}
        },
    }
)
KEYED = load(
    {
        "name": "keyed",
        "base_url": "https://a.example/",
        "start": "in",
        "credentials": {"key": {"secret": True}},
        "states": {"in": {"present": {"headers": {"K": "{key}"}}}},
    }
)
GIVEN = {"user": "alice", "password": "p"}


def test_defaults_are_filled_in() -> None:
    assert dict(complete(VENDOR, Given(GIVEN)).items()) == {"host": "a.example", "port": 443, **GIVEN}
    assert (
        complete(VENDOR, Given({**GIVEN, "host": None, "port": "8443", "note": 7, "token": True})).get("port") == 8443
    )
    assert complete(VENDOR, Given({**GIVEN, "note": 7, "token": True, "base_url": "https://x/"})).get("token") == "true"
    assert callable(complete(VENDOR, Given({**GIVEN, "password": lambda: "p"})).get("password"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"Acme needs the credentials or settings user, password \(your password\)"),
        ({"user": "alice"}, r"needs the credential or setting password \(your password\)"),
        ({**GIVEN, "pasword": "x"}, "takes no 'pasword': did you mean 'password'"),
        ({**GIVEN, "zzz": "x"}, "takes no 'zzz': it takes base_url, host"),
        ({**GIVEN, "port": "many"}, "port must be a whole number"),
        ({**GIVEN, "host": ["a"]}, "host must be text, and is of type list"),
        ({**GIVEN, "host": lambda: "a"}, "plain value, not a callable"),
        ({**GIVEN, "user": "\ud800"}, "user is not text that can be encoded"),
    ],
)
def test_what_was_given_wrongly(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        complete(VENDOR, Given(given))


def whose(vendor: Any = VENDOR, said: str | None = None, **change: Any) -> Identity:
    given = complete(vendor, Given(change if vendor is not VENDOR else {**GIVEN, **change}))
    return identity_of(vendor, answered(vendor, given, said), said, slow)


def key(vendor: Any = VENDOR, **change: Any) -> str:
    return whose(vendor, **change).key


def test_a_grant_lies_under_the_finest_key() -> None:
    keys = [
        key(),
        key(user="bob"),
        key(host="b.example"),
        key(port=8443),
        key(note="n"),
        key(token="t"),
        key(base_url="https://x/"),
        key(base_url="https://x/path"),
        key(KEYED, key="1"),
        key(KEYED, key="2"),
        whose(said="alice").key,
        whose(said="bob").key,
    ]
    keys += [slot_key(key(), slot) for slot in ((), ("s",), ("s", ""), ("", "s"))]
    assert len(set(keys)) == len(keys)
    assert key() == key(password="another") == key(password=lambda: "p")
    assert whose(said="alice").key == whose(said="alice", password="another").key
    assert key().startswith("acme-")
    assert not any("alice" in each or "a.example" in each for each in keys)
    assert all(each.replace("-", "").isalnum() and each.islower() for each in keys)


def test_refusals_lie_under_the_coarsest_key() -> None:
    assert whose().refusals == whose(password="another").refusals == whose(token="t").refusals
    assert whose().refusals == whose(said="somebody").refusals
    told_apart = {whose().refusals, whose(user="bob").refusals, whose(host="b.example").refusals}
    told_apart |= {whose(KEYED, key="1").refusals, whose(KEYED, key="2").refusals}
    assert len(told_apart) == 5


def login_at(url: str, name: str = "acme", body: Any = {}, **more: Any) -> Any:  # noqa: B006
    exchange = {
        "request": {"url": url, "json": {"u": "{username}", "p": "{password}", **body}},
        "answers": {"granted": {"json": {"token": "{access}"}}},
    }
    return load(
        {"extends": "relogin", "name": name, "base_url": "https://a.example/", "exchanges": {"login": exchange}, **more}
    )


def test_files_of_one_name_with_other_servers_share_nothing() -> None:
    alice = {"username": "alice", "password": "p"}
    staging = [
        login_at("login"),
        login_at("v2/login"),
        login_at("login", base_url="https://staging.example/"),
        login_at("login", name="other"),
        login_at("login", origins={"send": ["https://b.example"]}),
    ]
    assert len({key(vendor, **alice) for vendor in staging}) == len(staging)
    # Where a token may be shown is judged at each request, and what a file only calls otherwise is the same.
    assert key(staging[0], **alice) == key(login_at("login", origins={"present": ["https://b.example"]}), **alice)
    assert key(staging[0], **alice) == key(login_at("https://a.example/login"), **alice)
    # A refusal hangs on the servers, and not on their paths.
    assert whose(staging[0], **alice).refusals == whose(staging[1], **alice).refusals
    assert whose(staging[0], **alice).refusals != whose(staging[2], **alice).refusals
    assert whose(staging[0], **alice).refusals != whose(login_at("login", name="Acme"), **alice).refusals


def test_what_hangs_on_more_than_settings_enters_as_it_is_written() -> None:
    moved = {"request": {"url": "{base_url}/{username}/{secret}"}, "answers": {"granted": {"json": {"t": "{access}"}}}}
    vendor = load(
        {
            "extends": "relogin",
            "name": "moves",
            "insecure_url": True,
            "base_url": "https://{host}/",
            "settings": {"host": {}, "secret": {"secret": True}},
            "exchanges": {"login": moved},
        }
    )
    given = complete(vendor, Given({"host": "a.example", "secret": "s3cret", "username": "u"}))
    assert servers(vendor, given) == ("https://a.example/", "{base_url}/{username}/{secret}")


FILES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "token-exchange": (
        {"settings": {"token_url": {"default": "https://a.example/t"}}},
        {"client_id": "c", "client_secret": "s", "subject_token": "alice"},
    ),
    "api-key": ({}, {"api_key": "k"}),
    "basic": ({}, {"username": "u", "password": "p"}),
    "challenge": ({}, {"token_server": "https://a.example/", "username": "u", "password": "p"}),
    "client-credentials": ({}, {"token_url": "https://a.example/t", "client_id": "c", "client_secret": "s"}),
    "jwt-bearer": (
        {},
        {"token_url": "https://a.example/t", "issuer": "i", "subject": "s", "audience": "a", "private_key": "k"},
    ),
    "oauth2-password": (
        {},
        {
            "token_url": "https://a.example/t",
            "client_id": "c",
            "client_secret": "s",
            "username": "u",
            "password": "p",
        },
    ),
}
#: What does not say who it is: two that differ in it only find one record, which remembers which of them got it.
SECRETS = {"client_secret", "password", "private_key"}


@pytest.mark.parametrize("preset", FILES)
def test_each_input_of_a_preset_but_a_password_tells_users_apart(preset: str) -> None:
    more, given = FILES[preset]
    vendor = load({"extends": preset, "name": "acme", "base_url": "https://a.example/", **more})
    for name in given:
        other = {**given, name: "https://b.example/t" if name in ("token_url", "token_server") else "another"}
        assert (key(vendor, **other) == key(vendor, **given)) is (name in SECRETS), name
        if name in SECRETS:
            assert whose(vendor, **other).refusals == whose(vendor, **given).refusals


def test_a_credential_that_a_file_adds_to_its_preset_tells_users_apart_too() -> None:
    alice = {"username": "u", "password": "p"}
    added = {"credentials": {"tenant": {}, "code": {"secret": True, "once": True}}}
    vendor = login_at("login/{code}", body={"t": "{tenant}"}, insecure_url=True, **added)
    assert key(vendor, **alice, tenant="1", code="1") != key(vendor, **alice, tenant="2", code="1")
    assert key(vendor, **alice, tenant="1", code="1") == key(vendor, **alice, tenant="1", code="2")
    assert unasked(vendor, complete(vendor, Given({**alice, "tenant": lambda: "1", "code": "1"}))) == []
    said = login_at("login/{pin}", identity=["username"], credentials={"pin": {"secret": True}}, insecure_url=True)
    assert key(said, **alice, pin="1") == key(said, **alice, pin="2")


@pytest.mark.parametrize("identity", [["client_id", "subject_token", "audience"], ["subject_token", "audience"]])
def test_a_setting_that_a_file_names_takes_no_secrets_place(identity: list[str]) -> None:
    file = {"extends": "token-exchange", "name": "acme", "base_url": "https://acme.example/", "identity": identity}
    file["settings"] = {"token_url": {"default": "https://acme.example/token"}}
    known = {"client_id": "app", "client_secret": "s", "audience": "api"}
    assert key(load(file), **known, subject_token="alice") != key(load(file), **known, subject_token="bob")
    assert "subject_token" in unasked(load(file), Given({**known, "subject_token": lambda: "alice"}))


def test_whose_assertion_it_is_tells_given_refresh_tokens_apart() -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "{refresh}", "assertion": "{assertion}"}
    login = {"request": {"url": "{token_url}", "method": "POST", "form": form}}
    file = {"extends": "jwt-bearer", "name": "acme", "base_url": "https://acme.example/", "exchanges": {"login": login}}
    file["settings"] = {"token_url": {"default": "https://acme.example/token"}}
    file["credentials"] = {"refresh": {"secret": True}}
    known = {"issuer": "me", "audience": "x", "private_key": lambda: "k", "refresh": lambda: "r"}
    assert key(load(file), **known, subject="alice") != key(load(file), **known, subject="bob")


def test_what_a_server_is_called_by_tells_its_grants_apart_whoever_logs_in() -> None:
    alice = {"username": "u", "password": lambda: "p"}
    own: dict[str, Any] = {"identity": ["username"], "credentials": {"tenant": {}}}
    for vendor in (
        login_at("login", base_url="https://{tenant}.example/", **own),
        login_at("login", base_url="https://{host}.example/", derive={"host": {"lower": "{tenant}"}}, **own),
        login_at("https://{tenant}.example/login", origins={"send": ["https://{tenant}.example"]}, **own),
        login_at("at/{tenant}/login", **own),
        login_at("login", base_url="https://a.example/{part}/", derive={"part": {"lower": "{tenant}"}}, **own),
    ):
        one, other = {"tenant": "a"}, {"tenant": lambda: "b"}
        assert key(vendor, **alice, **one) != key(vendor, **alice, **other)
        assert key(vendor, **alice, **other) == key(vendor, **alice, tenant="b")
        assert unasked(vendor, complete(vendor, Given({**alice, **other})), "alice") == ["tenant"]
        assert whose(vendor, "alice", **alice, **one).key != whose(vendor, "alice", **alice, **other).key
    vendor = login_at("{tenant}/login", **own)
    assert key(vendor, **alice, tenant="1") != key(vendor, **alice, tenant="2")
    vendor = login_at("login", body={"t": "{tenant}"}, **own)
    assert key(vendor, **alice, tenant="1") == key(vendor, **alice, tenant="2")
    assert unasked(vendor, complete(vendor, Given({**alice, "tenant": lambda: "1"}))) == []


def test_a_preset_whose_credentials_were_replaced_is_told_apart_by_what_was_given() -> None:
    vendor = login_at("login", credentials={"pin": {"secret": True}})
    raw = dict(vendor.raw)
    raw["exchanges"] = {"login": {**raw["exchanges"]["login"], "request": {"url": "login", "json": {"p": "{pin}"}}}}
    raw["credentials"] = {"username": {"optional": True}, "pin": {"secret": True}}
    vendor = load(raw)
    assert key(vendor, pin=lambda: "1") != key(vendor, pin=lambda: "2")


BROUGHT = {
    "name": "brought",
    "base_url": "https://a.example/",
    "start": "stale",
    "settings": {"scope": {"optional": True}, "client_id": {"default": "c"}, "token_url": {"default": "token"}},
    "credentials": {"refresh": {"secret": True}},
    "exchanges": {
        "refresh": {
            "request": {"url": "{token_url}", "form": {"r": "{refresh}", "s": "{scope?}", "c": "{client_id}"}},
            "answers": {"granted": {"json": {"a": "{access}", "r": "{refresh?}"}}, "denied": {"status": 401}},
        }
    },
    "states": {
        "stale": {"send": "refresh", "granted": "in", "denied": "refused"},
        "in": {"present": {"headers": {"K": "{access}"}}, "rejected": "stale", "expired": "stale"},
        "refused": {"fail": "no"},
    },
    "answers": {"rejected": {"status": 401}},
}


def test_one_refresh_token_that_was_given_seeds_one_record() -> None:
    vendor = load(BROUGHT)
    assert key(vendor, refresh="r", scope="read") == key(vendor, refresh="r", scope="write")
    assert whose(vendor, refresh="r", scope="read").settings != whose(vendor, refresh="r", scope="write").settings
    others = [
        {"refresh": "r", "token_url": "v2/token"},
        {"refresh": "r2"},
        {"refresh": "r", "client_id": "d"},
        {"refresh": "r", "token_url": "https://b.example/"},
    ]
    assert key(vendor, refresh="r") not in [key(vendor, **other) for other in others]


def test_a_store_of_several_users_wants_to_know_whose_login_it_is() -> None:
    nobodys = load({"name": "open", "base_url": "https://a.example/", "start": "in", "states": {"in": {"present": {}}}})
    with pytest.raises(ConfigurationError, match="identity="):
        check_identity(nobodys, None, shared=True)
    check_identity(nobodys, "alice", shared=True)
    check_identity(nobodys, None, shared=False)
    check_identity(VENDOR, None, shared=True)
    for wrong in ("", 7, "\ud800"):
        with pytest.raises(ConfigurationError, match="identity= must be text"):
            check_identity(VENDOR, wrong, shared=False)
    assert whose(nobodys).key != whose(nobodys, said="alice").key


def test_a_user_name_that_must_be_asked_for_tells_accounts_apart_too() -> None:
    assert key(user=lambda: "alice") == key()
    assert key(user=lambda: "bob") == key(user="bob")
    assert key(KEYED, key=lambda: "1") == key(KEYED, key="1")


def test_who_it_is_is_asked_once_and_secrets_are_not() -> None:
    asked: list[str] = []

    def ask(name: str) -> Callable[[], str]:
        def answer() -> str:
            asked.append(name)
            return name

        return answer

    given = complete(VENDOR, Given({"user": ask("alice"), "password": ask("s3cret")}))
    assert unasked(VENDOR, given) == ["user"]
    known = identified(VENDOR, given)
    assert (known.get("user"), asked) == ("alice", ["alice"])
    assert unasked(VENDOR, known) == []
    assert unasked(KEYED, complete(KEYED, Given({"key": ask("k")}))) == ["key"]
    assert "alice" not in repr(known)


def test_a_secret_setting_enters_hashed_and_a_code_that_serves_once_not_at_all() -> None:
    own = {"settings": {"app_key": {"secret": True}}, "credentials": {"code": {"once": True}}}
    vendor = login_at("login/{code}", insecure_url=True, **own)
    given = {"username": "u", "password": "p", "code": "1", "app_key": "k"}
    one = identity_of(vendor, Given(given), None, lambda *_: "hashed")
    other = identity_of(vendor, Given({**given, "app_key": "another"}), None, lambda *_: "hashed")
    assert (one.key, one.settings) == (other.key, other.settings)
    assert key(vendor, **given) != key(vendor, **{**given, "app_key": "another"})
    later = {**given, "code": "2"}
    assert (key(vendor, **given), whose(vendor, **given).refusals) == (
        key(vendor, **later),
        whose(vendor, **later).refusals,
    )


@pytest.mark.parametrize(
    ("preset", "identity"),
    [
        *((name, ("username",)) for name in ("password", "relogin", "session-cookie", "basic", "challenge")),
        ("oauth2-password", ("username",)),
        ("client-credentials", ("client_id",)),
        ("token-exchange", ("client_id", "subject_token")),
        ("refresh-token", ("client_id", "refresh")),
        ("jwt-bearer", ("issuer", "subject", "private_key")),
        ("api-key", ("api_key",)),
        ("bearer", ("token",)),
        ("oauth2-code", ()),
        ("oauth2-device", ()),
    ],
)
def test_each_preset_says_whose_login_it_is(preset: str, identity: tuple[str, ...]) -> None:
    assert find_vendor(shapes()[f"preset-{preset}"]).identity == identity


@pytest.mark.parametrize("wrap", [lambda store: store, lambda store: EncryptedStore(store, new_key())])
def test_a_fleets_store_wants_to_know_whose_login_it_is(wrap: Any) -> None:
    store = wrap(RedisStore("redis://127.0.0.1:1/0"))
    with pytest.raises(ConfigurationError, match="identity="):
        AuthSession(shapes()["device"], issuer="https://a.example", client_id="c", store=store)
    assert AuthSession(shapes()["device"], issuer="https://a.example", client_id="c", store=store, identity="a")


def test_a_default_is_a_setting_like_any_other() -> None:
    alice = {"username": "alice", "password": "p"}
    here, there = (login_at("login", settings={"zone": {"default": zone}}) for zone in ("eu", "us"))
    assert key(here, **alice) != key(there, **alice)
    assert key(here, **alice) == key(there, **alice, zone="eu")


def test_a_secret_that_says_who_it_is_enters_hashed_slowly_and_salted() -> None:
    told: list[tuple[Any, bytes]] = []

    def blind(secret: Any, salt: bytes) -> str:
        told.append((secret, salt))
        return "hashed"

    found = {identity_of(KEYED, Given({"key": one}), None, blind).key for one in ("1", "2")}
    assert len(found) == 1
    assert {secret for secret, _ in told} == {"1", "2"}
    alice = {"username": "u", "password": "p"}
    salts = {whose(login_at("login"), **{**alice, "username": name}).salt for name in ("alice", "bob")}
    assert len(salts) == 2
    salts = {whose(login_at("login", base_url=f"https://{host}.example/"), **alice).salt for host in ("a", "b")}
    assert (
        len(salts | {whose(login_at("login", name="other"), **alice).salt, whose(login_at("login"), **alice).salt}) == 3
    )


def test_without_identity_all_credentials_say_it_but_those_that_serve_once_and_those_of_a_client() -> None:
    raw = {**KEYED.raw, "credentials": {"key": {"secret": True}, "code": {"secret": True, "once": True}}}
    once = load({**raw, "states": {"in": {"present": {"headers": {"K": "{key} {code}"}}}}})
    assert once.identity == ("key",)
    assert key(once, key="1", code="1") == key(once, key="1", code="2")
    for name in ("browser", "device", "preset-oauth2-code", "preset-oauth2-device"):
        raw = {**find_vendor(shapes()[name]).raw, "credentials": {"client_secret": {"secret": True}}}
        assert "identity" not in raw or name.startswith("preset")
        assert find_vendor(raw).identity == (), name
