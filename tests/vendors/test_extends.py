"""`extends`: how a file lies over a preset, exactly as written, and what becomes of what it has no use for."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.errors import VendorFileError
from authflow.vendors.extends import extended, merge, preset_names
from authflow.vendors.flow import Presenting, Sending
from authflow.vendors.loading import load

GRANTED = {"status": 200, "json": {"t": "{access}"}}


@pytest.mark.parametrize(
    ("under", "over", "merged"),
    [
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        (
            {"settings": {"s": {"optional": True}}},
            {"settings": {"s": {"title": "x"}}},
            {"settings": {"s": {"title": "x", "optional": True}}},
        ),
        # the file's answers come first
        (
            {"exchanges": {"e": {"answers": {"a": 1, "b": {"status": 2}}}}},
            {"exchanges": {"e": {"answers": {"c": 3, "b": {"json": {}}}}}},
            {"exchanges": {"e": {"answers": {"c": 3, "b": {"json": {}}, "a": 1}}}},
        ),
        (
            {"answers": {"rejected": {"status": 401}, "x": {"status": 1}}},
            {"answers": {"y": {}, "rejected": {"json": {}}}},
            {"answers": {"y": {}, "rejected": {"json": {}}, "x": {"status": 1}}},
        ),
        (
            {"exchanges": {"e": {"answers": {"a": 1}}}},
            {"exchanges": {"e": {"answers": "other"}}},
            {"exchanges": {"e": {"answers": "other"}}},
        ),
        # a request and a present are replaced whole
        (
            {"exchanges": {"e": {"request": {"url": "a", "json": {"x": 1}}, "redirects": True}}},
            {"exchanges": {"e": {"request": {"url": "b"}}}},
            {"exchanges": {"e": {"request": {"url": "b"}, "redirects": True}}},
        ),
        (
            {"states": {"s": {"present": {"headers": {"A": "1"}}, "expired": "x"}}},
            {"states": {"s": {"present": {"cookies": {}}}}},
            {"states": {"s": {"present": {"cookies": {}}, "expired": "x"}}},
        ),
        # a state that names send or fail replaces the preset's
        (
            {"states": {"s": {"send": "a", "granted": "x", "denied": "y"}}},
            {"states": {"s": {"send": "b", "ok": "z"}}},
            {"states": {"s": {"send": "b", "ok": "z"}}},
        ),
        (
            {"states": {"s": {"present": {}, "expired": "x"}}},
            {"states": {"s": {"fail": "no"}}},
            {"states": {"s": {"fail": "no"}}},
        ),
        (
            {"states": {"s": {"send": "a", "granted": "x"}}},
            {"states": {"s": {"present": {}}}},
            {"states": {"s": {"present": {}}}},
        ),
        (
            {"states": {"s": {"send": "a", "granted": "x"}}},
            {"states": {"s": {"missing": "m"}}},
            {"states": {"s": {"missing": "m", "send": "a", "granted": "x"}}},
        ),
        ({"derive": {"d": {"base64": "x"}}}, {"derive": {"d": {"sha256": "y"}}}, {"derive": {"d": {"sha256": "y"}}}),
        (
            {"exchanges": {"answers": {"request": {"url": "x"}}}},
            {"exchanges": {"answers": {"redirects": True}}},
            {"exchanges": {"answers": {"redirects": True, "request": {"url": "x"}}}},
        ),
        # what does not fit is the file's, and found later
        ({"states": {"s": {"send": "a"}}}, {"states": "x"}, {"states": "x"}),
    ],
)
def test_merging(under: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]) -> None:
    result = merge(under, over)
    assert result == merged
    assert repr(result) == repr(merged)  # and in this order


def test_presets_lie_under_presets() -> None:
    raw, findings = extended("f", {"extends": "oauth2-password", "states": {"stale": {"missing": "refused"}}})
    assert not findings
    assert "extends" not in raw
    assert raw["states"]["stale"] == {
        "missing": "refused",
        "send": "refresh",
        "granted": "signed_in",
        "denied": "signed_out",
    }
    assert list(raw["credentials"]) == ["client_secret", "username", "password"]


def test_without_extends_nothing_is_touched() -> None:
    raw = {"name": "x", "states": {"limbo": {"fail": "x"}}, "settings": {"s": {}}}
    assert extended("f", raw) == (raw, [])


@pytest.mark.parametrize("preset", preset_names())
def test_no_preset_is_changed_by_what_lies_over_it(preset: str) -> None:
    before = extended("f", {"extends": preset})[0]
    extended("f", {"extends": preset, "settings": {"x": {}}, "states": {"signed_in": {"expired": "elsewhere"}}})
    assert extended("f", {"extends": preset})[0] == before


# --- leftovers --------------------------------------------------------------------------------------------------------


def file(**more: Any) -> dict[str, Any]:
    return {"name": "f", "base_url": "https://a.example/", "extends": "password", **more}


def test_a_step_that_nothing_leads_to_any_more_goes_with_its_exchange() -> None:
    vendor = load(
        file(
            exchanges={
                "login": {
                    "request": {"url": "l", "form": {"u": "{username}", "p": "{password}"}},
                    "answers": {"granted": GRANTED},
                }
            },
            states={"signed_in": {"expired": "signed_out", "rejected": "signed_out"}},
        )
    )
    assert set(vendor.flow.states) == {"signed_out", "signed_in", "refused"}
    assert set(vendor.flow.exchanges) == {"login"}


def test_the_files_own_leftovers_are_still_found() -> None:
    raw = file(
        exchanges={
            "login": {
                "request": {"url": "l", "form": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": GRANTED},
            }
        },
        states={"signed_in": {"expired": "signed_out", "rejected": "signed_out"}, "limbo": {"fail": "?"}},
    )
    with pytest.raises(Exception, match=r"states\.limbo: no path leads to this state"):
        load(raw)


def test_a_credential_of_the_preset_that_the_file_does_not_use_is_not_asked_for() -> None:
    exchange = {"request": {"url": "l", "form": {"e": "{email}", "p": "{password}"}}, "answers": {"granted": GRANTED}}
    vendor = load(file(extends="relogin", identity=["email"], credentials={"email": {}}, exchanges={"login": exchange}))
    assert [name for name, entry in vendor.credentials.items() if not entry.optional] == ["email", "password"]
    assert vendor.warnings == ()


def test_an_own_state_takes_the_place_of_the_presets() -> None:
    exchanges = {
        "csrf": {"request": {"url": "c"}, "answers": {"seen": {"headers": {"X-CSRF": "{csrf}"}}}},
        "login": {
            "request": {"url": "l", "headers": {"X-CSRF": "{csrf}"}, "form": {"u": "{username}", "p": "{password}"}},
            "answers": {"granted": GRANTED},
        },
    }
    states = {
        "signed_out": {"send": "csrf", "seen": "ready"},
        "ready": {"send": "login", "granted": "signed_in", "denied": "refused"},
    }
    flow = load(file(extends="relogin", exchanges=exchanges, states=states)).flow
    assert flow.states["signed_out"] == Sending("signed_out", "csrf", {"seen": "ready"})
    assert isinstance(flow.states["signed_in"], Presenting)
    assert flow.exchanges["login"].outcomes == ("granted", "denied")


@pytest.mark.parametrize(
    ("more", "reason", "hint"),
    [
        (
            {"exchanges": {"login": {"request": {"url": "l", "json": {"u": "{usrname}", "p": "{password}"}}}}},
            "'usrname'",
            "username",
        ),
        ({"states": {"signed_out": {"send": "login", "granted": "signd_in"}}}, "'signd_in'", "signed_in"),
        (
            {"identity": ["usrname"], "states": {"signed_in": {"present": {"headers": {"X": "{acess}"}}}}},
            "'acess'",
            "access",
        ),
    ],
)
def test_a_mistyped_name_is_not_forgotten_because_nothing_else_uses_it(
    more: dict[str, Any], reason: str, hint: str
) -> None:
    login = {
        "request": {"url": "l", "json": {"u": "{username}", "p": "{password}"}},
        "answers": {"granted": {"json": {"t": "{access}"}}},
    }
    raw = merge(
        {"name": "a", "extends": "relogin", "base_url": "https://a.example/", "exchanges": {"login": login}}, more
    )
    with pytest.raises(VendorFileError) as caught:
        load(raw)
    (finding,) = [finding for finding in caught.value.findings if reason in finding.reason]
    assert finding.hint.startswith(f"did you mean '{hint}'?")
