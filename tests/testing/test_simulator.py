"""The simulator: every shape of vendor is served from its file alone, and says no when it should."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import requests

from authflow import AuthSession, ConfigurationError, CredentialsRefused, VendorAnswerError, VendorUnavailable, plugins
from authflow.http import Answer, Request
from authflow.templates.answers import Outcome, judge
from authflow.testing import Call, Clock, SimulatedSender, Simulator, serving
from authflow.testing.serve import unreached
from authflow.testing.suite import CLIENTS, body_of, is_served, is_served_again, signed_up
from tests.odd_vendors import STORIES

from .shapes import shapes

VENDORS: dict[str, Any] = {**shapes(), **{name: name for name in sorted(plugins.vendors())}}


@pytest.mark.parametrize("name", VENDORS)
def test_every_answer_of_every_shape_can_be_made_and_is_recognised(name: str) -> None:
    simulator = Simulator(VENDORS[name], clock=Clock())
    assert simulator.cannot == ()


@pytest.mark.parametrize("library", CLIENTS)
@pytest.mark.parametrize("name", VENDORS)
def test_every_shape_is_served_through_every_client(name: str, library: str) -> None:
    simulator, session = signed_up(VENDORS[name])
    assert [CLIENTS[library](simulator, session) for _ in range(3)] == [200] * 3
    assert all(simulator.counts[exchange] <= 1 for exchange in simulator.vendor.flow.exchanges)
    simulator.clock.advance(simulator.lifetime + 1)  # type: ignore[attr-defined]
    assert CLIENTS[library](simulator, session) == 200


@pytest.mark.parametrize("name", VENDORS)
def test_every_shape_is_served_again_when_its_tokens_are_gone(name: str) -> None:
    is_served_again(VENDORS[name])


PROVING = [
    name
    for name in VENDORS
    if (found := plugins.find_vendor(VENDORS[name])).flow.exchanges
    if any(entry.secret and not entry.optional for entry in found.credentials.values())
]


@pytest.mark.parametrize("name", PROVING)
def test_wrong_credentials_are_refused_and_then_locked(name: str) -> None:
    simulator, _ = signed_up(VENDORS[name])
    secret = next(key for key, entry in simulator.vendor.credentials.items() if entry.secret)
    wrong = {**simulator.inputs, secret: "-----" if "PRIVATE KEY" not in simulator.inputs[secret] else other_key()}
    session = AuthSession(simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **wrong)
    with pytest.raises(CredentialsRefused):
        CLIENTS["httpx"](simulator, session)
    assert simulator.account.wrong == 1
    assert not any(seen.what == "data" and seen.result == "served" for seen in simulator.log)


def other_key() -> str:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


# --- the supplier, by hand --------------------------------------------------------------------------------------------


def post(simulator: Simulator, path: str, body: Any, bearer: str | None = None) -> Answer:
    headers = () if bearer is None else (("Authorization", f"Bearer {bearer}"),)
    return simulator.handle(Request("POST", simulator.base_url + path, headers, json.dumps(body).encode()))


def get(simulator: Simulator, bearer: str | None) -> int:
    headers = () if bearer is None else (("Authorization", f"Bearer {bearer}"),)
    return simulator.handle(Request("GET", simulator.base_url + "../tracking/42", headers)).status


def log_in(simulator: Simulator) -> dict[str, str]:
    account = {name: simulator.inputs[name] for name in ("username", "password")}
    document: dict[str, str] = post(simulator, "login", account).json
    return document


@pytest.fixture
def simulator() -> Simulator:
    return Simulator("supplier", clock=Clock(), lifetime=100)


def test_a_spent_refresh_token_ends_its_family(simulator: Simulator) -> None:
    first = log_in(simulator)
    body = {"refreshToken": first["refreshToken"]}
    second = post(simulator, "refresh", body, first["token"])
    assert second.status == 200
    assert second.json["refreshToken"] != first["refreshToken"]
    assert post(simulator, "refresh", body, first["token"]).status == 401
    assert simulator.counts["refresh_reused"] == 1
    assert get(simulator, second.json["token"]) == 401


def test_a_refresh_token_goes_with_its_own_bearer_only(simulator: Simulator) -> None:
    mine, other = log_in(simulator), log_in(simulator)
    assert post(simulator, "refresh", {"refreshToken": mine["refreshToken"]}, other["token"]).status == 401
    assert post(simulator, "refresh", {"refreshToken": mine["refreshToken"]}, mine["token"]).status == 200


def test_tokens_end_with_the_clock_and_are_real(simulator: Simulator) -> None:
    import jwt

    token = log_in(simulator)["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] == simulator.now() + 100
    assert get(simulator, token) == 200
    simulator.clock.advance(100)  # type: ignore[attr-defined]
    assert get(simulator, token) == 401
    assert simulator.log[-1].result == "rejected: expired"


@pytest.mark.parametrize(
    ("fault", "data", "refresh"),
    [("expire", 401, 200), ("revoke-access", 401, 200), ("revoke-refresh", 200, 401), ("revoke-family", 401, 401),
     ("restart", 401, 401)],
)  # fmt: skip
def test_what_is_revoked_is_refused(simulator: Simulator, fault: str, data: int, refresh: int) -> None:
    tokens = log_in(simulator)
    simulator.faults.add(fault)
    assert get(simulator, tokens["token"]) == data
    renewed = post(simulator, "refresh", {"refreshToken": tokens["refreshToken"]}, tokens["token"])
    assert renewed.status == refresh


def test_five_wrong_passwords_lock_the_account(simulator: Simulator) -> None:
    wrong = {"username": simulator.inputs["username"], "password": "guess"}
    assert [post(simulator, "login", wrong).status for _ in range(6)] == [401] * 5 + [403]
    right = {"username": simulator.inputs["username"], "password": simulator.inputs["password"]}
    assert post(simulator, "login", right).status == 403
    simulator.faults.add("unlock")
    assert post(simulator, "login", right).status == 200


def test_a_log_line_holds_no_secret(simulator: Simulator) -> None:
    tokens = log_in(simulator)
    get(simulator, tokens["token"])
    shown = repr(list(simulator.log)) + repr(simulator) + repr(simulator.ledger.accounts)
    for secret in (*tokens.values(), simulator.inputs["password"]):
        assert secret not in shown


# --- the challenge ----------------------------------------------------------------------------------------------------


def test_a_token_is_good_for_the_part_it_was_asked_for() -> None:
    simulator, session = signed_up(VENDORS["preset-challenge"])
    import httpx

    from authflow.testing import httpx_transport

    with httpx.Client(transport=httpx_transport(simulator), auth=session.httpx) as client:
        assert client.get(simulator.base_url + "one/a").status_code == 200
        token = client.get(simulator.base_url + "one/b").request.headers["Authorization"]
        assert client.get(simulator.base_url + "two/a").status_code == 200
    assert simulator.counts["login"] == 2
    headers = (("Authorization", token),)
    assert simulator.handle(Request("GET", simulator.base_url + "one/c", headers)).status == 200
    elsewhere = simulator.handle(Request("GET", simulator.base_url + "two/c", headers))
    assert elsewhere.status == 401
    assert elsewhere.challenges[0]["scope"] == "scope-two"


# --- by hand ----------------------------------------------------------------------------------------------------------

OPAQUE = {
    "name": "opaque",
    "extends": "relogin",
    "base_url": "https://api.vendor.example/",
    "derive": {"sealed": {"sha256": "{password}"}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"user": "{username}", "sealed": "{sealed}"}},
            "answers": {
                "granted": {"status": 200, "json": {"token": "{access}"}},
                "locked": {"status": 200, "json": {"token": "{any}"}},
            },
        }
    },
    "states": {"signed_out": {"send": "login", "granted": "signed_in", "denied": "refused", "locked": "refused"}},
}


def test_what_cannot_be_simulated_says_so_and_takes_a_hand_written_part() -> None:
    simulator = Simulator(OPAQUE, clock=Clock())
    assert [reason.partition(": ")[0] for reason in simulator.cannot] == ["exchanges.login.answers.locked"]

    seen: list[str] = []

    def part(call: Call) -> str | Answer | None:
        seen.append(call.exchange.name)
        return Answer(200, (), b'{"token": "by hand"}') if len(seen) == 1 else "denied"

    by_hand = Simulator(OPAQUE, clock=Clock(), parts={"login": part})
    assert by_hand.cannot == ()
    session = AuthSession(by_hand.vendor, client=SimulatedSender(by_hand), clock=by_hand.clock, **by_hand.inputs)
    assert session.token().access == "by hand"
    with pytest.raises(CredentialsRefused):
        session.login()
    assert seen == ["login", "login"]


# --- the scripted -----------------------------------------------------------------------------------------------------


def test_an_ordered_outcome_is_given_once(simulator: Simulator) -> None:
    from collections import deque

    simulator.script["login"] = deque(["denied"])
    flow = simulator.vendor.flow
    account = {name: simulator.inputs[name] for name in ("username", "password")}
    outcomes = [judge(flow.exchanges["login"].answers, post(simulator, "login", account))[0] for _ in range(2)]
    assert [outcome.name for outcome in outcomes if isinstance(outcome, Outcome)] == ["denied", "granted"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [("503", VendorUnavailable), ("429=7", VendorUnavailable), ("timeout", VendorUnavailable),
     ("refused", VendorUnavailable), ("half", VendorUnavailable), ("garbage", VendorAnswerError),
     ("wrong-type", VendorAnswerError), ("empty", VendorAnswerError)],
)  # fmt: skip
def test_a_fault_becomes_the_error_that_it_should(fault: str, error: type[Exception]) -> None:
    simulator, session = signed_up("supplier")
    simulator.faults.add(fault, at="login")
    with pytest.raises(error) as raised:
        session.token()
    if fault == "429=7":
        assert raised.value.retry_after == pytest.approx(7)  # type: ignore[attr-defined]
    simulator.clock.advance(60)  # type: ignore[attr-defined]
    assert session.token().access


# --- the vendors of `tests/odd_vendors.py` ----------------------------------------------------------------------------

ODD = {name: {"name": name.replace("_", "-"), **tomllib.loads(story.toml)} for name, story in STORIES.items()}


@pytest.mark.parametrize("library", CLIENTS)
@pytest.mark.parametrize("name", ODD)
def test_every_odd_vendor_is_served_through_every_client(name: str, library: str) -> None:
    simulator, session = signed_up(ODD[name])
    assert simulator.cannot == ()
    assert [CLIENTS[library](simulator, session) for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("name", [name for name in ODD if not list(unreached(Simulator(ODD[name])))])
def test_every_odd_vendor_is_served_over_http(name: str) -> None:
    simulator = Simulator(ODD[name])
    with serving(simulator) as base_url:
        session = AuthSession(ODD[name], **{**simulator.inputs, "base_url": base_url})
        more = body_of(simulator.vendor)
        method = "POST" if more else "GET"
        asks = [requests.request(method, base_url + "x", auth=session.requests, timeout=10, **more) for _ in range(2)]
        assert [answer.status_code for answer in asks] == [200, 200]


def test_a_password_refused_after_several_steps_rests_longer_each_time() -> None:
    simulator, session = signed_up(shapes()["csrf-cookie"])
    simulator.faults.add("refuse-password")
    waits = []
    for _ in range(3):
        with pytest.raises(CredentialsRefused) as refused:
            session.token()
        waits.append(refused.value.retry_after)
        simulator.clock.advance(waits[-1] + 1)  # type: ignore[attr-defined, operator]
    assert waits == pytest.approx([60, 600, 3600])


# --- what a simulator once got wrong ----------------------------------------------------------------------------------

LOGIN = {"url": "login", "json": {"u": "{username}", "p": "{password}"}}
TOKEN = {"json": {"t": "{access}"}}


def relogin(**more: Any) -> dict[str, Any]:
    exchanges = more.pop("exchanges", {"login": {"request": LOGIN, "answers": {"granted": TOKEN}}})
    base = {"name": "odd", "extends": "relogin", "base_url": "https://odd.example/"}
    return {**base, "exchanges": exchanges, **more}


def client(**more: Any) -> dict[str, Any]:
    return {"name": "odd", "extends": "client-credentials", "base_url": "https://odd.example/", **more}


STEPS = {
    "login": {"request": LOGIN, "answers": {"granted": {"status": 303, "headers": {"Location": "{next}"}}}},
    "one": {"request": {"url": "{next}"}, "answers": {"granted": {"status": 303, "headers": {"Location": "{next}"}}}},
    "two": {"request": {"url": "{next}"}, "answers": {"granted": TOKEN}},
}
TICKETS = {
    "login": {"request": LOGIN, "answers": {"granted": {"json": {"ticket": "{first}"}}}},
    "one": {
        "request": {"url": "s", "json": {"v": "{first}"}},
        "answers": {"granted": {"json": {"ticket": "{second}"}}},
    },
    "two": {"request": {"url": "s", "json": {"v": "{second}"}}, "answers": {"granted": TOKEN}},
}
IN_A_ROW = {
    "signed_out": {"send": "login", "granted": "a", "denied": "refused"},
    "a": {"send": "one", "granted": "b"},
    "b": {"send": "two", "granted": "signed_in"},
}
DEVICE = {
    "request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "d": "{device?}"}},
    "answers": {"granted": {"json": {"t": "{access}", "d": "{device}"}}},
}
PECULIAR: dict[str, dict[str, Any]] = {
    "a claim that is a list, and one that is a table": {
        "name": "odd",
        "extends": "api-key",
        "base_url": "https://odd.example/",
        "derive": {"a": {"jwt": {"key": "{api_key}", "claims": {"aud": ["a", "b"], "x": {"y": "{api_key}"}}}}},
        "states": {"signed_in": {"present": {"headers": {"Authorization": "Bearer {a}"}}}},
    },
    "placeholders that are parts of a host": client(
        base_url="https://api.{region}.{cloud}.odd.example/",
        settings={"region": {}, "cloud": {}, "token_url": {"default": "https://auth.{region}.{cloud}.odd.example/t"}},
    ),
    "a host of its own, with plain http": relogin(base_url="http://{host}/", settings={"host": {}}),
    "a host that the login brings": relogin(
        base_url="https://{host}/api",
        origins={"send": ["https://login.odd.example"]},
        exchanges={
            "login": {
                "request": {**LOGIN, "url": "https://login.odd.example/t"},
                "answers": {"granted": {"json": {"t": "{access}", "host": "{host}"}}},
            }
        },
    ),
    "a token URL relative to the base": client(settings={"token_url": {"default": "token"}}),
    "a lifetime that is not given": relogin(settings={"life": {"optional": True}}, expiry={"lifetime": "{life?}"}),
    "two exchanges at captured URLs": relogin(exchanges=STEPS, states=IN_A_ROW),
    "two exchanges of one shape": relogin(exchanges=TICKETS, states=IN_A_ROW),
    "a device that is remembered": relogin(exchanges={"login": DEVICE}),
    "a key in a rewritten path": {
        "name": "odd",
        "extends": "bearer",
        "base_url": "https://odd.example/",
        "insecure_url": True,
        "states": {"signed_in": {"present": {}}},
        "rewrites": [{"from": "./{rest:path}", "to": "./bot{token}/{rest:path}"}],
    },
}


@pytest.mark.parametrize("file", PECULIAR.values(), ids=PECULIAR)
def test_an_odd_vendor_is_simulated_as_it_is(file: dict[str, Any]) -> None:
    assert Simulator(file, clock=Clock()).cannot == ()
    is_served(file)
    is_served_again(file)


def test_a_key_in_a_rewritten_path_is_looked_for() -> None:
    simulator = Simulator(PECULIAR["a key in a rewritten path"], clock=Clock())
    wanted = {"demo-token": 200, "other": 401}
    for key, status in wanted.items():
        assert simulator.handle(Request("GET", f"https://odd.example/bot{key}/orders/7")).status == status
    assert simulator.handle(Request("GET", "https://odd.example/orders/7")).status == 401


def test_a_refresh_token_that_was_given_rotates_and_is_good_once() -> None:
    settings = {"token_url": {"default": "token"}}
    file = {"name": "odd", "extends": "refresh-token", "base_url": "https://odd.example/", "settings": settings}
    simulator, session = signed_up(file)
    session.token()
    assert session._manager.grants.current.record.captured["refresh"] != simulator.inputs["refresh"]
    anew = AuthSession(file, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs)
    with pytest.raises(CredentialsRefused):
        anew.token()
    assert simulator.counts["refresh_reused"] == 1


def test_a_path_has_data_of_its_own_and_knows_whose_request_it_is() -> None:
    def orders(call: Call) -> Answer | None:
        return Answer(200, (), b"seven") if call.account is not None else None

    simulator = Simulator(relogin(), clock=Clock(), parts={"/orders/7": orders})
    sender = SimulatedSender(simulator)
    session = AuthSession(simulator.vendor, client=sender, clock=simulator.clock, **simulator.inputs)
    url = "https://odd.example/orders/7"
    assert simulator.handle(Request("GET", url)).status == 401
    assert simulator.handle(Request("GET", url, tuple(session.headers(url).items()))).content == b"seven"


@pytest.mark.parametrize(
    ("part", "reason"), [("/login", "the exchange login is sent there"), ("spare", "no state sends this exchange")]
)
def test_a_part_that_nothing_reaches_is_an_error(part: str, reason: str) -> None:
    spare = {"spare": {"request": {"url": "x"}, "answers": {"granted": TOKEN}}}
    file = relogin(exchanges={"login": {"request": LOGIN, "answers": {"granted": TOKEN}}, **spare})
    with pytest.raises(ConfigurationError, match=reason):
        Simulator(file, parts={part: lambda call: None})


def test_an_endpoint_that_one_answer_names_is_the_same_for_all_who_use_it() -> None:
    found = {"status": 200, "json": {"token_url": "{token_url}"}}
    granted = {"json": {"t": "{access}", "r": "{refresh}", "expires_in": "{expires_in:int}"}}
    password = {"grant": "password", "u": "{username}", "p": "{password}"}
    refresh = {"grant": "refresh", "r": "{refresh}"}
    simulator, session = signed_up(
        {
            "name": "named",
            "extends": "password",
            "base_url": "https://named.example/",
            "start": "unknown",
            "origins": {"send": ["https://named.example"]},
            "exchanges": {
                "discover": {"request": {"url": "where"}, "answers": {"found": found}},
                "login": {"request": {"url": "{token_url}", "json": password}, "answers": {"granted": granted}},
                "refresh": {"request": {"url": "{token_url}", "json": refresh}, "answers": {"granted": granted}},
            },
            "states": {"unknown": {"send": "discover", "found": "signed_out"}},
        }
    )
    for _ in range(2):
        session.token()
        simulator.clock.advance(simulator.lifetime + 1)  # type: ignore[attr-defined]
    assert [simulator.counts[name] for name in ("discover", "login", "refresh")] == [1, 1, 1]


def test_the_page_where_people_log_in_leads_nowhere_else() -> None:
    """A rejection that is a redirect to it ends there, whoever follows with a token that is dead."""
    rejected = {"status": 302, "headers": {"Location": "{_}/welcome{_}"}}
    file = {
        "name": "pages",
        "extends": "session-cookie",
        "base_url": "https://pages.example/",
        "answers": {"rejected": rejected},
    }
    simulator = Simulator(file)
    cookie = (("Cookie", "session=dead"),)
    answer = simulator.handle(Request("GET", f"{simulator.base_url}orders", cookie))
    assert (answer.status, answer.all("location")) == (302, ["/welcome"])
    assert simulator.handle(Request("GET", f"{simulator.base_url}welcome", cookie)).status == 200


def test_a_setting_that_is_a_url_is_made_up_as_one() -> None:
    auth = {"auth": {"type": "url"}, "token_server": {"default": "{auth}"}}
    file = {"name": "asked", "extends": "challenge", "base_url": "https://asked.example/", "settings": auth}
    assert signed_up(file)[1] is not None
