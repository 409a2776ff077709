"""Logins that a standard describes: the fields say which, and a preset runs it. Pure.

grant_type   client credentials, password, token exchange, assertion, device, code (RFC 6749, 7523, 8628, 8693)
challenge    a 401 names its token server (RFC 6750 §3)

What the preset does not foresee is learnt field by field, as other logins are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

import jwt

from authflow.templates import jwt_claims
from authflow_learn.leaves import Leaf, unbase64
from authflow_learn.messages import Capture
from authflow_learn.tracing import Flow

_URN: Final = "urn:ietf:params:oauth:grant-type:"
_CLIENT: Final = frozenset({"client_id", "client_secret"})
#: By `grant_type`: the preset, the fields that it sends, and those of them that are settings.
_GRANTS: Final[Mapping[str, tuple[str, frozenset[str], tuple[str, ...]]]] = {
    "client_credentials": ("client-credentials", frozenset(), ("scope",)),
    "password": ("oauth2-password", frozenset({"username", "password"}), ("scope",)),
    "refresh_token": ("refresh-token", frozenset({"refresh_token"}), ()),
    f"{_URN}token-exchange": (
        "token-exchange",
        frozenset({"subject_token"}),
        ("subject_token_type", "requested_token_type", "audience", "resource", "scope"),
    ),
    f"{_URN}jwt-bearer": ("jwt-bearer", frozenset({"assertion"}), ("scope",)),
    f"{_URN}device_code": ("oauth2-device", frozenset({"device_code"}), ()),
    "authorization_code": ("oauth2-code", frozenset({"code", "redirect_uri", "code_verifier"}), ()),
}
_USUAL: Final = {"subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "algorithm": "RS256"}
#: Presets whose client need not have a secret, and has its id as a setting.
_PUBLIC: Final = ("oauth2-device", "oauth2-code", "oauth2-password")


class Standard(NamedTuple):
    """A preset, its settings' defaults (URLs whole), where the client's secret stands, and what is left to ask.

    `more` is what the page is given where a person signs in, beside what the preset gives it.
    """

    preset: str
    settings: dict[str, str]
    secret_in: str = ""
    questions: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    more: tuple[tuple[str, str], ...] = ()


def of(flow: Flow, login: int, access: str) -> Standard | None:
    """The standard login that brought this token; None where a preset does not say all of it."""
    one = flow.captures[login]
    if (server := _challenged(flow, login)) is not None:
        return Standard("challenge", {"token_server": server}, secrets=frozenset(_basic(one)))
    form = dict(parse_qsl(one.request.body, keep_blank_values=True))
    preset, sent, settings = _GRANTS.get(form.get("grant_type", ""), ("", frozenset(), ()))
    document = one.answer.document
    if not preset or one.method != "POST" or urlsplit(one.url).query or not isinstance(document, dict):
        return None
    if document.get("access_token") != access or form.keys() - sent - _CLIENT - {"grant_type", *settings}:
        return None
    if preset == "refresh-token" and flow.born.get(form["refresh_token"], (login,))[0] < login:
        return None  # not the user's
    pair = _basic(one)
    secret = form.get("client_secret") or "".join(pair[1:])
    if preset != "jwt-bearer" and preset not in ("oauth2-device", "oauth2-code") and not secret:
        return None
    given = {"token_url": _plain(one.url), **{name: form[name] for name in settings if form.get(name)}}
    asked, more = list[str](), dict[str, str]()
    if preset == "jwt-bearer":
        given |= _assertion(form["assertion"])
    elif preset in _PUBLIC and "client_id" not in flow.known:
        given["client_id"] = form.get("client_id") or "".join(pair[:1])
    if preset == "oauth2-device":
        given |= _begun(flow, form.get("device_code", ""))
    elif preset == "oauth2-code":
        given |= _authorized(flow, asked, more)
    secret_in = "" if pair or not secret else "body"
    if pair and any(raw in flow.known.values() and quote_plus(raw) != raw for raw in pair):
        secret_in = "header-raw"
    hidden = {
        secret,
        form.get("password", ""),
        form.get("subject_token", ""),
        form.get("refresh_token", ""),
        form.get("assertion", ""),
    } - {""}
    kept = {name: value for name, value in given.items() if value and _USUAL.get(name) != value}
    return Standard(preset, kept, secret_in, tuple(asked), frozenset(hidden), tuple(more.items()))


def _basic(one: Capture) -> list[str]:
    scheme, _, encoded = one.request.header("authorization").partition(" ")
    decoded = unbase64(encoded) if scheme.lower() == "basic" else None
    return decoded.split(":", 1) if decoded and ":" in decoded else []


def _plain(url: str) -> str:
    return url.partition("?")[0]


def _challenged(flow: Flow, login: int) -> str | None:
    """The token server that an earlier 401 named, where the login asked there."""
    one = flow.captures[login]
    if one.method != "GET" or not _basic(one):
        return None
    for at in range(login):
        said = {str(leaf.place[2]): leaf.value for leaf in flow.answers[at] if leaf.place[0] == "challenge"}
        if flow.captures[at].status == 401 and said.get("realm") == _plain(one.url):
            parts = urlsplit(one.url)
            return f"{parts.scheme}://{parts.netloc}/"
    return None


def _assertion(assertion: str) -> dict[str, str]:
    """What a signed assertion says in plain text."""
    try:
        claims, head = jwt_claims(assertion), jwt.get_unverified_header(assertion)
    except (ValueError, jwt.PyJWTError):
        return {}
    said: Mapping[str, Any] = {
        "issuer": claims.get("iss"),
        "subject": claims.get("sub"),
        "audience": claims.get("aud"),
        "scope": claims.get("scope"),
        "algorithm": head.get("alg"),
        "key_id": head.get("kid"),
    }
    return {name: value for name, value in said.items() if isinstance(value, str)}


def _begun(flow: Flow, device_code: str) -> dict[str, str]:
    """Where the device flow began, and for what."""
    at = next((at for at, leaves in enumerate(flow.answers) if _brings(leaves, "device_code", device_code)), None)
    if at is None:
        return {}
    sent = dict(parse_qsl(flow.captures[at].request.body))
    return {"device_url": _plain(flow.captures[at].url), "scope": sent.get("scope", "")}


def _brings(leaves: list[Leaf], name: str, value: str) -> bool:
    return any(leaf.name == name and leaf.value == value for leaf in leaves)


def _authorized(flow: Flow, asked: list[str], more: dict[str, str]) -> dict[str, str]:
    """The page where the person signed in."""
    for one in flow.captures:
        query = dict(parse_qsl(urlsplit(one.url).query))
        if one.method == "GET" and query.get("response_type") == "code":
            usual = ("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "response_mode")
            anew = ("code_challenge", "code_challenge_method", "login_hint", "client-request-id")
            more |= {name: value for name, value in query.items() if name not in (*usual, *anew) and len(value) <= 60}
            return {"authorize_url": _plain(one.url), "scope": query.get("scope", "")}
    asked.append("where does a person sign in? No request to authorize_url was captured")
    return {"authorize_url": "authorize"}
