"""Flows: chains of exchanges, the ways to renew, events of the caller's own answers, and what happens at their ends."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import authflow
from tests.scenarios.stage import FRAME, Stage
from tests.servers import Came, Says

PRESENT = 'present = { headers = { Authorization = "Bearer {access}" } }'


# --- chains -----------------------------------------------------------------------------------------------------------

CSRF = """
name = "csrf"
base_url = "%URL%/api/"
start = "outside"
credentials.user = {}
[exchanges.page]
request = { url = "page" }
answers.shown = { status = 200, cookies = { pre = "{pre}" }, text = '{_}name="csrf" value="{csrf}"{_}' }
[exchanges.login]
request = { url = "login", cookies = { pre = "{pre}" }, form = { csrf = "{csrf}", user = "{user}" } }
answers.granted = { status = 303, cookies = { sid = "{access}" } }
answers.denied = { status = 200 }
[exchanges.me]
request = { url = "me", cookies = { sid = "{access}" } }
answers.known = { json = { account = "{account}" } }
[states.outside]
send = "page"
shown = "asked"
[states.asked]
send = "login"
granted = "inside"
denied = "refused"
[states.inside]
send = "me"
known = "ready"
[states.ready]
present = { cookies = { sid = "{access}" }, headers = { X-Account = "{account}" } }
rejected = "outside"
[states.refused]
fail = "No."
"""


def test_a_chain_a_csrf_token_first_discovery_afterwards(stage: Stage) -> None:
    def login(came: Came) -> Says:
        good = came.headers.get("cookie") == "pre=p-1" and came.body == b"csrf=c-1&user=demo"
        return Says(303, headers={"Set-Cookie": "sid=s-1"} if good else {})

    page = Says(200, body=b'<input name="csrf" value="c-1">', headers={"Set-Cookie": "pre=p-1; HttpOnly"})
    stage.load(CSRF, {"page": page, "login": login, "me": Says(200, {"account": "acme"})}, user="demo")
    assert stage.call().status_code == 200
    *_, data = came = stage.sent()
    assert [each.path for each in came] == ["/api/page", "/api/login", "/api/me", "/api/data"]
    assert (data.headers["cookie"], data.headers["x-account"]) == ("sid=s-1", "acme")


def test_a_code_from_a_redirect_is_exchanged_for_a_token(stage: Stage) -> None:
    file = """
name = "code"
base_url = "%URL%/api/"
start = "outside"
[exchanges.authorize]
request = { url = "authorize", query = { state = "{nonce}" } }
answers.code = { status = 302, headers = { Location = "https://app.example/cb?code={code}&state={_}" } }
[exchanges.token]
request = { url = "token", form = { code = "{code}" } }
answers.granted = { json = { token = "{access}" } }
[derive]
nonce = { random = {} }
[states.outside]
send = "authorize"
code = "known"
[states.known]
send = "token"
granted = "ready"
[states.ready]
present = { headers = { Authorization = "Bearer {access}" } }
rejected = "outside"
"""
    moved = Says(302, headers={"Location": "https://app.example/cb?code=c-9&state=x"})
    stage.load(
        file, {"authorize": moved, "token": lambda came: Says(200 if came.body == b"code=c-9" else 400, {"token": "t"})}
    )
    assert stage.session.token().access == "t"


# --- renewal ----------------------------------------------------------------------------------------------------------

RENEWALS = {
    "by a refresh token in the body": ('json = { refresh = "{refresh}" }', "body", b'{"refresh":"r-1"}'),
    "by a refresh token as the bearer": (
        'method = "POST", headers = { Authorization = "Bearer {refresh}" }',
        "authorization",
        "Bearer r-1",
    ),
    "by a cookie": ('method = "POST", cookies = { refresh = "{refresh}" }', "cookie", "refresh=r-1"),
    "by the old bearer": (
        'method = "POST", headers = { Authorization = "Bearer {access}" }',
        "authorization",
        "Bearer t-1",
    ),
    "by the old bearer and a refresh token": (
        'headers = { Authorization = "Bearer {access}" }, json = { refresh = "{refresh}" }',
        "body",
        b'{"refresh":"r-1"}',
    ),
}
LADDER = (
    FRAME.replace(
        '{ token = "{access}" }', '{ token = "{access}", refresh = "{refresh?}", ttl = "{expires_in:int?}" }'
    ).replace('rejected = "signed_out"\nexpired = "signed_out"', 'rejected = "stale"\nexpired = "stale"')
    + """
[exchanges.refresh]
request = { url = "refresh", %REQUEST% }
answers.granted = { status = 200, json = { token = "{access}", refresh = "{refresh?}", ttl = "{expires_in:int?}" } }
answers.denied = { status = [400, 401, 403] }
[states.stale]
send = "refresh"
granted = "signed_in"
denied = "signed_out"
missing = "signed_out"
"""
)
IN_BODY = LADDER.replace("%REQUEST%", 'json = { refresh = "{refresh}" }')
FIRST = Says(200, {"token": "t-1", "refresh": "r-1", "ttl": 60})


@pytest.mark.parametrize("request_", RENEWALS.values(), ids=RENEWALS)
def test_ways_to_renew(stage: Stage, request_: tuple[str, str, Any]) -> None:
    written, where, value = request_
    renewed = Says(200, {"token": "t-2", "refresh": "r-2", "ttl": 60})
    stage.load(LADDER.replace("%REQUEST%", written), {"login": FIRST, "refresh": renewed})
    stage.call()
    stage.clock.ahead = 61
    stage.call()
    _, _, refresh, data = stage.sent()
    assert (refresh.body if where == "body" else refresh.headers[where]) == value
    assert data.headers["authorization"] == "Bearer t-2"


def test_a_refresh_token_that_is_left_out_is_kept_and_serves_again(stage: Stage) -> None:
    stage.load(IN_BODY, {"login": FIRST, "refresh": Says(200, {"token": "t-2", "ttl": 60})})
    stage.call()
    for _ in range(2):
        stage.clock.ahead += 61
        stage.call()
    assert [came.body for came in stage.sent("refresh")] == [b'{"refresh":"r-1"}'] * 2


def test_one_that_is_replaced_is_never_sent_again(stage: Stage) -> None:
    numbers = itertools.count(2)

    def refresh(came: Came) -> Says:
        number = next(numbers)
        return Says(200, {"token": f"t-{number}", "refresh": f"r-{number}", "ttl": 60})

    stage.load(IN_BODY, {"login": FIRST, "refresh": refresh})
    stage.call()
    for _ in range(3):
        stage.clock.ahead += 61
        stage.call()
    assert [came.body for came in stage.sent("refresh")] == [b'{"refresh":"r-%d"}' % number for number in (1, 2, 3)]


def test_a_refused_refresh_leads_to_a_login(stage: Stage) -> None:
    stage.load(IN_BODY, {"login": FIRST, "refresh": Says(401, {})})
    stage.call()
    stage.clock.ahead = 61
    stage.call()
    assert stage.walked() == ["login", "data", "refresh", "login", "data"]


def test_without_a_refresh_token_missing_leads_to_a_login(stage: Stage) -> None:
    stage.load(IN_BODY, {"login": Says(200, {"token": "t-1", "ttl": 60})})
    stage.call()
    stage.clock.ahead = 61
    stage.call()
    assert stage.walked() == ["login", "data", "login", "data"]


# --- a second factor --------------------------------------------------------------------------------------------------

FACTOR = """
name = "factor"
base_url = "%URL%/api/"
start = "outside"
credentials.word = { secret = true }
credentials.code = { secret = true, once = true }
[exchanges.login]
request = { url = "login", json = { word = "{word}" } }
answers.granted = { json = { token = "{access}" } }
answers.asked = { json = { challenge = "{challenge}" } }
answers.denied = { status = 401 }
[exchanges.verify]
request = { url = "verify", json = { challenge = "{challenge}", code = "{code}" } }
answers.granted = { status = 200, json = { token = "{access}" } }
answers.denied = { status = 401 }
[states.outside]
send = "login"
granted = "ready"
asked = "challenged"
denied = "refused"
[states.challenged]
send = "verify"
granted = "ready"
denied = "refused"
[states.ready]
present = { headers = { Authorization = "Bearer {access}" } }
rejected = "outside"
[states.refused]
fail = "No."
"""


def test_a_one_time_code_is_asked_for_when_it_is_needed_and_not_before(stage: Stage) -> None:
    asked = []

    def code() -> str:
        asked.append(stage.walked())
        return "123456"

    script = {"login": Says(200, {"challenge": "c-1"}), "verify": Says(200, {"token": "t-1"})}
    stage.load(FACTOR, script, word="w", code=code)
    stage.call()
    assert asked == [["login"]]
    assert stage.sent("verify")[0].body == b'{"challenge":"c-1","code":"123456"}'
    stage.load(FACTOR, {"login": Says(200, {"token": "t-1"})}, word="w", code=code)
    stage.call()
    assert len(asked) == 1


# --- events -----------------------------------------------------------------------------------------------------------


def test_events_of_several_kinds_with_captures_and_one_that_leads_back(stage: Stage) -> None:
    file = """
name = "rpc"
base_url = "%URL%/api/"
start = "ready"
[states.ready]
present = { headers = { X-Session = "{session?}" } }
numbered = "ready"
closed = "over"
[states.over]
fail = "The account is closed."
[answers]
numbered = { status = 409, headers = { X-Session = "{session}" } }
closed = { status = 200, json = { error = { code = -3 } } }
"""

    def data(came: Came) -> Says:
        return Says(200, {}) if came.headers.get("x-session") == "n-1" else Says(409, {}, {"X-Session": "n-1"})

    stage.load(file, {"data": data})
    assert [stage.call().status_code for _ in range(2)] == [200, 200]
    assert [came.headers.get("x-session") for came in stage.sent()] == [None, "n-1", "n-1"]
    stage.script["data"] = Says(200, {"error": {"code": -3}})
    with pytest.raises(authflow.CredentialsRefused, match="closed"):
        stage.call()


def test_one_status_for_expired_and_forbidden_costs_one_login_and_not_one_each(stage: Stage) -> None:
    stage.load(FRAME, {"forbidden": Says(401, {})})
    assert [stage.call("forbidden").status_code for _ in range(3)] == [401, 401, 401]
    assert stage.walked() == ["login", "forbidden", "login", "forbidden", "forbidden", "forbidden"]
    assert stage.call("data").status_code == 200
    assert stage.walked() == ["data"]


def test_the_second_answer_is_the_callers_unless_it_leads_to_a_failure(stage: Stage) -> None:
    file = FRAME.replace('rejected = "signed_out"', 'rejected = "signed_out"\nbanned = "refused"')
    file += "[answers]\nrejected = { status = 401 }\nbanned = { status = 418 }\n"
    stage.load(file, {"data": [Says(401, {}), Says(418, {})]})
    with pytest.raises(authflow.CredentialsRefused):
        stage.call()
    stage.load(file, {"data": [Says(401, {}), Says(401, {"mine": 1})]})
    assert stage.call().json() == {"mine": 1}


VARY = """
name = "registry"
base_url = "%URL%/api/"
start = "bare"
vary = ["scope"]
[exchanges.token]
request = { url = "token", query = { scope = "{scope}" } }
answers.granted = { json = { token = "{access}" } }
[states.bare]
present = {}
challenged = "asked"
[states.asked]
send = "token"
granted = "ready"
[states.ready]
present = { headers = { Authorization = "Bearer {access}" } }
challenged = "asked"
[answers]
challenged = { status = 401, challenge = { scheme = "Bearer", scope = "{scope}" } }
"""


def test_vary_keeps_a_grant_for_each_value(stage: Stage) -> None:
    def pull(came: Came) -> Says:
        wanted = "pull:" + came.path.rpartition("/")[2]
        if came.headers.get("authorization") == f"Bearer {wanted}":
            return Says(200, {})
        return Says(401, {}, {"WWW-Authenticate": f'Bearer scope="{wanted}"'})

    stage.load(
        VARY,
        {
            "a": pull,
            "b": pull,
            "token": lambda came: Says(200, {"token": came.target.partition("scope=")[2].replace("%3A", ":")}),
        },
    )
    for path in ("a", "b", "a", "b"):
        assert stage.call(path).status_code == 200
    assert stage.walked() == ["a", "token", "a", "b", "token", "b", "a", "b"]


def test_a_challenge_that_asks_for_ever_more_is_left_alone(stage: Stage) -> None:
    serial, paths = itertools.count(), [f"p{number}" for number in range(20)]

    def never(came: Came) -> Says:
        return Says(401, {}, {"WWW-Authenticate": f'Bearer scope="s{next(serial)}"'})

    stage.load(VARY, {**dict.fromkeys(paths, never), "token": Says(200, {"token": "t"})})
    assert {stage.call(path).status_code for path in paths} == {401}
    assert stage.walked().count("token") == 6


# --- logout -----------------------------------------------------------------------------------------------------------


def test_a_logout_tells_the_vendor_with_the_token(stage: Stage) -> None:
    file = FRAME.replace('start = "signed_out"', 'start = "signed_out"\non_logout = "revoke"')
    file += (
        '[exchanges.revoke]\nrequest = { method = "DELETE", url = "token/{access}" }\nanswers.done = { status = 204 }\n'
    )
    stage.load("insecure_url = true\n" + file, {"token/t-1": Says(204, body=b"")})
    stage.call()
    stage.session.logout()
    stage.session.logout()
    assert [(came.method, came.path) for came in stage.sent("token/t-1")] == [("DELETE", "/api/token/t-1")]
    stage.call()
    assert stage.walked() == ["login", "data"]


def test_a_vendor_that_is_down_can_lead_elsewhere(stage: Stage) -> None:
    file = FRAME.replace('denied = "refused"', 'denied = "refused"\nunavailable = "guest"')
    stage.load(file + '[states.guest]\npresent = { headers = { X-Guest = "1" } }\n', {"login": Says(503, {})})
    assert stage.call().status_code == 200
    assert stage.sent("data")[0].headers["x-guest"] == "1"
