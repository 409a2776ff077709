"""What a recording writes down, what it keeps to itself, and the page that is made of it, in a real browser."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import requests

import authflow
from authflow.accounts import Grant
from authflow.http import Answer, Request
from authflow.plugins.discovery import find_vendor, vendors
from authflow.recording.diagram import diagram
from authflow.recording.page import html_page
from authflow.recording.recording import Recording
from authflow.vendors.flow import Failing
from tests import browser
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered
from tests.servers import PASSWORD, Supplier, running_supplier


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


@pytest.fixture(scope="module")
def supplier() -> Iterator[Supplier]:
    with running_supplier() as supplier:
        yield supplier


def request(url: str = URL) -> Request:
    return Request("GET", url)


# --- what is written down ---------------------------------------------------------------------------------------------


def test_a_renewal_with_its_exchange_and_its_waiter(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with session.record() as seen:
        session.token()
    (renewal,), (wire,), (edge,), (asked,) = seen.renewals, seen.wires, seen.edges, seen.asked
    assert (renewal.cause, renewal.state, renewal.waiters, renewal.error) == ("start", "signed_in", 1, "")
    assert (wire.method, wire.url, wire.status) == ("POST", "https://vendor.example/api/login", 200)
    assert (edge.before, edge.event, edge.after, edge.exchange) == ("signed_out", "granted", "signed_in", "login")
    assert (asked.url, [part.kind for part in asked.parts]) == ("token()", ["waited"])
    assert renewal.began <= wire.began
    assert wire.ended is not None
    assert renewal.ended is not None
    assert wire.ended <= renewal.ended <= seen.length
    assert seen.state == "signed_in"


def test_what_was_masked_once_is_masked_wherever_it_is_said_again(vendor: ScriptedVendor) -> None:
    """A password that a callable gave, and the refresh token that an answer replaces, under names of no secret."""
    session = vendor.session(password=lambda: "hunter2")
    vendor.says("login", 200, {"access": "tk-9f3a", "refresh": "rf-77ab", "user": {"pw": "hunter2", "t": "tk-9f3a"}})
    vendor.says("refresh", 200, {"access": "tk-10aa", "refresh": "rf-88cd", "replaces": {"old": "rf-77ab"}})
    with session.record() as seen:
        session.token()
        vendor.clock.now += LIFETIME * 1e6
        session.login()
        vendor.says("login", 200, {"access": "tk-9f3a", "say": ["rf-77ab", "hunter2"]})
        session.login()
    page = seen.html()
    assert [secret for secret in ("hunter2", "tk-9f3a", "rf-77ab", "rf-88cd") if secret in page] == []


def test_a_request_that_is_rejected_waits_and_goes_again(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    with session.record() as seen:
        grant = session._manager.authorize(URL, request).grant
        assert grant is not None
        entry = session._manager.on_response(grant, URL, Answer(401))
        assert entry is not None
        assert entry.flight is not None
        session._manager.on_second_response(entry.flight.wait(), URL, Answer(200))
    (asked,) = seen.asked
    assert (asked.method, asked.end) == ("GET", "200")
    assert [(part.kind, part.status) for part in asked.parts if part.kind == "sent"] == [("sent", 401), ("sent", 200)]
    assert [part.kind for part in asked.parts][:2] == ["sent", "waited"]
    assert seen.start == "signed_in"


def test_what_cannot_be_sent_is_written_down_with_its_error(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", 418, {})
    with session.record() as seen:
        with pytest.raises(authflow.UntrustedOrigin):
            session._manager.authorize("https://elsewhere.example/", request)
        with pytest.raises(authflow.VendorAnswerError):
            session.token()
    assert [asked.error for asked in seen.asked] == ["UntrustedOrigin", "VendorAnswerError"]
    assert [renewal.error for renewal in seen.renewals] == ["VendorAnswerError"]


def test_nothing_is_left_behind(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    before = {**vars(session)}
    fresh, statuses = session._manager.grants.current.fresh_until, session._manager.statuses
    assert fresh > 0
    with session.record():
        assert session._manager.grants.current.fresh_until == -math.inf
        vendor.clock.now += LIFETIME + 1
        session.token()
        assert session._manager.grants.current.fresh_until == -math.inf
    assert session._manager.grants.current.fresh_until > fresh
    assert session._manager.statuses == statuses
    assert vars(session).keys() == before.keys()
    assert session._manager.grants.listeners == ()
    assert session._manager.tap is None


def test_a_request_is_drawn_before_the_login_that_it_causes_and_says_why_it_waits(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with session.record() as seen:
        grant = _send(session)
        session._manager.on_response(grant, URL, Answer(200))
        vendor.clock.now += LIFETIME + 1
        session._manager.on_response(_send(session), URL, Answer(200))
    listed = seen.html().partition("<ol>")[2].partition("</ol>")[0]
    rows = [re.sub(r"<pre>.*?</pre>|<small>.*?</small>|<[^>]+>", "", row, flags=re.S) for row in listed.split("<li ")]
    said = [re.sub(r"^.*?>|authflow to the vendor: |(the vendor|your code): ", "", row).strip() for row in rows]
    assert said[1:] == [
        "GET things/1 waits: no token yet",
        *("POST login", "200", "signed_out granted → signed_in", "GET things/1 200"),
        "GET things/1 waits: the token has ended",
        *("signed_in expired → stale", "POST refresh", "200", "stale granted → signed_in", "GET things/1 200"),
    ]


def _send(session: authflow.AuthSession) -> Grant:
    entry = session._manager.authorize(URL, request)
    assert entry.flight is not None
    return entry.flight.wait()


def test_the_page_counts_as_it_prints(supplier: Supplier) -> None:
    """The hops of a redirect are no requests of their own."""
    supplier.fresh()
    session = supplier.session()
    with session.record() as seen:
        for number in range(2):
            requests.get(supplier.delivery(number), auth=session.requests, timeout=30)
    assert repr(seen) == "<Recording of supplier: signed_in, 2 requests, 1 exchange, 1 transition, 1 waited>"
    facts = re.sub(r"<[^>]+>", " ", seen.html().partition('<ul class="facts">')[2].partition("</ul>")[0])
    assert " ".join(facts.split()) == "state signed_in 2 requests 1 exchange 1 transition 1 waited"
    assert len(re.findall("<h1>", seen.html())) == 1
    assert seen.html().count(seen.title) == 2, "in the heading and in the window's title"


def test_one_recording_at_a_time(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with session.record(), pytest.raises(authflow.ConfigurationError, match="already"), session.record():
        pass
    with session.record() as again:
        session.token()
    assert len(again.edges) == 1


def test_memory_is_bounded(vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authflow.recording.recording.MOST", 5)
    session = vendor.session()
    with session.record() as seen:
        for _ in range(20):
            session.token()
    assert (len(seen.asked), seen.left_out) == (5, 15)
    assert "15 more were left out" in seen.html()


@pytest.mark.parametrize("client", ["requests", "httpx", "threads"])
def test_requests_are_followed_through_a_real_client(supplier: Supplier, client: str) -> None:
    supplier.fresh()
    session = supplier.session()
    with session.record() as seen:
        if client == "httpx":
            with httpx.Client(auth=session.httpx, follow_redirects=True, trust_env=False) as one:
                assert one.get(supplier.delivery(1)).status_code == 200
        else:
            with requests.Session() as many, ThreadPoolExecutor(8) as pool:
                many.trust_env = False
                count = 8 if client == "threads" else 1
                urls = [supplier.delivery(number) for number in range(count)]
                answers = list(pool.map(lambda url: many.get(url, auth=session.requests, timeout=10), urls))
                assert {answer.status_code for answer in answers} == {200}
    own = [asked for asked in seen.asked if asked.method == "GET"]
    hops = [asked for asked in seen.asked if asked.method == seen.hop]
    assert len(own) == (8 if client == "threads" else 1)
    assert {asked.end for asked in own} == {"307"}
    assert [asked.end for asked in hops] == ["200"] * len(own)
    assert all(part.ended is not None for asked in seen.asked for part in asked.parts)
    assert len(seen.wires) == 1
    assert supplier.counts["login"] == 1


async def _gathered(session: authflow.AuthSession, supplier: Supplier, count: int) -> list[int]:
    async with httpx.AsyncClient(auth=session.httpx, follow_redirects=True, trust_env=False) as client:
        answers = await asyncio.gather(*(client.get(supplier.delivery(number)) for number in range(count)))
        return [answer.status_code for answer in answers]


def test_tasks_are_told_apart(supplier: Supplier) -> None:
    """Ten at once on one loop, redirected inside the client: each answer belongs to its own request."""
    supplier.fresh()
    session = supplier.session()
    with session.record() as seen:
        assert asyncio.run(_gathered(session, supplier, 10)) == [200] * 10
    own = [asked for asked in seen.asked if asked.method == "GET"]
    assert [asked.end for asked in own] == ["307"] * 10
    waited = [asked for asked in own if [part.kind for part in asked.parts] == ["waited", "sent"]]
    assert all([part.kind for part in asked.parts] == ["sent"] for asked in own if asked not in waited)
    assert [asked.end for asked in seen.asked if asked.method == seen.hop] == ["200"] * 10
    assert seen.renewals[0].waiters == len(waited) > 0  # who comes late finds the token there


# --- what is kept back ------------------------------------------------------------------------------------------------

SECRETS = ("pass-word", "s3cret-otp", "acc3ss", "refr3sh", "c00kie", "innocent-looking")
ODD = {
    **LADDER,
    "name": "odd",
    "settings": {"tenant": {}, "otp": {"secret": True}},
    "exchanges": {
        **LADDER["exchanges"],
        "login": {
            "request": {
                "url": "login/{tenant}",
                "headers": {"X-Otp": "{otp}", "X-Kind": "password"},
                "cookies": {"c": "{otp}"},
                "form": {"grant_type": "password", "u": "{username}", "p": "{password}", "t": "{tenant}"},
            },
            "answers": {
                "granted": {"json": {"q": "{access}", "deep": [{"z": "{refresh}"}], "in": "{expires_in:int?}"}}
            },
        },
    },
}


def test_secrets_are_masked_and_the_rest_is_shown(vendor: ScriptedVendor) -> None:
    session = vendor.session(ODD, tenant="acme", otp="s3cret-otp", password=lambda: "pass-word")
    document = {"q": "acc3ss", "deep": [{"z": "refr3sh"}], "in": 60, "hello": "world", "session_id": "innocent-looking"}
    headers = {"Set-Cookie": "sid=c00kie", "Content-Type": "application/json"}
    vendor.says("acme", 200, document, headers)
    with session.record() as seen:
        session.token()
        vendor.clock.now += 61
        session.token()
    told = json.dumps([[wire.url, wire.request, wire.answer] for wire in seen.wires]) + seen.html()
    for secret in SECRETS:
        assert secret not in told, secret
    login, refresh = seen.wires
    assert login.url.endswith("/login/acme")
    assert "grant_type=password&u=user&p=***&t=acme" in login.request
    assert "X-Otp: ***" in login.request
    assert "X-Kind: password" in login.request
    assert any('"hello":"world"' in line for line in login.answer)
    assert refresh.request[-1] == '{"refresh":"***"}'


def test_text_bodies_are_not_shown_at_all(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", Answer(200, (("Content-Type", "text/plain"),), b"acc3ss"))
    with session.record() as seen, pytest.raises(authflow.VendorAnswerError):
        session.token()
    assert seen.wires[0].answer == ["Content-Type: text/plain", "6 bytes"]


def test_all_text_is_escaped(vendor: ScriptedVendor) -> None:
    session = vendor.session({**LADDER, "title": "<img src=x onerror=alert(1)>"}, username="</script><b>")
    vendor.says("login", 200, {"access": "a", "note": "</pre><script>alert(1)</script>"})
    with session.record("<i>title</i>") as seen:
        session.token()
        session._manager.authorize(URL + "/<svg onload=alert(1)>".replace(" ", "%20"), request)
    shown = html_page([seen, seen], "<h1>")
    for bad in ("<img", "<i>title", "</script><b>", "<script>alert", "<svg onload", "<h1><h1>"):
        assert bad not in shown
    assert "&lt;i&gt;title" in shown


# --- the drawing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(vendors()))
def test_every_vendors_flow_is_drawn_whole(name: str) -> None:
    flow = find_vendor(name).flow
    drawn = diagram(flow, flow.start, "label")
    assert re.findall(r'data-state="([^"]+)"', drawn) == list(dict.fromkeys(re.findall(r'data-state="([^"]+)"', drawn)))
    assert set(re.findall(r'data-state="([^"]+)"', drawn)) == set(flow.states)
    edges = {tuple(mark.split("|")) for marks in re.findall(r'data-edges="([^"]+)"', drawn) for mark in marks.split()}
    expected = {
        (state.name, event, after)
        for state in flow.states.values()
        if not isinstance(state, Failing)
        for event, after in state.next.items()
    }
    assert expected <= edges
    assert {event for _, event, _ in edges - expected} <= {"missing"}
    assert drawn.count(" live") == 1


_ROOT = Path(__file__).parents[2]
FLOWS = [
    *sorted(vendors()),
    *map(str, sorted(_ROOT.glob("authflow/vendors/presets/oauth2-*.toml"))),
    *map(str, sorted(_ROOT.glob("tests/testing/vendors/*.toml"))),
]
_LINE = re.compile(r'data-edges="([^"]+)"><path class="line" d="([^"]+)"')
_BOX = re.compile(r'data-state="([^"]+)">.*?<rect x="([-.\d]+)" y="([-.\d]+)" width="([-.\d]+)" height="([-.\d]+)"')


@pytest.mark.parametrize("name", FLOWS, ids=lambda name: Path(name).stem)
def test_no_box_cuts_a_line(name: str) -> None:
    flow = find_vendor(name).flow
    drawn = diagram(flow, flow.start, "label")
    boxes = {found[0]: tuple(map(float, found[1:])) for found in _BOX.findall(drawn)}
    assert boxes.keys() == flow.states.keys()
    for marks, path in _LINE.findall(drawn):
        numbers = [float(number) for number in re.findall(r"-?[.\d]+", path)]
        corners = list(zip(numbers[::2], numbers[1::2], strict=True))
        # A straight line as the curve that it is.
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners if len(corners) == 4 else (corners[:1] * 2 + corners[1:] * 2)
        for step in range(1, 100):
            t, u = step / 100, 1 - step / 100
            x = u**3 * x0 + 3 * u * u * t * x1 + 3 * u * t * t * x2 + t**3 * x3
            y = u**3 * y0 + 3 * u * u * t * y1 + 3 * u * t * t * y2 + t**3 * y3
            for state, (left, top, width, height) in boxes.items():
                inside = left + 1 < x < left + width - 1 and top + 1 < y < top + height - 1
                assert not inside, f"{marks} runs through {state}"


# --- in a browser -----------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(not (browser.CHROMIUM and browser.DRIVER), reason=browser.MISSING)


@pytest.fixture(scope="module")
def story(supplier: Supplier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on which much has happened: login, refresh, a revoked token, a crowd that waits, a wrong password."""
    supplier.fresh()
    session = supplier.session()
    with session.record("A long day") as day, requests.Session() as client, ThreadPoolExecutor(12) as pool:
        client.trust_env = False

        def get(number: int) -> int:
            return client.get(supplier.delivery(number), auth=session.requests, timeout=30).status_code

        assert get(1) == 200
        supplier.control(revoke="family")
        assert get(2) == 200
        supplier.advance(12 * 3600 + 1)
        assert set(pool.map(get, range(12))) == {200}
    wrong = supplier.session(password="open-barley")
    with wrong.record("A wrong password") as refused, pytest.raises(authflow.CredentialsRefused):
        wrong.token()
    path = tmp_path_factory.mktemp("page") / "story.html"
    path.write_text(html_page([day, refused], "Two recordings"), "utf-8")
    return path


def test_the_page_stands_alone_and_tells_no_secret(story: Path) -> None:
    text = story.read_text("utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|@import|url\((?!#)""", text)
    assert "default-src 'none'" in text
    assert PASSWORD not in text
    assert "open-barley" not in text
    assert not re.findall(r"eyJ[\w-]+\.", text)


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False)])
def test_the_page_fits_the_screen_and_reaches_for_nothing(story: Path, tmp_path: Path, width: int, dark: bool) -> None:
    with browser.browser(width, 800, dark=dark) as shown:
        shown.open(story)
        assert shown.run("return innerWidth") == width
        assert shown.run("return document.documentElement.scrollWidth") <= width
        assert shown.run("return performance.getEntriesByType('resource').length") == 0
        sizes = shown.run(
            "return [...document.querySelectorAll('.states text, .sequence li, .timeline li > span, .facts li')]"
            ".map(e => parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement"
            " ? e.ownerSVGElement.getBoundingClientRect().width / e.ownerSVGElement.viewBox.baseVal.width : 1))"
        )
        assert min(sizes) >= 9, "too small to read"
        ink, paper = shown.run(
            "const light = c => { const [r, g, b] = c.match(/\\d+/g).map(Number); return (2 * r + 5 * g + b) / 8 };"
            "const of = e => getComputedStyle(e);"
            "return [light(of(document.body).color), light(of(document.body).backgroundColor)]"
        )
        assert (ink > paper) is dark
        assert abs(ink - paper) > 150
        overlapping = shown.run(
            "const boxes = [...document.querySelectorAll('#r0 .state rect')].map(e => e.getBoundingClientRect());"
            "return boxes.some((a, i) => boxes.some((b, j) => i < j && a.left < b.right && b.left < a.right"
            " && a.top < b.bottom && b.top < a.bottom))"
        )
        assert overlapping is False
        folder = Path(os.environ.get("AUTHFLOW_SCREENSHOTS", tmp_path))
        folder.mkdir(parents=True, exist_ok=True)
        shot = shown.screenshot(folder / f"record-{width}{'-dark' if dark else ''}.png")
        assert shot.read_bytes().startswith(b"\x89PNG")


@needs_browser
def test_the_keyboard_walks_through_what_happened(story: Path) -> None:
    """Step by step back to the start: diagram, heading and sequence follow; exchanges open without a mouse."""
    live = "return document.querySelector('#r0 .state.live').dataset.state"
    walked = "return [...document.querySelectorAll('#r0 .edge.walked')].map(e => e.dataset.edges)"
    with browser.browser(1280, 900) as shown:
        shown.open(story)
        steps = int(shown.run("return document.querySelector('#r0-step').max"))
        seen = []
        for _ in range(steps):
            seen.append(shown.run(live))
            (edge,) = shown.run(walked)
            assert any(mark.endswith(f"|{seen[-1]}") for mark in edge.split())
            assert shown.run("return document.querySelector('#r0 .now').textContent") == seen[-1]
            assert shown.run("return document.querySelectorAll('#r0 .note.here').length") == 1
            shown.keys("#r0-step", browser.LEFT)
        assert (shown.run(live), shown.run(walked)) == ("signed_out", [])
        assert seen[::-1] == [
            *("signed_in", "stale", "signed_out", "signed_in"),
            *("stale", "signed_in"),
        ]
        assert shown.run("return document.querySelector('#r1 .state.live').dataset.state") == "refused"
        opened = "return document.querySelector('#r0 .there details').open"
        assert shown.run(opened) is False
        shown.keys("#r0 .there summary", browser.ENTER)
        assert shown.run(opened) is True
        body = shown.run("return document.querySelector('#r0 .there pre').textContent")
        assert '"username":"demo","password":"***"' in body
        assert '"token":"***"' in body
        order = shown.run(
            "return [...document.querySelectorAll('a, input, summary, [tabindex]')].every(e => e.tabIndex === 0)"
        )
        assert order is True


#: What WCAG 2.2 asks for: 4.5 for text, 3 for what a drawing tells (1.4.3, 1.4.11). Inactive buttons are let off.
CONTRAST = """
const parts = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = c => {
  const [r, g, b] = parts(c).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
const behind = e => {
  const box = e.closest(".state")?.querySelector("rect");
  if (box) return getComputedStyle(box).fill;
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor, [, , , alpha = 1] = parts(c);
    if (alpha === 1) return c;
  }
};
const poor = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
while (texts.nextNode()) {
  const e = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
  if (!text || e.closest("script, style, title, :disabled")) continue;
  const of = ratio(getComputedStyle(e)[e.ownerSVGElement ? "fill" : "color"], behind(e));
  seen += 1;
  if (of < 4.5) poor.push([text, of]);
}
for (const bar of document.querySelectorAll(".track .bar")) {
  const style = getComputedStyle(bar);
  const own = bar.classList.contains("waited") ? style.borderTopColor : style.backgroundColor;
  const of = ratio(own, behind(bar.parentElement));
  if (of < 3) poor.push([bar.className, of]);
}
for (const drawn of document.querySelectorAll(".state rect, .edge .line")) {
  const of = ratio(getComputedStyle(drawn).stroke, behind(drawn.closest(".wide")));
  if (of < 3) poor.push([drawn.outerHTML, of]);
}
return [seen, poor];
"""

STRUCTURE = """
for (const e of document.querySelectorAll(".story")) e.open = true;
const wrong = [], all = selector => [...document.querySelectorAll(selector)];
for (const [selector, count] of [["main", 1], ["header", 1], ["h1", 1], ["html[lang]", 1]])
  if (all(selector).length !== count) wrong.push(selector);
const ids = all("[id]").map(e => e.id);
if (new Set(ids).size !== ids.length) wrong.push("an id twice");
for (const e of all("input")) if (!e.labels.length) wrong.push(e.outerHTML);
for (const e of all("button")) if (!e.getAttribute("aria-label")) wrong.push(e.outerHTML);
for (const e of all("svg[role=img], [role=group]")) if (!e.getAttribute("aria-label")) wrong.push(e.outerHTML);
let level = 0;
for (const e of all("h1, h2, h3, h4")) {
  if (Number(e.tagName[1]) > level + 1) wrong.push("skipped to " + e.outerHTML);
  level = Number(e.tagName[1]);
}
for (const e of all("main *"))
  if (/auto|scroll/.test(getComputedStyle(e).overflowY) && e.scrollHeight > e.clientHeight + 1 && e.tabIndex !== 0)
    wrong.push("the keyboard cannot scroll " + e.outerHTML.slice(0, 60));
for (const e of all("a, input, button, summary")) {
  const box = e.getBoundingClientRect();
  if (Math.min(box.width, box.height) < 24) wrong.push("too small for a finger: " + e.outerHTML);
}
return wrong;
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_for_everybody(story: Path, dark: bool) -> None:
    """Contrast, landmarks, names and headings; a finger fits on what can be touched."""
    with browser.browser(360, 800, dark=dark) as shown:
        shown.open(story)
        seen, poor = shown.run(CONTRAST)
        assert seen > 100
        assert poor == []
        assert shown.run(STRUCTURE) == []


@needs_browser
def test_the_tabulator_goes_through_the_page_in_its_order(story: Path) -> None:
    here = "const all = [...document.querySelectorAll('a, input, button, summary, [tabindex]')]"
    with browser.browser(1280, 900) as shown:
        shown.open(story)
        shown.run("for (const e of document.querySelectorAll('.story')) e.open = true")
        reachable = shown.run(f"{here}.filter(e => !e.disabled); all[0].focus(); return all.length")
        went = []
        for _ in range(reachable):
            went.append(shown.run(f"{here}.filter(e => !e.disabled); return all.indexOf(document.activeElement)"))
            shown.keys(":focus", browser.TAB)
    assert went == list(range(reachable))


@needs_browser
def test_a_finger_walks_through_what_happened(story: Path) -> None:
    """The buttons stop at both ends; each step is told in words."""
    told = "return document.querySelector('#r0 output').textContent"
    says = "return document.querySelector('{} .says').textContent"
    press = "document.querySelector('#r0 button.{}').click(); " + told
    with browser.browser(360, 800) as shown:
        shown.open(story)
        steps = int(shown.run("return document.querySelector('#r0-step').max"))
        assert shown.run(told) == f"{steps} of {steps}: stale granted → signed_in"
        assert shown.run("return document.querySelector('#r0 .later').disabled") is True
        assert shown.run(press.format("earlier")) == f"{steps - 1} of {steps}: signed_in expired → stale"
        assert shown.run(says.format("#r0")) == "stale Sends the exchange refresh."
        for _ in range(steps):
            shown.run(press.format("earlier"))
        assert shown.run(told) == f"0 of {steps}: the start"
        assert shown.run("return document.querySelector('#r0 .earlier').disabled") is True
        assert shown.run(press.format("later")) == f"1 of {steps}: signed_out granted → signed_in"
        assert shown.run(says.format("#r1")) == "refused The supplier refused this username and password."


@needs_browser
@pytest.mark.parametrize(("still", "motion"), [(True, "auto"), (False, "smooth")])
def test_nothing_moves_where_no_motion_is_wanted(story: Path, still: bool, motion: str) -> None:
    with browser.browser(360, 800, still=still) as shown:
        shown.open(story)
        assert shown.run("return getComputedStyle(document.documentElement).scrollBehavior") == motion


def test_those_who_see_no_arrows_are_told_who_speaks(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with session.record() as seen:
        session.token()
    words = re.sub(r"<[^>]+>", "", seen.html().partition(">Exchanges</h2>")[2].partition("<h2")[0])
    assert "authflow to the vendor: POST login" in words
    assert "the vendor: 200" in words


@needs_browser
def test_the_page_can_be_read_without_its_script(story: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r"<script>.*?</script>", "", story.read_text("utf-8"), flags=re.S), "utf-8")
    with browser.browser(360, 800) as shown:
        shown.open(bare)
        assert shown.run("return document.querySelector('#r0 .state.live').dataset.state") == "signed_in"
        assert shown.run("return getComputedStyle(document.querySelector('.stepper')).display") == "none"


@needs_browser
def test_a_printed_page_has_every_story_and_every_bar(story: Path) -> None:
    open_ones = "return document.querySelectorAll('details.story[open]').length"
    with browser.browser(900, 800) as shown:
        shown.open(story)
        assert shown.run(open_ones) == 1
        shown._ask("/print")
        assert shown.run(open_ones) == 2
    assert "print-color-adjust: exact" in story.read_text("utf-8").partition("@media print")[2]


def test_save_writes_the_page(vendor: ScriptedVendor, tmp_path: Path) -> None:
    session = vendor.session()
    with session.record() as seen:
        session.token()
    assert seen.save(tmp_path / "login.html").read_text("utf-8") == seen.html()
    drawn = seen.save(tmp_path / "login.svg").read_text("utf-8")
    assert drawn.startswith("<svg ")
    assert 'class="state presenting live" data-state="signed_in"' in drawn
    assert isinstance(seen, Recording)


def test_crowds_are_recorded_without_loss(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    gate = threading.Event()

    def slowly(request: Request) -> Answer:
        assert gate.wait(10)
        return answered(200, {"access": "a", "refresh": "r", "in": 60})

    vendor.says("login", slowly)
    with session.record() as seen:
        entries = [session._manager.authorize(f"{URL}/{number}", request) for number in range(30)]
        gate.set()
        for number, entry in enumerate(entries):
            assert entry.flight is not None
            session._manager.on_response(entry.flight.wait(), f"{URL}/{number}", Answer(200))
    assert [asked.end for asked in seen.asked] == ["200"] * 30
    assert {part.kind for asked in seen.asked for part in asked.parts} >= {"waited"}
    assert seen.renewals[0].waiters == 30
