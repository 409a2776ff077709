"""What is public: its names, its help; and that no object of ours shows a secret."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import inspect
import pkgutil
import pydoc
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import authflow
from authflow.http import Answer, Request
from authflow.sealed import Sealed
from authflow.stores.memory import MemoryStore
from tests.house import ONLY_IN
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered

PUBLIC = [
    "AuthFlowError",
    "AuthSession",
    "ConfigurationError",
    "CredentialsRefused",
    "Status",
    "StoreError",
    "Token",
    "UntrustedOrigin",
    "Vendor",
    "VendorAnswerError",
    "VendorFileError",
    "VendorUnavailable",
    "hookimpl",
]
SESSION = [
    *("aheaders", "aiohttp", "atoken", "close", "headers", "httpx", "httpx2", "login", "logout", "niquests", "record"),
    *("requests", "status", "token", "values", "vendor"),
]
#: What users call that cannot fail.
SAFE = {"close", "record", "status"}


def test_the_public_names() -> None:
    """Whoever changes this list changes what users rely on: say so in the changelog."""
    assert sorted(authflow.__all__) == sorted(PUBLIC)
    assert sorted(authflow._HOMES) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(authflow, name).__doc__
        assert name in dir(authflow)
    with pytest.raises(AttributeError, match="no attribute 'Session'"):
        authflow.Session  # noqa: B018
    assert authflow.__version__


def test_a_session_shows_what_users_type_and_nothing_else() -> None:
    shown = [name for name in dir(ScriptedVendor().session()) if not name.startswith("_")]
    assert shown == sorted(SESSION), (
        "what users type goes into SESSION, README and changelog; what adapters ask belongs to the session manager"
    )


def test_help_tells_a_stranger_what_to_give_and_what_is_raised() -> None:
    told = pydoc.render_doc(authflow, renderer=pydoc.plaintext)
    assert "authflow - Logs in for you" in told
    for name in SESSION:
        member = inspect.getattr_static(authflow.AuthSession, name, None)
        if member is not None:
            doc = inspect.getdoc(member) or ""
            assert doc, name
            assert ("Raises" in doc) == (name not in SAFE), name
    for cls in (authflow.AuthSession, authflow.Status, authflow.Token):
        doc = inspect.getdoc(cls) or ""
        for name in inspect.signature(cls).parameters:
            assert re.search(rf"(^|  ){name}  ", doc, re.MULTILINE) or name == "settings_and_credentials", name


def test_every_module_can_be_imported_by_itself() -> None:
    for info in pkgutil.walk_packages(authflow.__path__, "authflow."):
        try:
            importlib.import_module(info.name)
        except ModuleNotFoundError as missing:
            if missing.name not in ONLY_IN:
                raise


# --- no secret in any repr --------------------------------------------------------------------------------------------

SECRETS = {
    "password": "pass-w0rd-that-is-secret",
    "access": "acc3ss-that-is-secret",
    "refresh": "refr3sh-that-is-secret",
    "otp": "0tp-that-is-secret",
}


def exposed(when: str) -> list[str]:
    """Every object of ours that is alive now, and shows a secret when it is printed."""
    found = []
    for thing in gc.get_objects():
        kind = type(thing)
        if not str(kind.__module__).startswith("authflow") or isinstance(thing, type):
            continue
        for way in (repr, str):
            shown = way(thing)
            found += [
                f"{when}: {way.__name__} of {kind.__module__}.{kind.__qualname__} shows {secret}"
                for secret, value in SECRETS.items()
                if value in shown
            ]
    return sorted(set(found))


def test_no_object_shows_a_secret() -> None:
    """In the middle of a login, of a refresh, and at rest: whatever a debugger or a traceback would print."""
    found: list[str] = []

    def grant(request: Request) -> Answer:
        found.extend(exposed(request.url))
        return answered(200, {"access": SECRETS["access"], "refresh": SECRETS["refresh"], "in": int(LIFETIME)})

    login = LADDER["exchanges"]["login"]
    with_otp = {**login, "request": {**login["request"], "headers": {"X-OTP": "{otp}"}}}
    file = {
        **LADDER,
        "credentials": {"otp": {"secret": True}},
        "exchanges": {**LADDER["exchanges"], "login": with_otp},
        "derive": {"pair": {"base64": "{username}:{access}"}},
        "states": {
            **LADDER["states"],
            "signed_in": {"present": {"headers": {"A": "{access}"}, "cookies": {"c": "{access}"}}},
        },
    }

    class Watched(MemoryStore):
        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            found.extend(exposed("saving"))
            return super().save(key, data, revision, lifetime=lifetime)

    vendor = ScriptedVendor()
    session = vendor.session(file, store=Watched(), password=SECRETS["password"], otp=lambda: SECRETS["otp"])
    adapters: list[Any] = [session.requests, session.httpx, session.httpx2, session.aiohttp]
    for name in ("login", "refresh"):
        vendor.says(name, grant)
    token = session.token()
    found += exposed("at rest")
    vendor.clock.now += LIFETIME + 1
    session.token()
    vendor.says("refresh", 418, {"odd": SECRETS["refresh"]})
    vendor.clock.now += LIFETIME + 1
    with pytest.raises(authflow.VendorAnswerError) as caught:
        session.token()
    assert SECRETS["refresh"] not in f"{caught.value!r} {caught.value}"
    vendor.clock.now += 2
    entry = session._manager.authorize(URL)
    found += exposed("at the end")
    assert entry is not None
    assert token.access == SECRETS["access"]
    assert len(adapters) == 4
    assert sorted(set(found)) == []


def test_a_sealed_value_is_nothing_to_walk_through() -> None:
    """rich, Sentry and pytest walk through these without asking for a repr."""
    kinds = [Sealed]
    for kind in kinds:
        kinds += [
            each for each in kind.__subclasses__() if vars(sys.modules[each.__module__]).get(each.__name__) is each
        ]
    assert len(kinds) > 10
    walked = [kind for kind in kinds if dataclasses.is_dataclass(kind) or issubclass(kind, Mapping | Sequence)]
    assert walked + [kind for kind in kinds[1:] if "__dict__" in vars(kind) or hasattr(kind, "__rich_repr__")] == []
