"""`plugins/REFERENCE.md`: every word that a vendor file may hold, made from the classes and tables that read it.

`python -m tests.reference` (or `make reference`) writes the page anew; `test_reference.py` says which words it lacks, and
loads every example. A new word of any kind needs one row here: its example.

An example is a few lines of TOML, laid over `BASE`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from authflow.vendors.extends import preset_names
from authflow.vendors.schema import schema

PAGE = Path(__file__).parent.parent / "plugins" / "REFERENCE.md"

BASE = """
name = "acme"
extends = "password"
base_url = "https://acme.example/api/"

[exchanges.login]
request = { url = "login", json = { user = "{username}", pass = "{password}" } }
answers.granted = { json = { token = "{access}", renew = "{refresh}", scope = "{scope?}" } }

[exchanges.refresh]
request = { url = "refresh", json = { renew = "{refresh}" } }
answers = "login"
"""

#: What each table is, in the order of the page; and where its keys stand in a file.
TABLES: Mapping[str, str] = {
    "VendorFile": "The whole file: keys that stand before all tables",
    "Input": "`[settings]` and `[credentials]`: what the user gives",
    "Exchange": "`[exchanges.NAME]`: a request, and what its answers mean",
    "Request": "`request` in an exchange",
    "Pattern": "A pattern: what an answer must look like",
    "State": "`[states.NAME]`: a state sends, presents, or fails",
    "Presented": "`present` in a state: what your requests carry",
    "Origins": "`[origins]`",
    "Expiry": "`[expiry]`",
    "Verify": "`[verify]`",
    "PublicRequest": "`[[public]]`",
    "Rewrite": "`[[rewrites]]`",
}

_LOGIN = 'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" }, %s }'
_GRANTED = 'exchanges.login.answers.granted = { json = { token = "{access}", renew = "{refresh}" }, %s }'
_SIGNED_IN = 'states.signed_in.present = { headers = { Authorization = "Bearer {access}" }, %s }'

EXAMPLES: Mapping[str, str] = {
    "VendorFile.name": 'name = "acme"',
    "VendorFile.title": 'title = "Acme Parcels"',
    "VendorFile.extends": 'extends = "password"',
    "VendorFile.base_url": 'base_url = "https://{host}/api/"\nsettings.host = { default = "acme.example" }',
    "VendorFile.start": 'start = "signed_out"',
    "VendorFile.identity": 'identity = ["username"]',
    "VendorFile.secret_in": 'secret_in = "body"',
    "VendorFile.insecure_url": "insecure_url = true",
    "VendorFile.insecure_http": 'insecure_http = true\nbase_url = "http://nas.local/"',
    "VendorFile.on_logout": 'on_logout = "bye"\nexchanges.bye.request = { url = "logout", method = "POST", headers = { Authorization = "Bearer {access}" } }\nexchanges.bye.answers.done = { status = 204 }',
    "VendorFile.vary": 'vary = ["scope"]',
    "VendorFile.shown": 'shown = ["scope"]',
    "VendorFile.settings": 'settings.tenant = {}\nbase_url = "https://{tenant}.acme.example/"',
    "VendorFile.credentials": 'credentials.username = { title = "Your e-mail address" }',
    "VendorFile.headers": 'headers = { X-Api-Version = "2" }',
    "VendorFile.sign": "sign.dpop = {}",
    "VendorFile.derive": 'derive.digest = { sha256 = "{username}:{password}" }\nexchanges.login.request = { url = "login", json = { user = "{username}", proof = "{digest}" } }',
    "VendorFile.origins": 'origins.present = ["https://data.acme.example"]',
    "VendorFile.expiry": 'expiry.lifetime = "12h"',
    "VendorFile.verify": 'verify.jwks_url = "https://acme.example/keys"\nexchanges.login.answers.granted = { json = { token = "{access:jwt}", renew = "{refresh}" } }',
    "VendorFile.exchanges": 'exchanges.login.request = { url = "sessions", form = { user = "{username}", pass = "{password}" } }',
    "VendorFile.states": 'states.signed_in.present = { headers = { X-Token = "{access}" } }',
    "VendorFile.answers": "answers.rejected = { status = [401, 419] }",
    "VendorFile.keep": 'keep = [{ headers = { X-CSRF-Token = "{csrf}" } }]',
    "VendorFile.public": 'public = [{ path = "status" }]',
    "VendorFile.rewrites": 'rewrites = [{ from = "orders/{id}", to = "../v2/orders/{id}" }]',
    "Input.default": 'settings.host = { default = "acme.example" }\nbase_url = "https://{host}/"',
    "Input.optional": 'settings.tenant = { optional = true }\nheaders = { X-Tenant = "{tenant?}" }',
    "Input.type": 'settings.site = { type = "url" }\nbase_url = "{site}"',
    "Input.empty": "credentials.password = { secret = true, empty = true }",
    "Input.once": "credentials.code = { secret = true, once = true }\n" + _LOGIN % 'headers = { X-Code = "{code}" }',
    "Input.secret": "credentials.password = { secret = true }",
    "Input.title": 'credentials.username = { title = "Your e-mail address" }',
    "Exchange.request": 'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" } }',
    "Exchange.answers": "exchanges.login.answers.denied = { status = 422 }",
    "Exchange.sign": "exchanges.login.sign = {}",
    "Exchange.by": 'exchanges.authorize = { by = "browser", request = { url = "authorize", query = { redirect_uri = "{redirect_uri}", state = "{state}", code_challenge = "{code_challenge}" } }, answers = { came = { form = { code = "{code}" } } } }',
    "Exchange.redirects": "exchanges.login.redirects = true",
    "Request.url": 'exchanges.login.request = { url = "v2/login", json = { user = "{username}", pass = "{password}" } }',
    "Request.method": _LOGIN % 'method = "PUT"',
    "Request.query": _LOGIN % 'query = { lang = "en" }',
    "Request.headers": _LOGIN % 'headers = { Accept = "application/json" }',
    "Request.cookies": _LOGIN % 'cookies = { consent = "yes" }',
    "Request.json": 'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" } }',
    "Request.form": 'exchanges.login.request = { url = "login", form = { user = "{username}", pass = "{password}" } }',
    "Request.text": 'exchanges.login.request = { url = "login", text = \'<login user="{username:xml}" pass="{password:xml}"/>\' }',
    "Request.basic": 'exchanges.login.request = { url = "login", method = "POST", basic = ["{username}", "{password}"] }',
    "Request.client_basic": 'exchanges.login.request = { url = "login", method = "POST", client_basic = ["{username}", "{password}"] }',
    "Pattern.status": _GRANTED % "status = [200, 201]",
    "Pattern.headers": 'exchanges.login.answers.granted = { headers = { X-Token = "{access}" }, json = { renew = "{refresh}" } }',
    "Pattern.cookies": 'exchanges.login.answers.granted = { cookies = { SID = "{access}" }, json = { renew = "{refresh}" } }',
    "Pattern.challenge": 'answers.rejected = { status = 401, challenge = { scheme = "Bearer", error = "invalid_token" } }',
    "Pattern.json": 'exchanges.login.answers.granted = { json = { data = { token = "{access}", renew = "{refresh}" } } }',
    "Pattern.form": 'exchanges.login.answers.granted = { form = { token = "{access}", renew = "{refresh}" } }',
    "Pattern.text": 'exchanges.login.answers.granted = { text = "{access}", headers = { X-Renew = "{refresh}" } }',
    "Pattern.again": 'exchanges.poll.request = { url = "job" }\nexchanges.poll.answers.done = { status = 202, again = "10s", for = "2m" }',
    "Pattern.for": 'exchanges.poll.request = { url = "job" }\nexchanges.poll.answers.done = { status = 202, for = "2m" }',
    "State.send": 'states.stale = { send = "refresh", granted = "signed_in", denied = "signed_out" }',
    "State.present": 'states.signed_in.present = { headers = { X-Token = "{access}" } }',
    "State.fail": 'states.refused = { fail = "Acme refused this {credentials?}: {reason?}" }',
    "State.tell": 'states.signed_out = { send = "login", granted = "signed_in", denied = "refused", tell = "Confirm the login on your phone." }',
    "State.missing": 'states.stale = { send = "refresh", granted = "signed_in", denied = "signed_out", missing = "signed_out" }',
    "Presented.headers": 'states.signed_in.present = { headers = { X-Token = "{access}" } }',
    "Presented.cookies": 'states.signed_in.present = { cookies = { SID = "{access}" } }',
    "Presented.query": 'insecure_url = true\nstates.signed_in.present = { query = { token = "{access}" } }',
    "Presented.basic": 'states.signed_in.present = { basic = ["{username}", "{access}"] }',
    "Presented.json": 'states.signed_in.present = { json = { auth = "{access}" } }',
    "Presented.sign": _SIGNED_IN % 'sign.digest = { username = "{username}", password = "{password}" }',
    "Presented.text": 'states.signed_in.present = { text = { "@TOKEN@" = "{access}" } }',
    "Presented.form": 'states.signed_in.present = { form = { auth = "{access}" } }',
    "Origins.send": 'origins.send = ["https://login.acme.example"]',
    "Origins.present": 'origins.present = ["https://data.acme.example"]',
    "Expiry.lifetime": 'expiry.lifetime = "12h"',
    "Expiry.idle": 'expiry.idle = "30m"',
    "Expiry.ahead": 'expiry = { lifetime = "12h", ahead = 20 }',
    "Verify.jwks_url": 'verify.jwks_url = "https://acme.example/keys"\nexchanges.login.answers.granted = { json = { token = "{access:jwt}", renew = "{refresh}" } }',
    "Verify.issuer": 'verify = { jwks_url = "https://acme.example/keys", issuer = "https://acme.example" }\nexchanges.login.answers.granted = { json = { token = "{access:jwt}", renew = "{refresh}" } }',
    "Verify.audience": 'verify = { jwks_url = "https://acme.example/keys", audience = "orders" }\nexchanges.login.answers.granted = { json = { token = "{access:jwt}", renew = "{refresh}" } }',
    "PublicRequest.method": 'public = [{ method = "OPTIONS" }]',
    "PublicRequest.path": 'public = [{ path = "status" }]',
    "PublicRequest.query": 'public = [{ path = "orders", query = { demo = "1" } }]',
    "PublicRequest.headers": 'public = [{ path = "orders", headers = { X-Demo = "1" } }]',
    "PublicRequest.json": 'public = [{ path = "graphql", json = { operationName = "Status" } }]',
    "Rewrite.from": 'rewrites = [{ from = "orders/{id}", to = "../v2/orders/{id}" }]',
    "Rewrite.to": 'rewrites = [{ from = "orders/{id}", to = "../v2/orders/{id}" }]',
}

#: Converters: what each is for, and a pattern that uses it.
CONVERTER_ROWS: Mapping[str, tuple[str, str]] = {
    "int": ("a whole number, from a JSON number or text", 'ttl = "{expires_in:int}"'),
    "str": ("text; a number's digits", 'id = "{user_id:str}"'),
    "ms": ("a duration in milliseconds; the value is in seconds", 'ttl = "{expires_in:ms}"'),
    "minutes": ("a duration in minutes; the value is in seconds", 'ttl = "{expires_in:minutes}"'),
    "epoch": ("a time in epoch seconds", 'until = "{expires_at:epoch}"'),
    "epoch_ms": ("a time in epoch milliseconds", 'until = "{expires_at:epoch_ms}"'),
    "iso8601": ("a time as ISO 8601 writes it", 'until = "{expires_at:iso8601}"'),
    "http_date": ("a time as HTTP writes it (RFC 9110 §5.6.7)", 'until = "{expires_at:http_date}"'),
    "time": ("ISO 8601, epoch seconds or milliseconds, by its look", 'until = "{expires_at:time}"'),
    "base64": ("text inside base64; either alphabet is read", 'note = "{note:base64}"'),
    "base64url": ("text inside base64url, without padding", 'note = "{note:base64url}"'),
    "hex": ("text inside hexadecimal digits", 'note = "{note:hex}"'),
    "xml": ("a value inside XML: `<` and `&` are escaped", 'note = "<a>{note:xml}</a>"'),
    "json": ("a value inside a JSON text: quotes are escaped", 'note = \'{{"a": "{note:json}"}}\''),
    "word": ("text without blanks", 'note = "{note:word}"'),
    "token": ("one word; where it is a JWT, its `exp` counts", 'token = "{access:token}"'),
    "jwt": ("a JWT; its `exp` says until when it is good (RFC 7519 §4.1.4)", 'token = "{access:jwt}"'),
    "path": (
        "last in a URL: the rest of it, as it is written",
        'rewrites = [{ from = "a/{rest:path}", to = "b/{rest:path}" }]',
    ),
}

#: Functions of `[derive]`: what each gives, and its row.
FUNCTION_ROWS: Mapping[str, tuple[str, str]] = {
    "base64": ("the text in base64", 'x = { base64 = "{username}" }'),
    "basic": ("`Basic …`, of a user and a password (RFC 7617)", 'x = { basic = ["{username}", "{password}"] }'),
    "sha1": ("a digest; `{ message, encoding }` for another encoding than hex", 'x = { sha1 = "{password}" }'),
    "sha256": ("as `sha1`", 'x = { sha256 = { message = "{password}", encoding = "base64" } }'),
    "sha512": ("as `sha1`", 'x = { sha512 = "{password}" }'),
    "md5": ("as `sha1`", 'x = { md5 = "{password}" }'),
    "hmac": (
        "an HMAC (RFC 2104); `digest` is sha256 unless told, `encoding` hex, `key_encoding` text",
        'x = { hmac = { key = "{password}", message = "{username}" } }',
    ),
    "jwt": (
        "a signed assertion (RFC 7523); `lifetime` is 300 s unless told",
        'x = { jwt = { key = "{password}", claims = { sub = "{username}" } } }',
    ),
    "now": (
        "the time: `epoch`, `epoch_ms`, `iso8601`, `http_date`, or a format of strftime, in UTC",
        'x = { now = "iso8601" }',
    ),
    "uuid4": ("a random UUID (RFC 9562)", 'x = { uuid4 = "" }'),
    "pbkdf2": (
        "a key from a password (RFC 8018); `iterations`, `length`, `digest`, `encoding`",
        'x = { pbkdf2 = { password = "{password}", salt = "{username}", iterations = 1000 } }',
    ),
    "rsa": (
        "a message under a public key in PEM form (RFC 8017); `padding` is oaep or pkcs1",
        'x = { rsa = { key = "{username}", message = "{password}" } }',
    ),
    "fingerprint": ("a public key's or certificate's digest", 'x = { fingerprint = { key = "{username}" } }'),
    "upper": ("the text in capitals", 'x = { upper = "{username}" }'),
    "lower": ("the text in small letters", 'x = { lower = "{username}" }'),
    "totp": ("a one-time code (RFC 6238) from a base32 secret", 'x = { totp = "{password}" }'),
    "random": ("so many random bytes, in hex unless told", "x = { random = 16 }"),
}

#: How a placeholder is written: what each form says, and an example.
FORM_ROWS: Mapping[str, tuple[str, str]] = {
    "{name}": (
        "filled in what is sent, read out of what is answered",
        'exchanges.login.answers.granted = { json = { token = "{access}", renew = "{refresh}" } }',
    ),
    "{name:converter}": (
        "the same, converted; see [Converters](#converters)",
        _GRANTED % 'headers = { X-Ttl = "{expires_in:int}" }',
    ),
    "{name?}": ("may be absent: then what hangs on it is left out", _GRANTED % 'headers = { X-Scope = "{scope?}" }'),
    "{=name}": (
        "in a pattern: must equal the value that is known",
        _GRANTED % 'headers = { X-User = "{=username}" }',
    ),
    "{_}": (
        "in a pattern: anything, and it is not kept",
        'answers.rejected = { status = 200, json = { error = "{_}" } }',
    ),
    "{null}": ("alone in a string, in JSON: null", 'answers.rejected = { status = 200, json = { user = "{null}" } }'),
    "{absent}": (
        "alone in a string, in a pattern: the key must be missing",
        'answers.rejected = { status = 200, json = { user = "{absent}" } }',
    ),
    "{{ }}": ("braces, as they are", 'answers.rejected = { status = 200, text = "{{}}" }'),
}

_DERIVED = 'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" }, headers = { X-Sign = "{x}" } }\nderive.x.sha256 = "%s{password}"'
_BROWSER = EXAMPLES["Exchange.by"]
#: Names with a meaning: what each is, and an example.
MEANINGS: Mapping[str, tuple[str, str]] = {
    "access": ("what your requests carry", 'states.signed_in.present = { headers = { X-Token = "{access}" } }'),
    "refresh": (
        "what renews it; an answer that leaves it out keeps the old one",
        _GRANTED % "status = 200",
    ),
    "expires_in": ("how long `access` is good, in seconds", _GRANTED % 'headers = { X-Ttl = "{expires_in:int}" }'),
    "expires_at": ("until when it is good, in epoch seconds", _GRANTED % 'headers = { X-Ends = "{expires_at:time}" }'),
    "refresh_in": (
        "after how many seconds to renew it ahead of its end",
        _GRANTED % 'headers = { X-Renew = "{refresh_in:int}" }',
    ),
    "retry_after": (
        "how many seconds to wait, in an outcome `unavailable` or a refusal",
        'exchanges.login.answers.unavailable = { status = 420, json = { wait = "{retry_after:int}" } }',
    ),
    "reason": (
        "what the vendor said; it stands in the error, and is never stored",
        'exchanges.login.answers.denied = { status = 400, json = { message = "{reason}" } }',
    ),
    "base_url": (
        "the base URL; an answer may bring it",
        _GRANTED % 'headers = { X-Server = "{base_url}" }',
    ),
    "credentials": ("in `fail`: what the credentials that were sent are called", EXAMPLES["State.fail"]),
    "redirect_uri": ("with `by`: where the browser comes back to", _BROWSER),
    "state": ("with `by`: proves that the browser's answer belongs to this login; compared for you", _BROWSER),
    "code_challenge": ("with `by`: PKCE's challenge (RFC 7636)", _BROWSER),
    "code_verifier": (
        "after `by`: PKCE's secret, for the exchange of the code",
        _BROWSER
        + '\nexchanges.code.request = { url = "token", form = { code = "{code}", code_verifier = "{code_verifier}" } }\nexchanges.code.answers = "login"',
    ),
    "request.method": (
        "in `[derive]`: the method of the request that is about to be sent",
        _DERIVED % "{request.method}",
    ),
    "request.host": ("in `[derive]`: its host, with the port where the URL names one", _DERIVED % "{request.host}"),
    "request.path": ("in `[derive]`: its path, as it is written", _DERIVED % "{request.path}"),
    "request.query": ("in `[derive]`: its query, as it is written", _DERIVED % "{request.query}"),
    "request.target": ("in `[derive]`: its path and query", _DERIVED % "{request.target}"),
    "request.sorted": ("in `[derive]`: its query's parameters, sorted by name", _DERIVED % "{request.sorted}"),
    "request.params": (
        "in `[derive]`: the parameters of its query and of its form, sorted by name",
        _DERIVED % "{request.params}",
    ),
    "request.body": ("in `[derive]`: its body, as text", _DERIVED % "{request.body}"),
}

#: Outcomes and events that mean something by themselves.
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "unavailable": (
        "of any exchange: the vendor cannot answer now (408, 425, 429, 5xx, no answer); needs no pattern, and no state that follows",
        "exchanges.login.answers.unavailable = { status = 420 }",
    ),
    "lost": (
        "of an exchange that sends `{refresh}`: it may have arrived, but no answer came; what follows is what follows a refusal",
        'states.stale = { send = "refresh", granted = "signed_in", denied = "signed_out" }  # denied, or lost',
    ),
    "expired": (
        "of a state that presents: the clock says that the token has ended",
        'states.signed_in.expired = "stale"',
    ),
    "rejected": (
        "of a state that presents: an answer to your users' requests says that the token is no longer good; a pattern in `[answers]`, like any event that you name",
        "answers.rejected = { status = [401, 419] }",
    ),
    "missing": (
        "of a state that sends: a value that its request needs is absent",
        'states.stale = { send = "refresh", granted = "signed_in", denied = "signed_out", missing = "signed_out" }',
    ),
}

#: Presets: what a file needs beside `name` and `base_url`.
PRESET_ROWS: Mapping[str, str] = {
    "api-key": 'extends = "api-key"\nstates.signed_in.present = { headers = { X-Acme-Key = "{api_key}" } }',
    "basic": 'extends = "basic"',
    "bearer": 'extends = "bearer"',
    "challenge": 'extends = "challenge"\nsettings.token_server = { default = "https://auth.acme.example/" }',
    "client-credentials": 'extends = "client-credentials"\nsettings.token_url = { default = "oauth/token" }',
    "jwt-bearer": 'extends = "jwt-bearer"\nsettings.token_url = { default = "oauth/token" }\nsettings.audience = { default = "https://acme.example/" }',
    "oauth2-code": 'extends = "oauth2-code"\nsettings.authorize_url = { default = "oauth/authorize" }\nsettings.token_url = { default = "oauth/token" }',
    "oauth2-device": 'extends = "oauth2-device"\nsettings.device_url = { default = "oauth/device" }\nsettings.token_url = { default = "oauth/token" }',
    "oauth2-password": 'extends = "oauth2-password"\nsettings.token_url = { default = "oauth/token" }',
    "password": 'extends = "password"\n'
    'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" } }\n'
    'exchanges.login.answers.granted = { json = { token = "{access}", renew = "{refresh}" } }\n'
    'exchanges.refresh.request = { url = "refresh", json = { renew = "{refresh}" } }\n'
    'exchanges.refresh.answers = "login"',
    "refresh-token": 'extends = "refresh-token"\nsettings.token_url = { default = "oauth/token" }',
    "relogin": 'extends = "relogin"\n'
    'exchanges.login.request = { url = "login", json = { user = "{username}", pass = "{password}" } }\n'
    'exchanges.login.answers.granted = { json = { token = "{access}", ttl = "{expires_in:int}" } }',
    "session-cookie": 'extends = "session-cookie"',
    "signed": 'extends = "signed"\nidentity = ["username"]\ncredentials = { username = {}, password = { secret = true } }\nsign.digest = { username = "{username}", password = "{password}" }',
    "token-exchange": 'extends = "token-exchange"\nsettings.token_url = { default = "oauth/token" }',
}

#: What replaces the preset's whole: the rule, as `extends.WHOLE` has it, and an example.
MERGING: Mapping[str, tuple[str, str]] = {
    "exchanges.*.request": ("the request of an exchange", EXAMPLES["Exchange.request"]),
    "exchanges.*.sign": ("how an exchange is signed", "exchanges.login.sign = {}"),
    "exchanges.*.answers.*": ("the pattern of one outcome", "exchanges.login.answers.denied = { status = 422 }"),
    "states.*.present": ("what a state presents", EXAMPLES["State.present"]),
    "answers.*": ("the pattern of one event", "answers.rejected = { status = [401, 419] }"),
    "derive.*": ("a derived value", EXAMPLES["VendorFile.derive"]),
    "sign": ("how everything is signed", "sign.dpop = {}"),
}

#: The rules of merging that are no paths.
MERGING_TOO: Mapping[str, tuple[str, str]] = {
    "any other table": (
        "merges key by key; your keys come first where order matters",
        'settings.host = { default = "acme.example" }\nbase_url = "https://{host}/"',
    ),
    "a state with another of `send`, `present`, `fail`": (
        "replaces the preset's state; else yours adds to it",
        'states.stale = { send = "refresh", granted = "signed_in", denied = "signed_out" }',
    ),
    '`answers = "login"`': ("takes the answers of that exchange", 'exchanges.refresh.answers = "login"'),
    "what your file has no use for": (
        "a state that nothing leads to any more goes, and its exchange and inputs with it",
        'states.signed_in.expired = "signed_out"\nstates.signed_in.rejected = "signed_out"',
    ),
    "a credential that you add": (
        "joins the preset's `identity`, unless it is `once` or your file has an `identity`",
        "credentials.realm = {}\n" + _LOGIN % 'query = { realm = "{realm}" }',
    ),
}

FIRST = """## What most files use

| you write | what for |
|---|---|
| `extends = "password"` | begin with a preset; see [Presets](#presets) |
| `base_url = "https://acme.example/api/"` | where the vendor is; counts as a folder |
| `[exchanges.login]` `request`, `answers` | what is sent, and what its answers look like |
| `{access}`, `{refresh}`, `{expires_in:int}` | placeholders with a meaning; see [Values](#values) |
| `[states.signed_in]` `present` | what your requests carry |
| `[answers]` `rejected` | how the vendor says "expired" |
| `[settings]`, `[credentials]` | what the user gives: every name that you write as `{name}` and no answer brings |
| `[origins]` `present` | where else the token may be presented |
| `[[rewrites]]` | where the data really lies |

A string may hold [placeholders](#placeholders). All else in a pattern must be equal; what a pattern does not name is ignored.
"""


def laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """An example over the base: tables merge, but a request, a presentation and an answer's patterns are replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        whole = key in ("request", "present", "granted")
        merged[key] = (
            laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) and not whole else value
        )
    return merged


def example(text: str) -> dict[str, Any]:
    return laid_over(tomllib.loads(BASE), tomllib.loads(text))


def converter_example(row: str) -> dict[str, Any]:
    if row.startswith("rewrites"):
        return example(row)
    fields = "" if "access" in row else 'token = "{access}", '
    return example(f'exchanges.login.answers.granted = {{ json = {{ {fields}{row}, renew = "{{refresh}}" }} }}')


def function_example(row: str) -> dict[str, Any]:
    sent = '{ user = "{username}", pass = "{password}", x = "{x}" }'
    return example(f'exchanges.login.request = {{ url = "login", json = {sent} }}\nderive.{row}')


def preset_example(row: str) -> dict[str, Any]:
    return tomllib.loads(f'name = "acme"\nbase_url = "https://acme.example/api/"\n{row}')


def preset_lines() -> dict[str, str]:
    """Each preset and its first line, which describes it."""
    folder = resources.files("authflow.vendors") / "presets"
    return {
        name: (folder / f"{name}.toml").read_text("utf-8").partition("\n")[0].lstrip("# ") for name in preset_names()
    }


def words() -> Iterator[tuple[str, str, str]]:
    """Every key: its table, its name, what it is for."""
    definitions = schema()["$defs"]
    for table in definitions:
        for key, what in definitions[table].get("properties", {}).items():
            yield table, key, what.get("description", "")


def page() -> str:
    parts = [
        "# The vendor file, word by word\n",
        "<!-- made by `make reference` from the classes that read the file -->\n",
        "Every key, placeholder, converter, function, outcome, preset and merge rule, each with an example that loads (laid over a",
        "file that extends `password`). [`README.md`](README.md) beside this page teaches how to write a vendor file.",
        "`authflow schema` prints the same for editors. Signers (`sign.NAME`) have [a page of their own](signers/README.md).\n",
        FIRST,
    ]
    keys = list(words())
    for table, title in TABLES.items():
        parts += [f"## {title}\n", "| key | what for | example |", "|---|---|---|"]
        parts += [f"| `{key}` | {what} | {code(EXAMPLES[f'{table}.{key}'])} |" for at, key, what in keys if at == table]
        parts.append("")
    parts += [
        "## Placeholders\n",
        *rows("written", "what it says", FORM_ROWS),
        "## Values\n",
        "These names mean something. All others are yours: what you give is declared in `[settings]` or `[credentials]`, what an",
        "answer brings is declared by the pattern that reads it.\n",
        *rows("name", "what it is", MEANINGS),
        "## Converters\n",
        *rows("converter", "what it reads and writes", CONVERTER_ROWS),
        "## Functions of `[derive]`\n",
        *rows("function", "what it gives", FUNCTION_ROWS),
        "## Outcomes and events\n",
        "An exchange's outcomes have the names that you give them (`granted`, `denied`, …); a key of that name in the state that",
        "sends it says which state follows. Where the form has a `grant_type`, the `error` codes of OAuth 2 need no pattern: they",
        "are refusals, `unavailable`, or a mistake in the settings (RFC 6749 §5.2, RFC 8628 §3.5). These names mean something:\n",
        *rows("name", "when", OUTCOMES),
        "## Presets\n",
        "`authflow show NAME` draws one. The example is all that a file needs beside `name` and `base_url`.\n",
        *rows("preset", "what it is", {name: (what, PRESET_ROWS[name]) for name, what in preset_lines().items()}),
        "## How a file lies over its preset\n",
        "These replace the preset's whole:\n",
        *rows("what", "that is", {rule.replace("*", "NAME"): row for rule, row in MERGING.items()}),
        "And else:\n",
        *rows("what", "how", MERGING_TOO, "{}"),
    ]
    return "\n".join(parts).rstrip() + "\n"


def rows(left: str, right: str, table: Mapping[str, tuple[str, str]], written: str = "`{}`") -> list[str]:
    cells = [f"| {written.format(name)} | {what} | {code(row)} |" for name, (what, row) in table.items()]
    return [f"| {left} | {right} | example |", "|---|---|---|", *cells, ""]


def code(text: str) -> str:
    return "<br>".join(f"`{line}`" for line in text.replace("|", "\\|").splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
