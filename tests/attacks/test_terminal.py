"""What a hostile vendor, record, file or plugin says reaches no terminal, log, page or drawing as it came."""

from __future__ import annotations

import io
import logging
import unicodedata
from typing import Any

import pytest
from click.testing import CliRunner

import authflow
from authflow.cli import doctor, exits
from authflow.cli.fetching import Reply
from authflow.cli.request import _print
from authflow.cli.status import Line, _tamed
from authflow.errors import harmless
from authflow.http import Answer, Request
from authflow.vendors import drawing, load
from tests.scripted import LADDER, ScriptedVendor

#: Sets the clipboard, the title and the colour, clears the screen, rings; C1's CSI; an override, an isolate; a line.
EVIL = "\x1b]52;c;cm0=\x07\x1b[2J\x1b[31mlogged in\x1b[0m\x9b31m\u202eabc\u2066\u200b\rgone\n"


def acts(text: str, keep: str = "") -> list[str]:
    """What a terminal would act upon, or what turns the direction of writing."""
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char not in keep]


def test_harmless_spells_out_what_acts() -> None:
    assert acts(EVIL) != []
    assert acts(harmless(EVIL)) == []
    assert harmless("Grüße, 東京 – ok") == "Grüße, 東京 – ok"
    assert harmless("a\nb\t", "\n") == "a\nb\\u0009"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(418, (), EVIL.encode()),
        Answer(418, (("Content-Type", EVIL),), b"{}"),
        Answer(418, (), b'{"' + EVIL.encode("unicode_escape").replace(b"\\x", b"\\u00") + b'": 1}'),
    ],
)
def test_errors_logs_and_pages(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    vendor = ScriptedVendor()
    vendor.says("login", answer)
    session = vendor.session()
    with caplog.at_level(logging.DEBUG), session.record(EVIL) as seen:
        for error in (pytest.raises(authflow.VendorAnswerError), pytest.raises(authflow.VendorAnswerError)):
            with error as caught:
                session.token()
            assert acts(str(caught.value)) == []
    assert acts(caplog.text, "\n") == []
    assert acts(seen.html(), "\n") == []


def test_an_error_of_a_plugins_store() -> None:
    error = authflow.StoreError(f"cannot be kept: {EVIL}")
    assert acts(f"{error}{error!r}{exits.failure(error).message}") == []
    assert acts(exits.Failed(EVIL, 1).message) == []


def test_a_vendor_file_is_drawn_harmlessly() -> None:
    states = {**LADDER["states"], "refused": {"fail": EVIL}}
    vendor = load({**LADDER, "title": EVIL, "states": states})
    assert acts(vendor.title) == []
    for drawn in (drawing.outline, drawing.story, drawing.diagram, drawing.sequence):
        assert acts(drawn(vendor), "\n") == []


def test_status_and_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert acts("".join(map(str, vars_of(_tamed(Line(EVIL, EVIL, EVIL, EVIL, problem=EVIL)))))) == []
    monkeypatch.setattr(doctor, "examine", lambda chosen, offline: [doctor.Check(EVIL, doctor.BAD, EVIL)])
    said = CliRunner().invoke(doctor.doctor, ["--offline"], color=False)
    assert acts(said.output, "\n") == []


def vars_of(line: Line) -> list[Any]:
    return [getattr(line, name) for name in line.__dataclass_fields__]


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("sink", [Terminal, io.BytesIO])
def test_a_body_is_harmless_on_a_terminal_and_as_it_came_elsewhere(sink: type[io.BytesIO]) -> None:
    data = f"a\r\n\tb é{EVIL}".encode()
    chunks = [data[at : at + 1] for at in range(len(data))]
    out = sink()
    _print(Reply(200, EVIL, (("X", EVIL),), iter(chunks)), out, include=True, anything=False, count=lambda size: None)
    shown = out.getvalue()
    if sink is io.BytesIO:
        assert shown.endswith(data)
    else:
        assert acts(shown.decode(), "\n\t") == []
        assert "b é" in shown.decode()


def test_a_request_has_no_such_thing_to_say() -> None:
    assert acts(str(authflow.UntrustedOrigin(f"not at {Request('GET', EVIL)!r}"))) == []


def test_no_line_of_a_drawing_is_somebody_elses() -> None:
    vendor = load({**LADDER, "title": "said\nFORGED"})
    for drawn in (drawing.outline(vendor), drawing.story(vendor)):
        assert [line for line in drawn.splitlines() if line.startswith("FORGED")] == []
    failing = {**LADDER, "states": {**LADDER["states"], "refused": {"fail": "said\nFORGED"}}}
    assert "\nFORGED" not in drawing.outline(load(failing))
