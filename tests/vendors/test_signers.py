"""`sign.NAME` in a vendor file: which one counts, what it may hold, and where its values come from."""

from __future__ import annotations

from typing import Any

import pytest

from authflow import VendorFileError
from authflow.vendors import Presenting, Signer, Vendor, drawing, load
from authflow.vendors.extends import extended


class Keyed(Signer):
    takes = ("!key", "realm")


class Hearing(Signer):
    def heard(self, *what: Any) -> bool:
        return True


SIGNERS = {"keyed": Keyed, "hearing": Hearing}
LEAST: dict[str, Any] = {
    "name": "acme",
    "extends": "relogin",
    "base_url": "https://acme.example/",
    "credentials": {"secret": {"secret": True}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"user": "{username}", "pass": "{password}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}", "key": "{their_key?}"}}},
        }
    },
}
KEYED = {"keyed": {"key": "{secret}"}}


def made(top: Any = None, exchange: Any = None, present: Any = None, **more: Any) -> Vendor:
    file = {**LEAST, **({} if top is None else {"sign": top}), **more}
    if exchange is not None:
        file["exchanges"] = {"login": {**LEAST["exchanges"]["login"], "sign": exchange}}
    laid = {"headers": {"Authorization": "Bearer {access}"}} | ({} if present is None else {"sign": present})
    file["states"] = {"signed_in": {"present": laid}}
    return load(file, signers=SIGNERS)


def signed(vendor: Vendor) -> tuple[str | None, str | None]:
    """What signs the login, and what the state that presents."""
    login, state = vendor.flow.exchanges["login"].request.sign, vendor.flow.states["signed_in"]
    assert isinstance(state, Presenting)
    return login and login.name, state.present.sign and state.present.sign.name


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((None, None, None), (None, None)),
        ((KEYED, None, None), ("keyed", "keyed")),
        ((KEYED, {}, None), (None, "keyed")),
        ((KEYED, None, {}), ("keyed", None)),
        ((KEYED, {"hearing": {}}, None), ("hearing", "keyed")),
        ((None, KEYED, {"hearing": {}}), ("keyed", "hearing")),
        (({}, None, None), (None, None)),
    ],
)
def test_the_nearest_wins_and_an_empty_one_switches_off(places: tuple[Any, Any, Any], expected: Any) -> None:
    assert signed(made(*places)) == expected


@pytest.mark.parametrize(
    ("places", "finding"),
    [
        (({"keyyed": {"key": "k"}}, None, None), "sign.keyyed: unknown signer (did you mean 'keyed'?)"),
        ((None, {**KEYED, "hearing": {}}, None), "exchanges.login.sign: one signer signs a request"),
        ((None, None, {"keyed": {}}), "states.signed_in.present.sign.keyed.key: missing"),
        (
            ({"keyed": {"key": "k", "reallm": "r"}}, None, None),
            "sign.keyed.reallm: unknown key (did you mean 'realm'?)",
        ),
        (({"keyed": {"key": "{nobodys}"}}, None, None), "sign.keyed.key: unknown value 'nobodys'"),
        ((None, {"keyed": {"key": "{access}"}}, None), "exchanges.login.sign.keyed.key: {access} has no value"),
        (
            (None, None, {"keyed": {"key": "{their_key}"}}),
            "states.signed_in.present.sign.keyed.key: {their_key} has no value",
        ),
    ],
)
def test_its_parameters_are_proved_like_any_others(places: tuple[Any, Any, Any], finding: str) -> None:
    with pytest.raises(VendorFileError) as raised:
        made(*places)
    found = [str(one) for one in raised.value.findings]
    assert any(finding in one for one in found), found
    assert len(found) == len(set(found)) == 1


def test_a_signer_that_no_plugin_brings_names_the_package() -> None:
    with pytest.raises(VendorFileError, match="install the plugin authflow-signers"):
        load({**LEAST, "sign": KEYED})


def test_what_a_signature_alone_is_made_of_is_used() -> None:
    assert [one for one in made(KEYED).warnings if "secret" in one.key] == []


def test_a_file_replaces_the_signer_of_what_it_extends() -> None:
    below = {"below": {**LEAST, "name": "below", "sign": KEYED}}
    for own in ({}, {"hearing": {}}):
        whole, findings = extended("file", {"name": "over", "extends": "below", "sign": own}, below)
        assert (whole["sign"], findings) == (own, [])


def test_who_signs_is_drawn() -> None:
    outline = drawing.outline(made(KEYED))
    assert "(POST login, signed by keyed)" in outline
    assert "presents Authorization, a signature (keyed)" in outline


def test_only_signers_that_hear_make_answers_worth_a_thought() -> None:
    assert [made(one).hears for one in (None, KEYED, {"hearing": {}})] == [False, False, True]
