"""`plugins/REFERENCE.md`: every word that a vendor file may hold, made from the classes and tables that read it.

`python -m tests.reference` (or `make reference`) writes the page anew; `test_reference.py` says which words it lacks, and
loads every example. A new key, converter, function or preset needs one row here: its example.

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

MEANINGS: Mapping[str, str] = {
    "access": "what your requests carry",
    "refresh": "what renews it; an answer that leaves it out keeps the old one",
    "expires_in": "how long `access` is good, in seconds",
    "expires_at": "until when, in epoch seconds",
    "refresh_in": "after how many seconds to renew ahead",
    "retry_after": "how many seconds to wait, in an outcome `unavailable` or a refusal",
    "reason": "what the vendor said; it stands in the error, and is never stored",
}

OUTCOMES: Mapping[str, str] = {
    "granted, denied, …": "an exchange's own outcomes: any name, and a state's key of that name says what follows",
    "unavailable": "built in: the vendor cannot answer now (408, 425, 429, 5xx, no answer); needs no pattern and no edge",
    "lost": "built in: the request may have arrived, its answer did not; for exchanges that spend `{refresh}`",
    "expired": "an event of a presenting state: the clock says that the token has ended",
    "rejected, …": "events of a presenting state: patterns in `[answers]` for the answers to your own requests",
    "missing": "an edge of a sending state: where to go when a value that its request needs is absent",
}

MERGING: Mapping[str, str] = {
    "tables": "merge key by key, your file's keys first where order matters",
    "`request`, `present`, an outcome's pattern": "yours replaces the preset's whole",
    "a state with `send`, `present` or `fail`": "yours replaces the preset's state where it does another of the three",
    "what your file has no use for": "a state that nothing leads to goes, and its exchange and inputs with it",
    '`answers = "login"`': "the outcomes of that exchange",
    "a credential that you add": "joins `identity`, unless it is `once` or the file says `identity`",
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
| `[settings]`, `[credentials]` | what the user gives |
| `[origins]` `present` | where else the token may be presented |
| `[[rewrites]]` | where the data really lies |

A string may hold placeholders: `{name}` is filled in requests and read in answers, `{name:int}` converts, `{name?}` may be
absent, `{_}` is anything, `{{` and `}}` are braces. Literals must be equal; what a pattern does not name is ignored.
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
        "Every key, placeholder, converter, function, outcome and preset, each with an example that loads (laid over a file that",
        "extends `password`). [`README.md`](README.md) beside this page teaches how to write one. `authflow schema` prints the same",
        "for editors.\n",
        FIRST,
    ]
    keys = list(words())
    for table, title in TABLES.items():
        parts += [f"## {title}\n", "| key | what for | example |", "|---|---|---|"]
        parts += [f"| `{key}` | {what} | {code(EXAMPLES[f'{table}.{key}'])} |" for at, key, what in keys if at == table]
        parts.append("")
    parts += [
        "## Values\n",
        "Names with a meaning; all others are yours.\n",
        *rows("name", "what it is", MEANINGS, "`{}`"),
    ]
    parts += ["## Converters\n", "| converter | what it reads and writes | example |", "|---|---|---|"]
    parts += [f"| `{name}` | {what} | {code(row)} |" for name, (what, row) in CONVERTER_ROWS.items()]
    parts += ["", "## Functions of `[derive]`\n", "| function | what it gives | example |", "|---|---|---|"]
    parts += [f"| `{name}` | {what} | {code(row)} |" for name, (what, row) in FUNCTION_ROWS.items()]
    parts += ["", "## Outcomes and events\n", *rows("name", "when", OUTCOMES, "{}")]
    parts += [
        "## Presets\n",
        "`authflow show NAME` draws one.\n",
        *rows("preset", "what it is", preset_lines(), "`{}`"),
    ]
    parts += ["## How a file lies over its preset\n", *rows("what", "how", MERGING, "{}")]
    return "\n".join(parts).rstrip() + "\n"


def rows(left: str, right: str, table: Mapping[str, str], written: str) -> list[str]:
    cells = [f"| {written.format(name)} | {what} |" for name, what in table.items()]
    return [f"| {left} | {right} |", "|---|---|", *cells, ""]


def code(text: str) -> str:
    return "<br>".join(f"`{line}`" for line in text.replace("|", "\\|").splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
