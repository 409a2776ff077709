"""The vendor file as it is written: one struct per table, and nothing about what it means.

The JSON Schema that editors use is made from these classes, and so are the findings for files that do not fit them.
`misfits` makes the findings; how a file lies over a preset is told in `extends`.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

Text = str | int | float | bool
Fields = dict[str, Text | list[Text]]
Sign = Annotated[
    dict[str, dict[str, Any]] | UnsetType,
    Meta(description="signer = { its parameters }; the nearest one counts, {} signs nothing"),
]


class Input(Struct, forbid_unknown_fields=True, frozen=True):
    """A setting or credential that the user gives: required, unless it has a default or is optional."""

    default: Annotated[
        str | int | float | bool | list[str] | UnsetType,
        Meta(description="What counts if it is not given; may hold other inputs, as {placeholders}"),
    ] = UNSET
    optional: Annotated[bool, Meta(description="May be left out; what is written {name?} is dropped then")] = False
    type: Annotated[
        Literal["str", "int", "url", "host", "duration"],
        Meta(description="What kind of value is expected; checked when it is given"),
    ] = "str"
    empty: Annotated[bool, Meta(description="May be given empty")] = False
    once: Annotated[bool, Meta(description="Good for one exchange only, like a one-time code")] = False
    secret: Annotated[bool, Meta(description="Never shown, and allowed in no URL")] = False
    title: Annotated[str, Meta(description="What to call it when asking for it")] = ""


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """What an exchange sends."""

    url: Annotated[
        str, Meta(description="Relative to base_url (RFC 3986); a placeholder at its very start holds a whole URL")
    ]
    method: Annotated[str | None, Meta(description="If not given: POST with a body, else GET")] = None
    query: Annotated[Fields, Meta(description="Added to the URL")] = {}
    headers: Annotated[Fields, Meta(description="A list sends the header once for each")] = {}
    cookies: Annotated[dict[str, Text], Meta(description="Sent in the Cookie header, by name")] = {}
    json: Annotated[Any, Meta(description="A JSON body, as a template")] = UNSET
    form: Annotated[Fields | None, Meta(description="An application/x-www-form-urlencoded body")] = None
    text: Annotated[str | None, Meta(description="Any other body, as text")] = None
    basic: Annotated[tuple[str, str] | None, Meta(description="User and password for HTTP Basic (RFC 7617)")] = None
    client_basic: Annotated[
        tuple[str, str] | None, Meta(description="Client id and secret, form-encoded first (RFC 6749 §2.3.1)")
    ] = None


class PublicRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """A pattern for requests of the caller's that need no token."""

    method: Annotated[str | None, Meta(description="If left out: any")] = None
    path: Annotated[str | None, Meta(description="Relative to base_url")] = None
    query: Annotated[Fields, Meta(description="What the query must hold")] = {}
    headers: Annotated[Fields, Meta(description="What the headers must hold")] = {}
    json: Annotated[Any, Meta(description="What a JSON body must hold")] = UNSET


class Pattern(Struct, forbid_unknown_fields=True, frozen=True):
    """What an answer must look like; all that is named must fit."""

    status: Annotated[int | list[int] | None, Meta(description="If left out: any")] = None
    headers: Annotated[Fields, Meta(description="By name, in any case")] = {}
    cookies: Annotated[dict[str, Text], Meta(description="What Set-Cookie sets, by name")] = {}
    challenge: Annotated[dict[str, Text], Meta(description="A challenge in WWW-Authenticate (RFC 9110 §11.6.1)")] = {}
    json: Annotated[Any, Meta(description="What a JSON body must hold; other keys are ignored")] = UNSET
    form: Annotated[Fields | None, Meta(description="What a form-encoded body must hold")] = None
    text: Annotated[str | None, Meta(description="The whole body; {_} stands for any part of it")] = None
    again: Annotated[
        int | float | str | None,
        Meta(
            description='Not done yet: repeat the exchange after this time, at least 1 s; "+5s" adds to the time so far'
        ),
    ] = None
    patience: Annotated[
        int | float | str | None,
        Meta(description="How long to go on repeating, 30 min at most; if left out: the session's time-out"),
    ] = field(default=None, name="for")


Outcomes = dict[str, Pattern | list[Pattern]]


class Exchange(Struct, forbid_unknown_fields=True, frozen=True):
    """A request, and the patterns that name its answer; the first that fits wins."""

    request: Annotated[Request, Meta(description="What is sent")]
    answers: Annotated[
        Outcomes | str,
        Meta(description="Patterns by outcome; or the name of the exchange whose answers count here too"),
    ]
    by: Annotated[
        Literal["browser"] | None, Meta(description="A person's browser opens it, and its redirect is read as a form")
    ] = None
    redirects: Annotated[bool, Meta(description="Follow redirects, to declared origins")] = False
    sign: Sign = UNSET


class Presented(Struct, forbid_unknown_fields=True, frozen=True):
    """What a state lays over the caller's own requests."""

    headers: Annotated[Fields, Meta(description="Replace the caller's own of the same name")] = {}
    cookies: Annotated[dict[str, Text], Meta(description="Replace the caller's own of the same name")] = {}
    query: Annotated[Fields, Meta(description="Replace the caller's own of the same name")] = {}
    basic: Annotated[tuple[str, str] | None, Meta(description="User and password for HTTP Basic (RFC 7617)")] = None
    json: Annotated[
        dict[str, Any] | None, Meta(description="Merged into a JSON body; {_} in a list keeps the caller's element")
    ] = None
    form: Annotated[Fields, Meta(description="Fields of a form, also of a multipart one")] = {}
    text: Annotated[dict[str, Text], Meta(description="Replaces literal text in a text body")] = {}
    sign: Sign = UNSET


class State(Struct, frozen=True):
    """A state does one of three things; every further key is an outcome or event, and says which state follows."""

    send: Annotated[str | None, Meta(description="The exchange to send")] = None
    present: Annotated[Presented | None, Meta(description="What your users' requests carry")] = None
    fail: Annotated[str | None, Meta(description="The error's message")] = None
    missing: Annotated[
        str | None, Meta(description="The state that follows when a value for the request is absent")
    ] = None
    tell: Annotated[str | None, Meta(description="What a person is told before the exchange is sent")] = None


class Origins(Struct, forbid_unknown_fields=True, frozen=True):
    """Origins beside that of base_url; {_} is any one label of a host, with two literal ones behind it."""

    send: Annotated[list[str], Meta(description="Where else exchanges may be sent")] = []
    present: Annotated[list[str], Meta(description="Where else the token may be presented")] = []


class Expiry(Struct, forbid_unknown_fields=True, frozen=True):
    """Expiry where the answers tell none: seconds, "12h", or a setting in a placeholder."""

    lifetime: Annotated[int | float | str | None, Meta(description="How long a token is good, from the login on")] = (
        None
    )
    idle: Annotated[
        int | float | str | None,
        Meta(description="How long a token is good after its last use that the vendor accepted"),
    ] = None
    ahead: Annotated[
        int | float | str | None, Meta(description="Renew in the last so many seconds, and not before")
    ] = None


class Verify(Struct, forbid_unknown_fields=True, frozen=True):
    """Verification of JWTs on receipt."""

    jwks_url: Annotated[str, Meta(description="Where the vendor publishes its keys (RFC 7517)")]
    issuer: Annotated[str | None, Meta(description="What the token's iss must be")] = None
    audience: Annotated[str | list[str] | None, Meta(description="The token's aud must hold one of these")] = None


class Rewrite(Struct, forbid_unknown_fields=True, frozen=True, rename={"source": "from", "target": "to"}):
    """A URL of the caller's that lives elsewhere."""

    source: Annotated[str, Meta(description="The URL that your users ask for, relative to base_url")]
    target: Annotated[str, Meta(description="Where the request is sent instead, relative to base_url")]


class VendorFile(Struct, forbid_unknown_fields=True, frozen=True):
    """A vendor: how to log in, how to stay logged in, and what a request must carry."""

    name: Annotated[str, Meta(description="Must be unique; letters, digits, - and _")] = ""
    title: Annotated[str, Meta(description="What people call it, in messages")] = ""
    extends: Annotated[str | None, Meta(description="The preset, or installed vendor, that this file completes")] = None
    base_url: Annotated[str | None, Meta(description="Where the vendor is; if left out, the user gives it")] = None
    start: Annotated[str | None, Meta(description="The state in which a new session begins")] = None
    identity: Annotated[
        list[str] | None, Meta(description="The credentials that tell users apart; if left out: all of them")
    ] = None
    secret_in: Annotated[
        Literal["header", "header-raw", "body"],
        Meta(description="How a client's secret is sent: Basic, encoded (header) or raw (header-raw); the form (body)"),
    ] = "header"
    insecure_url: Annotated[bool, Meta(description="Allow secrets in URLs, where logs and proxies see them")] = False
    insecure_http: Annotated[
        bool, Meta(description="Allow plain http to private addresses, .local, .lan, .home.arpa, .internal, bare names")
    ] = False
    on_logout: Annotated[str | None, Meta(description="The exchange that ends the session at the vendor")] = None
    vary: Annotated[list[str], Meta(description="Values that each need a token of their own, a scope say")] = []
    shown: Annotated[list[str], Meta(description="Captured values that session.values() returns")] = []
    settings: Annotated[dict[str, Input], Meta(description="What the user gives, by name")] = {}
    credentials: Annotated[
        dict[str, Input], Meta(description="What says and proves who the user is, by name; kept in no store")
    ] = {}
    headers: Annotated[
        Fields, Meta(description="Sent with every exchange, and with every request that carries the token")
    ] = {}
    sign: Sign = UNSET
    derive: Annotated[dict[str, dict[str, Any]], Meta(description="name = { function = argument }")] = {}
    origins: Annotated[Origins, Meta(description="Other servers that belong to the vendor")] = field(
        default_factory=Origins
    )
    expiry: Annotated[Expiry, Meta(description="When a token ends, if no answer says so")] = field(
        default_factory=Expiry
    )
    verify: Annotated[Verify | None, Meta(description="Check each JWT against the vendor's public keys")] = None
    exchanges: Annotated[dict[str, Exchange], Meta(description="Requests of the login and their answers, by name")] = {}
    states: Annotated[dict[str, State], Meta(description="The states of a session, by name")] = {}
    answers: Annotated[
        Outcomes | None, Meta(description="Events, by name: the answers to your users' requests that mean them")
    ] = None
    keep: Annotated[
        list[Pattern],
        Meta(description="Values that are read anew from each good answer; nothing is sent again for them"),
    ] = []
    public: Annotated[list[PublicRequest], Meta(description="Requests that are sent without the token")] = []
    rewrites: Annotated[list[Rewrite], Meta(description="URLs of your users' that are sent elsewhere")] = []


# --- findings ---------------------------------------------------------------------------------------------------------


#: What people write for it elsewhere.
_MEANT: Final[Mapping[str, str]] = {
    "body": "json', 'form' or 'text",
    "data": "form",
    "params": "query",
    "uri": "url",
    "path": "url",
    "url": "path",
    "code": "status",
    "auth": "basic",
    "verb": "method",
    "initial": "start",
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "answers": 'answers.granted = { status = 200, json = { token = "{access}" } }',
    "request": 'request = { url = "login", json = { … } }',
    "url": 'url = "login"',
    "from": 'from = "deliveries/{id}"',
    "to": 'to = "../tracking/{id}"',
}
_WORDS: Final[Mapping[str, str]] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "null",
}


def misfits(raw: Any, kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Every place where a raw value does not fit a type: key path, reason, hint."""
    try:
        msgspec.convert(raw, kind, strict=True)
        return
    except msgspec.ValidationError as error:
        reason = _in_words(str(error).partition(" - at ")[0])
    except RecursionError:
        yield ".".join(path), "nested too deeply", ""
        return
    except UnicodeError:
        reason = "half a character, which no text can hold"
    within = list(_misfits_within(raw, kind, path))
    yield from within or [(".".join(path), reason, _stray(path, raw))]


def _misfits_within(raw: Any, kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    inner = _inner(raw, kind)
    if get_origin(inner) is Literal:
        yield ".".join(path), f"must be one of {', '.join(map(repr, get_args(inner)))}, not {raw!r}", ""
    elif isinstance(raw, Mapping):
        for key in raw:
            if not isinstance(key, str):
                yield ".".join((*path, str(key))), f"a key must be text, not {_in_words(f'`{type(key).__name__}`')}", ""
        if isinstance(inner, type) and issubclass(inner, Struct):
            yield from _struct_misfits(raw, inner, path)
        elif get_origin(inner) is dict:
            for key, value in raw.items():
                yield from misfits(value, get_args(inner)[1], (*path, str(key)))
    elif isinstance(raw, list) and get_origin(inner) is list:
        for index, value in enumerate(raw):
            yield from misfits(value, get_args(inner)[0], (*path, str(index)))


def _in_words(reason: str) -> str:
    """What msgspec says, in the words of the notation."""
    reason = reason.replace(" | null", "")
    reason = re.sub(
        "`([^`]+)`", lambda said: " or ".join(_WORDS.get(part, part) for part in said[1].split(" | ")), reason
    )
    return re.sub("^Expected (.*), got (.*)$", r"must be \1, not \2", reason)


def _stray(path: tuple[str, ...], raw: Any) -> str:
    """A hint where a key of the whole file stands below a table, as TOML reads it."""
    if len(path) < 2 or isinstance(raw, Mapping) or path[-1] not in VendorFile.__struct_fields__:
        return ""
    return f"does it stand below [{'.'.join(path[:-1])}]? Keys of the whole file come before all tables"


def _struct_misfits(
    raw: Mapping[str, Any], kind: type[Struct], path: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    fields = {entry.encode_name: entry for entry in msgspec.structs.fields(kind)}
    for key, value in raw.items():
        here = (*path, str(key))
        if key in fields:
            yield from misfits(value, fields[key].type, here)
        elif kind.__struct_config__.forbid_unknown_fields and isinstance(key, str):
            yield ".".join(here), "unknown key", _stray(here, value) or did_you_mean(key, fields)
    for key, entry in fields.items():
        if key not in raw and entry.required:
            yield ".".join((*path, key)), "missing", _EXAMPLES.get(key, "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    if not close and (meant := _MEANT.get(name)) and any(part in names for part in meant.split("'")):
        close = [meant]
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names) or 'none'}"


def _inner(raw: Any, kind: Any) -> Any:
    """The arm of a union that a raw value was meant for."""
    if get_origin(kind) is Annotated:
        return _inner(raw, get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        wanted = dict if isinstance(raw, Mapping) else list if isinstance(raw, list) else type(raw)
        for arm in get_args(kind):
            bare = get_args(arm)[0] if get_origin(arm) is Annotated else arm
            if get_origin(bare) is Literal and wanted is str:
                return bare
            if get_origin(bare) is wanted or (wanted is dict and isinstance(bare, type) and issubclass(bare, Struct)):
                return bare
    return kind
