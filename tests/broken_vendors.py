# ruff: noqa: E501 -- a row is a row
"""Broken vendor files, and the line that each gets: a text of BASE, what stands in its place, and the findings."""

from __future__ import annotations

from collections.abc import Sequence

BASE = """\
name = "acme"
base_url = "https://api.acme.example/v1/"
start = "signed_out"

[settings]
host = { default = "api.acme.example" }

[credentials]
username = {}
password = { secret = true }

[exchanges.login]
request = { url = "login", json = { username = "{username}", password = "{password}", via = "{host}" } }
[exchanges.login.answers]
granted = { status = 200, json = { token = "{access:jwt}", refresh = "{refresh}" } }
denied = { status = 401 }

[exchanges.refresh]
request = { url = "refresh", headers = { Authorization = "Bearer {access}" }, json = { refresh = "{refresh}" } }
answers = "login"

[states.signed_out]
send = "login"
granted = "signed_in"
denied = "refused"

[states.signed_in]
present = { headers = { Authorization = "Bearer {access}" } }
expired = "stale"
rejected = "stale"

[states.stale]
send = "refresh"
granted = "signed_in"
denied = "signed_out"

[states.refused]
fail = "Refused."
"""

CASES: Sequence[tuple[str, str, Sequence[str]]] = (
    (
        'json = { username = "{username}", password = "{password}", via = "{host}" }',
        'headers = { A = "{{ {a b} {c d}", B = ["{e f}", "x {g h}"] }, json = { a = ["{i j} {k?l}"] }',
        [
            f"exchanges.login.request.{key}: {piece} is not a placeholder: write {{name}}, {{name:converter}}, {{name?}}, or {{{{ and }}}} for braces"
            for key, piece in (
                ("headers.A", "{a b}"),
                ("headers.A", "{c d}"),
                ("headers.B", "{e f}"),
                ("headers.B", "{g h}"),
                ("json.a.0", "{i j}"),
                ("json.a.0", "{k?l}"),
            )
        ],
    ),
    (
        'json = { username = "{username}", password = "{password}", via = "{host}" }',
        'headers = { A = "{x:no}", B = ["{", "ok"] }, json = { a = "{username:no}", b = { c = [1, "{}"], d = "{" } }',
        [
            "exchanges.login.request.headers.A: unknown converter 'no' in {x:no}: there are base64, base64url, epoch, epoch_ms, hex, http_date, int, iso8601, json, jwt, minutes, ms, path, str, time, token, word, xml",
            "exchanges.login.request.headers.B: { is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces",
            "exchanges.login.request.json.a: unknown converter 'no' in {username:no}: there are base64, base64url, epoch, epoch_ms, hex, http_date, int, iso8601, json, jwt, minutes, ms, path, str, time, token, word, xml",
            "exchanges.login.request.json.b.c.1: {} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces",
            "exchanges.login.request.json.b.d: { is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces",
        ],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[derive]\na = { hmac = { key = "k", message = "m", digest = "sha265", encoding = "hax" } }\nb = { rsa = { key = "{username}", message = "m", padding = "oeap" } }',
        [
            "derive.a.hmac.digest: must be one of 'blake2b', 'blake2s', 'md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha3_224', 'sha3_256', 'sha3_384', 'sha3_512', 'sha512', 'shake_128', 'shake_256', not 'sha265'",
            "derive.a.hmac.encoding: must be one of 'base64', 'base64url', 'hex', not 'hax'",
            "derive.b.rsa.padding: must be one of 'oaep', 'pkcs1', not 'oeap'",
        ],
    ),
    (
        'request = { url = "login"',
        'by = "chrome"\nrequest = { url = "login"',
        ["exchanges.login.by: must be one of 'browser', not 'chrome'"],
    ),
    ("start =", "strat =", ["strat: unknown key (did you mean 'start'?)"]),
    (
        'send = "login"',
        'snd = "login"',
        ["states.signed_out: a state does one of three things: send, present, fail (did you mean 'send'?)"],
    ),
    ('send = "login"', 'send = "logn"', ["states.signed_out.send: unknown exchange 'logn' (did you mean 'login'?)"]),
    (
        'granted = "signed_in"\ndenied = "refused"',
        'granted = "signedin"\ndenied = "refused"',
        ["states.signed_out.granted: unknown state 'signedin' (did you mean 'signed_in'?)"],
    ),
    (
        'denied = "refused"',
        'refused = "refused"',
        [
            'states.signed_out: the exchange login can end as denied, and nothing says where that leads (denied = "…")',
            "states.signed_out.refused: unknown outcome of the exchange login 'refused' (there are denied, granted, missing, unavailable)",
        ],
    ),
    (
        'denied = "refused"',
        'denied = "refused"\nmising = "refused"',
        ["states.signed_out.mising: unknown outcome of the exchange login 'mising' (did you mean 'missing'?)"],
    ),
    (
        '"{username}"',
        '"{user}"',
        [
            "exchanges.login.request.json.username: unknown value 'user' (did you mean 'username'? If not, declare it in [credentials] or [settings])"
        ],
    ),
    (
        '"Bearer {access}" } }\nexpired',
        '"Bearer {acess?}" } }\nexpired',
        [
            "states.signed_in.present.headers.Authorization: unknown value 'acess' (did you mean 'access'? If not, declare it in [credentials] or [settings])"
        ],
    ),
    (
        "json = { username",
        "body = { username",
        ["exchanges.login.request.body: unknown key (did you mean 'json', 'form' or 'text'?)"],
    ),
    ("status = 401", "code = 401", ["exchanges.login.answers.denied.code: unknown key (did you mean 'status'?)"]),
    (
        "{access:jwt}",
        "{access:jtw}",
        [
            "exchanges.login.answers.granted.json.token: unknown converter 'jtw' in {access:jtw}: did you mean 'jwt'? there are base64, base64url, epoch, epoch_ms, hex, http_date, int, iso8601, json, jwt, minutes, ms, path, str, time, token, word, xml"
        ],
    ),
    ("[states.signed_in]", "[state.signed_in]", ["state: unknown key (did you mean 'states'?)"]),
    ("secret = true", "secert = true", ["credentials.password.secert: unknown key (did you mean 'secret'?)"]),
    (
        'answers = "login"',
        'answers = "logon"',
        ["exchanges.refresh.answers: unknown exchange 'logon' (did you mean 'login'?)"],
    ),
    (
        'rejected = "stale"',
        'rejcted = "stale"',
        ["states.signed_in.rejcted: unknown event 'rejcted' (did you mean 'rejected'?)"],
    ),
    (
        "status = 401",
        'status = "401"',
        ["exchanges.login.answers.denied.status: must be a whole number or a list, not text"],
    ),
    (
        "status = 401",
        'status = [401, "403"]',
        ["exchanges.login.answers.denied.status.1: must be a whole number, not text"],
    ),
    (
        "status = 401",
        "status = 4010",
        ["exchanges.login.answers.denied.status: 4010 is not an HTTP status (100 to 599)"],
    ),
    (
        "status = 401",
        "status = true",
        ["exchanges.login.answers.denied.status: must be a whole number or a list, not true or false"],
    ),
    ("username = {}", 'username = "alice"', ["credentials.username: must be a table, not text"]),
    ("secret = true", 'secret = "yes"', ["credentials.password.secret: must be true or false, not text"]),
    (
        "secret = true",
        'type = "float"',
        ["credentials.password.type: must be one of 'str', 'int', 'url', 'host', 'duration', not 'float'"],
    ),
    (
        'request = { url = "login"',
        "request = { url = 7",
        ["exchanges.login.request.url: must be text, not a whole number"],
    ),
    (
        '[states.refused]\nfail = "Refused."',
        '[states]\nrefused = "Refused."',
        ["states.refused: must be a table, not text"],
    ),
    (
        'present = { headers = { Authorization = "Bearer {access}" } }',
        'present = "Bearer {access}"',
        ["states.signed_in.present: must be a table, not text"],
    ),
    (
        'granted = "signed_in"\ndenied = "refused"',
        'granted = ["signed_in"]\ndenied = "refused"',
        ["states.signed_out.granted: must name a state"],
    ),
    ('fail = "Refused."', 'fail = ["Refused."]', ["states.refused.fail: must be text, not a list"]),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[[exchanges.more]]\nrequest = {}',
        ["exchanges.more: must be a table, not a list"],
    ),
    (
        'via = "{host}"',
        "via = 2026-01-01",
        ["exchanges.login.request.json.via: a value of type date cannot stand in a template"],
    ),
    ('via = "{host}"', "via = nan", ["exchanges.login.request.json.via: the number nan cannot stand in a template"]),
    (
        "denied = { status = 401 }",
        'denied = { status = 401 }\n[expiry]\nlifetime = "a day"',
        ['expiry.lifetime: must be a number of seconds, or a number with s, m, h or d, such as "12h"'],
    ),
    (
        "denied = { status = 401 }",
        "denied = { status = 401 }\n[expiry]\nlifetime = -5",
        ['expiry.lifetime: must be a number of seconds, or a number with s, m, h or d, such as "12h"'],
    ),
    (
        'host = { default = "api.acme.example" }',
        'host = { type = "int", default = "80" }',
        ["settings.host.default: not a whole number, as its type says"],
    ),
    ('start = "signed_out"', "", ['start: missing (start = "signed_out")']),
    (
        'request = { url = "login", json = { username = "{username}", password = "{password}", via = "{host}" } }\n[exchanges.login.answers]',
        "[exchanges.login.answers]",
        ['exchanges.login.request: missing (request = { url = "login", json = { … } })'],
    ),
    ('url = "login", ', "", ['exchanges.login.request.url: missing (url = "login")']),
    (
        'answers = "login"',
        "",
        ['exchanges.refresh.answers: missing (answers.granted = { status = 200, json = { token = "{access}" } })'],
    ),
    (
        'answers = "login"',
        "answers = {}",
        ["exchanges.refresh.answers: no outcome: every answer would be an error (granted = { status = 200 })"],
    ),
    (
        'answers = "login"',
        "answers = { granted = [], denied = { status = 401 } }",
        ["exchanges.refresh.answers.granted: no pattern (granted = { status = 200 })"],
    ),
    ('answers = "login"', 'answers = "refresh"', ["exchanges.refresh.answers: leads back to itself (there are login)"]),
    (
        '"{username}", password = "{password}"',
        '"{username}{password}"',
        [
            "exchanges.login.request.json.username: ambiguous: nothing stands between {username} and {password}, so nobody could tell where one ends"
        ],
    ),
    (
        '"{username}", password',
        '"{username", password',
        [
            "exchanges.login.request.json.username: { is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"{username}", password',
        '"{}", password',
        [
            "exchanges.login.request.json.username: {} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"{username}", password',
        '"{user name}", password',
        [
            "exchanges.login.request.json.username: {user name} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"{username}", password',
        '"{1st}", password',
        [
            "exchanges.login.request.json.username: {1st} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"{access:jwt}"',
        '"{access\uff1ajwt}"',
        [
            "exchanges.login.answers.granted.json.token: {access：jwt} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"{access:jwt}"',
        '"{acc\u200bess:jwt}"',
        [
            "exchanges.login.answers.granted.json.token: {acc\\u200bess:jwt} is not a placeholder: write {name}, {name:converter}, {name?}, or {{ and }} for braces"
        ],
    ),
    (
        '"Bearer {access}" } }\nexpired',
        '"Bearer {null}" } }\nexpired',
        ["states.signed_in.present.headers.Authorization: {null} stands alone in its string, and in JSON only"],
    ),
    (
        '"{username}", password',
        '"{_}", password',
        ["exchanges.login.request.json.username: {_} keeps nothing, so nothing can be written with it (name a value)"],
    ),
    (
        'via = "{host}"',
        'via = ["{host?}", "{username}"]',
        [
            "exchanges.login.request.json.via.0: ambiguous: without this optional element, those behind it would move to its place (let it be the last one, or not optional)"
        ],
    ),
    (
        'denied = "signed_out"',
        'denied = "stale"',
        [
            "states.stale: a renewal could send for ever: stale → stale (let one outcome end in a state that presents or fails)",
            'exchanges.refresh.request.json.refresh: {refresh} has no value on some path to the state stale ({refresh?}, or missing = "…" in the state stale)',
        ],
    ),
    (
        'granted = "signed_in"\ndenied = "refused"',
        'granted = "stale"\ndenied = "refused"',
        [
            "states.signed_out: a renewal could send for ever: signed_out → stale → signed_out (let one outcome end in a state that presents or fails)"
        ],
    ),
    (
        '[states.refused]\nfail = "Refused."',
        '[states.refused]\nfail = "Refused."\n[states.limbo]\nfail = "?"',
        ["states.limbo: no path leads to this state (name it as an outcome's, or drop it)"],
    ),
    (
        'expired = "stale"\nrejected = "stale"',
        "",
        ["states.stale: no path leads to this state (name it as an outcome's, or drop it)"],
    ),
    (
        'granted = "signed_in"\ndenied = "refused"\n',
        'granted = "signed_in"\n',
        ['states.signed_out: the exchange login can end as denied, and nothing says where that leads (denied = "…")'],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\ngranted = "signed_in"',
        ["states.refused.granted: nothing follows a failing state (drop it)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\nsend = "login"',
        ["states.refused: a state does one of three things: send, present, fail (here send and fail)"],
    ),
    (
        "present = { headers",
        'missing = "stale"\npresent = { headers',
        ["states.signed_in.missing: only a sending state can miss a value (drop it)"],
    ),
    (
        "[exchanges.refresh]\n",
        "lost = { status = 418 }\n[exchanges.refresh]\n",
        [
            "exchanges.login.answers.lost: lost cannot name an outcome: the word has another meaning (choose another)",
            "exchanges.refresh.answers.lost: lost cannot name an outcome: the word has another meaning (choose another)",
            'states.signed_out: the exchange login can end as lost, and nothing says where that leads (lost = "…")',
            'states.stale: the exchange refresh can end as lost, and nothing says where that leads (lost = "…")',
        ],
    ),
    (
        'start = "signed_out"',
        'start = "signed_out"\non_logout = "logout"',
        ["on_logout: unknown exchange 'logout' (there are login, refresh)"],
    ),
    (
        'start = "signed_out"',
        'start = "signed_in"',
        [
            'states.signed_in.present.headers.Authorization: {access} has no value on some path to the state signed_in ({access?}, or missing = "…" in the state signed_in)',
            'exchanges.refresh.request.headers.Authorization: {access} has no value on some path to the state stale ({access?}, or missing = "…" in the state stale)',
            'exchanges.refresh.request.json.refresh: {refresh} has no value on some path to the state stale ({refresh?}, or missing = "…" in the state stale)',
        ],
    ),
    (
        'refresh = "{refresh}" } }\ndenied',
        'refresh = "{refresh?}" } }\ndenied',
        [
            'exchanges.refresh.request.json.refresh: {refresh} has no value on some path to the state stale ({refresh?}, or missing = "…" in the state stale)'
        ],
    ),
    (
        'start = "signed_out"',
        'start = "signed_out"\nvary = ["scope"]',
        ["vary.0: unknown value 'scope' (there are access, base_url, host, password, refresh, username)"],
    ),
    (
        "https://api.acme.example/v1/",
        "http://api.acme.example/v1/",
        ["base_url: plain http, which everyone on the way can read (https, or a loopback address)"],
    ),
    ("https://api.acme.example/v1/", "api.acme.example/v1/", ["base_url: must be an absolute URL (https://…)"]),
    ("https://api.acme.example/v1/", "ftp://api.acme.example/v1/", ["base_url: not an absolute http or https URL"]),
    (
        "https://api.acme.example/v1/",
        "https://user:pass@api.acme.example/v1/",
        ["base_url: user information in the URL"],
    ),
    (
        "https://api.acme.example/v1/",
        "https://api.acme.example/v1/?key=1",
        ["base_url: a query here would be lost (put it into each request's query)"],
    ),
    (
        "https://api.acme.example/v1/",
        "https://api.acme.example\\\\v1/",
        ["base_url: the character '\\\\' cannot stand in a URL"],
    ),
    (
        "https://api.acme.example/v1/",
        "https://api.acme.example/v1/#top",
        ["base_url: a fragment never leaves the client: end the URL before the #"],
    ),
    ("https://api.acme.example/v1/", "https://api.acme.example:99999/", ["base_url: Port out of range 0-65535"]),
    ("https://api.acme.example/v1/", "https://{host?}/", ["base_url: a value in the path of a URL cannot be optional"]),
    (
        "https://api.acme.example/v1/",
        "{base_url}/v1",
        ["base_url: made of itself (settings.base_url = {}, or another name)"],
    ),
    (
        'url = "login"',
        'url = "login?password={password}"',
        ["exchanges.login.request.url: the secret password stands in a URL, where logs see it (insecure_url = true)"],
    ),
    (
        'url = "login"',
        'url = "{password}/login"',
        ["exchanges.login.request.url: the secret password stands in a URL, where logs see it (insecure_url = true)"],
    ),
    (
        'present = { headers = { Authorization = "Bearer {access}" } }',
        'present = { query = { token = "{access}" } }',
        [
            "states.signed_in.present.query.token: the secret access stands in a URL, where logs see it (insecure_url = true)"
        ],
    ),
    (
        'url = "login"',
        'url = "http://login.acme.example/token"',
        ["exchanges.login.request.url: plain http, which everyone on the way can read (https, or a loopback address)"],
    ),
    (
        'url = "login"',
        'url = "//login.acme.example/token"',
        ["exchanges.login.request.url: a host needs its scheme before it: https://…"],
    ),
    (
        "[settings]",
        '[origins]\npresent = ["data.acme.example"]\n[settings]',
        ["origins.present.0: must be an absolute URL (https://…)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[[rewrites]]\nfrom = "a/{id}"\nto = "http://b.example/{id}"',
        ["rewrites.0.to: plain http, which everyone on the way can read (https, or a loopback address)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[verify]\njwks_url = "http://acme.example/keys"',
        ["verify.jwks_url: plain http, which everyone on the way can read (https, or a loopback address)"],
    ),
    (
        "[settings]",
        "[settings]\nstore = {}",
        ["settings.store: AuthSession has a parameter of this name (choose another)"],
    ),
    ("[settings]", "[settings]\nusername = {}", ["settings.username: also a credential (one name, one thing)"]),
    (
        "[settings]",
        '[settings]\n"pass word" = {}',
        ["settings.pass word: not a name (a letter, then letters, digits and _)"],
    ),
    ("[settings]", "[settings]\nnull = {}", ["settings.null: not a name (a letter, then letters, digits and _)"]),
    (
        "[settings]",
        '[settings]\n"h\u043est" = {}',
        ["settings.hоst: not a name: it holds U+043E CYRILLIC SMALL LETTER O (a letter, then letters, digits and _)"],
    ),
    (
        "signed_in",
        "signed\u200b_in",
        ["is not TOML: Expected ']' at the end of a table declaration (at line 27, column 15)"],
    ),
    (
        "signed_in",
        "signed\u202e_in",
        ["is not TOML: Expected ']' at the end of a table declaration (at line 27, column 15)"],
    ),
    ('name = "acme"', 'name = "acme corp"', ['name: must be made of letters, digits, - and _ (name = "supplier")']),
    ('name = "acme"', 'name = "\u0430cme"', ['name: must be made of letters, digits, - and _ (name = "supplier")']),
    (
        'refresh = "{refresh}" } }\ndenied',
        'refresh = "{password}" } }\ndenied',
        [
            "exchanges.login.answers.granted: {password} is a credential, and captured it would be stored ({_}, or another name)",
            "exchanges.refresh.answers.granted: {password} is a credential, and captured it would be stored ({_}, or another name)",
            "exchanges.refresh.request.json.refresh: unknown value 'refresh' (declare it in [credentials] or [settings], or read it from an answer; there are access, base_url, host, password, username)",
        ],
    ),
    (
        "[settings]",
        '[derive]\nsig = { sha257 = "{password}" }\n[settings]',
        ["derive.sig.sha257: unknown function (did you mean 'sha256'?)"],
    ),
    (
        "[settings]",
        '[derive]\nsig = { hmac = { key = "{password}", mesage = "x" } }\n[settings]',
        [
            "derive.sig.hmac.mesage: unknown key (did you mean 'message'?)",
            'derive.sig.hmac.message: missing (message = "…")',
        ],
    ),
    (
        "[settings]",
        '[derive]\nsig = { hmac = "{password}" }\n[settings]',
        ["derive.sig.hmac: must be a table (with key, message, digest, encoding, key_encoding)"],
    ),
    ("[settings]", '[derive]\nsig = { base64 = "{sig}" }\n[settings]', ["derive.sig: derived from itself"]),
    (
        "[settings]",
        '[derive]\na = { base64 = "{b}" }\nb = { base64 = "{a}" }\n[settings]',
        ["derive.a: derived from itself", "derive.b: derived from itself"],
    ),
    (
        "[settings]",
        '[derive]\nsig = { base64 = "{username}{password}" }\n[settings]',
        [
            "derive.sig.base64: ambiguous: nothing stands between {username} and {password}, so nobody could tell where one ends"
        ],
    ),
    (
        "[settings]",
        "[derive]\nsig = {}\n[settings]",
        ['derive.sig: must be one function with its argument ({ base64 = "{username}:{access}" })'],
    ),
    (
        "[settings]",
        '[derive]\nhost = { base64 = "{username}" }\n[settings]',
        ["derive.host: also a setting (one name, one thing)"],
    ),
    (
        'url = "login", json',
        'url = "login", form = { a = "b" }, json',
        ["exchanges.login.request: at most one body, here are json and form (keep json)"],
    ),
    (
        'url = "login"',
        'method = "P OST", url = "login"',
        ["exchanges.login.request.method: 'P OST' is not an HTTP method (method = \"POST\")"],
    ),
    (
        'url = "login"',
        'basic = ["{username}"], url = "login"',
        ["exchanges.login.request.basic: must be a list of length 2, not 1"],
    ),
    (
        'url = "login"',
        'basic = ["{username}", "{password}"], client_basic = ["a", "b"], url = "login"',
        ["exchanges.login.request: both basic and client_basic: there is one Authorization header (keep one)"],
    ),
    (
        'url = "login"',
        'headers = { "X Y" = "1" }, url = "login"',
        ["exchanges.login.request.headers.X Y: 'X Y' cannot name a header (letters, digits and -)"],
    ),
    (
        'url = "login"',
        'headers = { X = "1\\r\\nY: 2" }, url = "login"',
        ["exchanges.login.request.headers.X: a line break or control character in the value"],
    ),
    (
        'url = "login"',
        'cookies = { "a;b" = "1" }, url = "login"',
        ["exchanges.login.request.cookies.a;b: 'a;b' cannot name a cookie (letters, digits and -)"],
    ),
    ('url = "login"', 'url = "log in"', ["exchanges.login.request.url: the character ' ' cannot stand in a URL"]),
    (
        'url = "login"',
        'url = "login/{host?}"',
        ["exchanges.login.request.url: a value in the path of a URL cannot be optional"],
    ),
    (
        "status = 401",
        'json = {}, text = ""',
        ["exchanges.login.answers.denied: one answer is never json and text at once (a list of patterns)"],
    ),
    (
        "status = 401",
        "status = []",
        ["exchanges.login.answers.denied.status: no status fits an empty list (leave it out for any)"],
    ),
    (
        'name = "acme"',
        'name = "acme"\nextends = "pasword"',
        ["extends: unknown preset 'pasword' (did you mean 'password'?)"],
    ),
    (
        'name = "acme"',
        'name = "acme"\nextends = 7',
        [
            "extends: must name a preset (there are api-key, basic, bearer, challenge, client-credentials, jwt-bearer, oauth2-code, oauth2-device, oauth2-password, password, refresh-token, relogin, session-cookie, signed, token-exchange)"
        ],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[[rewrites]]\nfrom = "a/{id}"\nto = "b/{ib}"',
        ["rewrites.0.to: unknown value 'ib' (there are access, base_url, host, id, password, refresh, username)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[[rewrites]]\nfrom = "{id}/a"\nto = "b/{id}"',
        ['rewrites.0.from: a placeholder at the very start is a whole URL, and {id} is not known before ("./{id}…")'],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[[rewrites]]\nform = "a"\nto = "b"',
        ["rewrites.0.form: unknown key (did you mean 'from'?)", 'rewrites.0.from: missing (from = "deliveries/{id}")'],
    ),
    (
        "[settings]",
        '[settings]\ntitle = "Acme"',
        [
            "settings.title: must be a table, not text (does it stand below [settings]? Keys of the whole file come before all tables)"
        ],
    ),
    (
        "[settings]",
        '[origins]\ntitle = "Acme"\n[settings]',
        ["origins.title: unknown key (does it stand below [origins]? Keys of the whole file come before all tables)"],
    ),
    ("[settings]", "[settings", ["is not TOML: Expected ']' at the end of a table declaration (at line 5, column 10)"]),
    (
        'start = "signed_out"',
        'start = "signed_out"\nstart = "x"',
        ["is not TOML: Cannot overwrite a value (at line 4, column 12)"],
    ),
    ('start = "signed_out"', "start = signed_out", ["is not TOML: Invalid value (at line 3, column 9)"]),
    (
        'start = "signed_out"',
        'start = "signed_out"\nx = ' + "9" * 5000,
        [
            "is not TOML: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit"
        ],
    ),
    (
        'start = "signed_out"',
        'start = "signed_out\x00"',
        ["is not TOML: Illegal character '\\x00' (at line 3, column 20)"],
    ),
    (
        "[states.signed_in]",
        '[states."signed\u200b_in"]',
        [
            "states.signed\\u200b_in: not a name: it holds U+200B ZERO WIDTH SPACE (letters, digits, - and _)",
            "states.signed_out.granted: unknown state 'signed_in' (did you mean 'signed\\u200b_in'?)",
            "states.stale.granted: unknown state 'signed_in' (did you mean 'signed\\u200b_in'?)",
        ],
    ),
    (
        "[exchanges.refresh]\n",
        '"deni\u202eed" = { status = 418 }\n[exchanges.refresh]\n',
        [
            "exchanges.login.answers.deni\\u202eed: not a name: it holds U+202E RIGHT-TO-LEFT OVERRIDE (letters, digits, - and _)",
            "exchanges.refresh.answers.deni\\u202eed: not a name: it holds U+202E RIGHT-TO-LEFT OVERRIDE (letters, digits, - and _)",
            'states.signed_out: the exchange login can end as deni\\u202eed, and nothing says where that leads (deni\\u202eed = "…")',
            'states.stale: the exchange refresh can end as deni\\u202eed, and nothing says where that leads (deni\\u202eed = "…")',
        ],
    ),
    (
        'start = "signed_out"',
        'start = "signed\u2024out"',
        ["start: unknown state 'signed\\u2024out' (did you mean 'signed_out'?)"],
    ),
    (
        'start = "signed_out"',
        'start = "signed_out"\npublic = [{ url = "health" }]',
        ["public.0.url: unknown key (did you mean 'path'?)"],
    ),
    (
        'start = "signed_out"',
        'start = "signed_out"\npublic = { path = "health" }',
        ["public: must be a list, not a table"],
    ),
    ('start = "signed_out"', 'start = "signed_out"\nvary = "host"', ["vary: must be a list, not text"]),
    ('start = "signed_out"', 'start = "signed_out"\nheaders = ["X"]', ["headers: must be a table, not a list"]),
    ('start = "signed_out"', 'start = "signed_out"\nexpiry = "12h"', ["expiry: must be a table, not text"]),
    (
        'start = "signed_out"',
        'start = "signed_out"\ninsecure_url = "yes"',
        ["insecure_url: must be true or false, not text"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[answers]\nexpelled = { status = 401 }',
        ["states.signed_in.rejected: unknown event 'rejected' (there are expelled, expired)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[answers.rejected]\nstatus = 401\nbody = "x"',
        ["answers.rejected.body: unknown key (did you mean 'json', 'form' or 'text'?)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[expiry]\nlifetime = "{hours}h"',
        [
            "expiry.lifetime: unknown value 'hours' (did you mean 'host'? If not, declare it in [credentials] or [settings])"
        ],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[expiry]\nlive = 5',
        ["expiry.live: unknown key (there are ahead, idle, lifetime)"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[origins]\nsend = "https://a.example"',
        ["origins.send: must be a list, not text"],
    ),
    (
        'fail = "Refused."',
        'fail = "Refused."\n[origins]\nsend = ["https://a example/"]',
        ["origins.send.0: the character ' ' cannot stand in a URL"],
    ),
)
