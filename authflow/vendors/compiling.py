"""From the notation to the model: every template of a vendor file compiled, and all that cannot be, by its key.

The compiler goes on after a finding, so that all of them are known at once. It proves nothing: that is `proofs`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any, Final, TypeVar

from msgspec import UNSET, UnsetType

from authflow import templates as t
from authflow.errors import Finding, harmless
from authflow.templates import (
    AnswerPattern,
    Answers,
    Converter,
    Exchange,
    Present,
    RequestTemplate,
    Rewrite,
    Sign,
    Template,
    TemplateError,
    UrlTemplate,
    Wait,
    apart,
    compile_fields,
)
from authflow.vendors import notation as n
from authflow.vendors.derive import CHOICES, FUNCTIONS, Function
from authflow.vendors.extends import mentioned, texts
from authflow.vendors.flow import Failing, Flow, Presenting, Sending, State
from authflow.vendors.signers import Signer
from authflow.vendors.vendor import Derived, Vendor, Verify, seconds

T = TypeVar("T")

_METHOD: Final = re.compile(r"[A-Za-z][A-Za-z-]*", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_PIECE: Final = re.compile(r"\{\{|\{[^{}]*\}")
_DOES: Final = ("send", "present", "fail")


class Compiler:
    """Turns one VendorFile into a Vendor and notes what cannot be compiled, with its key."""

    def __init__(
        self,
        file: str,
        raw: Mapping[str, Any],
        form: n.VendorFile,
        converters: Mapping[str, Converter],
        functions: Mapping[str, Function],
        signers: Mapping[str, type[Signer]],
    ) -> None:
        self.file, self.raw, self.form = file, raw, form
        self.converters, self.functions, self.signers = converters, functions, signers
        self.signing: dict[str, type[Signer]] = {}
        self.findings: list[Finding] = []

    def finding(self, key: str, reason: str, hint: str = "") -> None:
        found = Finding(self.file, key, reason, hint)
        if found not in self.findings:  # what the whole file says is compiled for each of its requests
            self.findings.append(found)

    def build(self, key: str, build: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return build(*arguments)
        except (TemplateError, RecursionError) as error:
            path = [*reversed(error.path)] if isinstance(error, TemplateError) else []
            reason = str(error) if isinstance(error, TemplateError) else "nested too deeply"
            self.finding(where := ".".join([key, *path]), reason)
            self.others(key, build, *arguments)
            for text in _listed(_at(arguments[0], path)):
                for piece in _PIECE.findall(text) if isinstance(text, str) else ():
                    if piece not in (arguments[0], "{{"):
                        self.build(where, t.compile_text, piece, self.converters)
            return None

    def others(self, key: str, build: Callable[..., Any], raw: Any, *more: Any) -> None:
        """What else is wrong in a table or a list whose templates are compiled one after the other."""
        if isinstance(raw, Mapping) and len(raw) > 1:
            for name, item in raw.items():
                self.build(key, build, {name: item}, *more)
        elif isinstance(raw, Mapping | list) and build is not compile_fields:
            for name, item in raw.items() if isinstance(raw, Mapping) else enumerate(raw):
                self.build(f"{key}.{name}", build, item, *more)

    def vendor(self) -> Vendor | None:
        form = self.form
        for key, hint in (
            ("base_url", 'base_url = "https://api.example.com/"'),
            ("start", 'start = "signed_out"'),
            ("states", "[states.signed_out]"),
        ):
            if not getattr(form, key):
                self.finding(key, "missing", hint)
        if not _NAME.fullmatch(form.name):
            self.finding("name", "must be made of letters, digits, - and _", 'name = "supplier"')
        base_url = self.url("base_url", form.base_url or "")
        exchanges = {name: self.exchange(name, item) for name, item in form.exchanges.items()}
        states = {name: self.state(name, item) for name, item in form.states.items()}
        answers = self.answers("answers", {"rejected": n.Pattern(status=401)} if form.answers is None else form.answers)
        keep = [self.pattern(f"keep.{index}", item, repeats=False) for index, item in enumerate(form.keep)]
        rewrites = [self.rewrite(f"rewrites.{index}", item) for index, item in enumerate(form.rewrites)]
        public = [self.public(f"public.{index}", item) for index, item in enumerate(form.public)]
        send = [self.url(f"origins.send.{index}", item) for index, item in enumerate(form.origins.send)]
        present = [self.url(f"origins.present.{index}", item) for index, item in enumerate(form.origins.present)]
        derive = {name: self.derived(name, item) for name, item in form.derive.items()}
        lifetime = self.duration("expiry.lifetime", form.expiry.lifetime)
        idle = self.duration("expiry.idle", form.expiry.idle)
        ahead = self.duration("expiry.ahead", form.expiry.ahead)
        verify = self.verify(form.verify)
        self.named("headers", form.headers)
        if self.findings or base_url is None:
            return None
        return Vendor(
            name=form.name,
            title=harmless(form.title or form.name),
            file=self.file,
            base_url=base_url,
            settings=form.settings,
            credentials=form.credentials,
            flow=Flow(form.start or "", _whole(states), _whole(exchanges)),
            answers=answers,
            keep=tuple(keep),
            rewrites=tuple(item for item in rewrites if item),
            public=tuple(public),
            vary=tuple(form.vary),
            shown=tuple(form.shown),
            send_origins=tuple(item for item in send if item),
            present_origins=tuple(item for item in present if item),
            lifetime=lifetime,
            idle=idle,
            ahead=ahead,
            derive=_whole(derive),
            signers=self.signing,
            on_logout=form.on_logout,
            verify=verify,
            insecure_url=form.insecure_url,
            insecure_http=form.insecure_http,
            identity=tuple(_all_but_once(form) if form.identity is None else form.identity),
            raw=self.raw,
        )

    def verify(self, form: n.Verify | None) -> Verify | None:
        if form is None or (url := self.url("verify.jwks_url", form.jwks_url)) is None:
            return None
        issuer, audience = self.value("verify.issuer", form.issuer), self.value("verify.audience", form.audience)
        return Verify(url, issuer, audience)

    def url(self, key: str, text: str) -> UrlTemplate | None:
        return self.build(key, UrlTemplate.compile, text, self.converters)

    def value(self, key: str, raw: Any) -> Template | None:
        return None if raw is UNSET or raw is None else self.build(key, t.compile, raw, self.converters)

    def text(self, key: str, raw: str | None) -> Template | None:
        return None if raw is None else self.build(key, t.compile_text, raw, self.converters)

    def fields(self, key: str, table: Mapping[str, Any]) -> Any:
        return self.build(key, compile_fields, table, self.converters) or ()

    def named(self, key: str, table: Mapping[str, Any]) -> None:
        """Headers and cookies must have names, and values, that HTTP can carry (RFC 9110 §5, RFC 6265 §4.1.1)."""
        for name, value in table.items():
            if not _TOKEN.fullmatch(name):
                self.finding(f"{key}.{name}", f"{name!r} cannot name a {_kind(key)}", "letters, digits and -")
            if any(isinstance(text, str) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text) for text in _listed(value)):
                self.finding(f"{key}.{name}", "a line break or control character in the value")

    def pair(self, key: str, raw: tuple[str, str] | None) -> tuple[Template, Template] | None:
        if raw is None:
            return None
        user, password = self.text(f"{key}.0", raw[0]), self.text(f"{key}.1", raw[1])
        return (user, password) if user is not None and password is not None else None

    def duration(self, key: str, raw: int | float | str | None) -> Template | None:
        """Seconds, "12h", or a setting: in a placeholder, or by its name alone."""
        if isinstance(raw, str) and raw in self.form.settings:
            raw = f"{{{raw}}}"
        if raw is not None and not (isinstance(raw, str) and "{" in raw):
            try:
                seconds(raw)
            except ValueError as error:
                self.finding(key, str(error))
        return self.value(key, raw)

    def headers(self, own: Mapping[str, Any], *, shared: bool = True) -> dict[str, Any]:
        """The headers of the whole file, under those of one request (names have no case)."""
        taken = {name.lower() for name in own}
        under = self.form.headers if shared else {}
        return {**{name: value for name, value in under.items() if name.lower() not in taken}, **own}

    def exchange(self, name: str, form: n.Exchange) -> Exchange | None:
        key = f"exchanges.{name}"
        answers, seen = form.answers, [name]
        while isinstance(answers, str):
            if answers in seen or answers not in self.form.exchanges:
                reason = "leads back to itself" if answers in seen else f"unknown exchange {answers!r}"
                self.finding(f"{key}.answers", reason, n.did_you_mean(answers, self.form.exchanges.keys() - seen))
                return None
            seen.append(answers)
            answers = self.form.exchanges[answers].answers
        request = self.request(f"{key}.request", form.request, self.sign(key, form.sign))
        patterns = self.answers(f"{key}.answers", answers) if len(seen) == 1 else self.answers("", answers)
        return Exchange(name, request, patterns, form.redirects, form.by or "")

    def request(self, key: str, form: n.Request, sign: Sign | None) -> RequestTemplate:
        bodies = [name for name in ("json", "form", "text") if getattr(form, name) not in (UNSET, None)]
        if len(bodies) > 1:
            self.finding(key, f"at most one body, here are {' and '.join(bodies)}", f"keep {bodies[0]}")
        if form.basic is not None and form.client_basic is not None:
            self.finding(key, "both basic and client_basic: there is one Authorization header", "keep one")
        self.method(f"{key}.method", form.method)
        self.named(f"{key}.headers", form.headers)
        self.named(f"{key}.cookies", form.cookies)
        whole = RequestTemplate(
            method=form.method.upper() if form.method else None,
            url=self.url(f"{key}.url", form.url),
            query=self.fields(f"{key}.query", form.query),
            headers=self.fields(f"{key}.headers", self.headers(form.headers)),
            cookies=self.fields(f"{key}.cookies", form.cookies),
            json=self.value(f"{key}.json", form.json),
            form=None if form.form is None else self.fields(f"{key}.form", form.form),
            text=self.text(f"{key}.text", form.text),
            basic=self.pair(f"{key}.basic", form.basic),
            client_basic=self.pair(f"{key}.client_basic", form.client_basic),
            sign=sign,
        )
        first = apart(whole, self.hanging)
        method = whole.method or ("POST" if bodies else "GET")
        return whole if first is None else replace(whole, method=method, first=replace(first, method=method))

    def sign(self, key: str, own: n.Sign) -> Sign | None:
        """What signs a request: its own table, else that of the whole file."""
        key, given = (f"{key}.sign", own) if own is not UNSET else ("sign", self.form.sign)
        table = {} if isinstance(given, UnsetType) else given
        if len(table) > 1:
            self.finding(key, f"one signer signs a request, here are {' and '.join(table)}", "keep one")
        for name, raw in table.items():
            if name not in self.signers:
                hint = n.did_you_mean(name, self.signers) if self.signers else "install the plugin authflow-signers"
                self.finding(f"{key}.{name}", "unknown signer", hint)
                continue
            self.signing[name] = self.signers[name]
            self.options(f"{key}.{name}", self.signers[name].takes, raw)
            parameters = self.value(f"{key}.{name}", raw)
            return None if parameters is None else Sign(name, parameters)
        return None

    def method(self, key: str, method: str | None) -> None:
        if method is not None and not _METHOD.fullmatch(method):
            self.finding(key, f"{method!r} is not an HTTP method", 'method = "POST"')

    def public(self, key: str, form: n.PublicRequest) -> RequestTemplate:
        self.method(f"{key}.method", form.method)
        return RequestTemplate(
            method=form.method.upper() if form.method else None,
            url=None if form.path is None else self.url(f"{key}.path", form.path),
            query=self.fields(f"{key}.query", form.query),
            headers=self.fields(f"{key}.headers", form.headers),
            json=self.value(f"{key}.json", form.json),
        )

    def answers(self, key: str, form: Mapping[str, Any]) -> Answers:
        """Patterns by outcome, a row each. With an empty key they are another exchange's, whose findings are known."""
        known = len(self.findings)
        rows = []
        if not form and key.startswith("exchanges."):
            self.finding(key, "no outcome: every answer would be an error", "granted = { status = 200 }")
        for outcome, patterns in form.items():
            listed = patterns if isinstance(patterns, list) else [patterns]
            if not listed:
                self.finding(f"{key}.{outcome}", "no pattern", f"{outcome} = {{ status = 200 }}")
            for index, pattern in enumerate(listed):
                where = f"{key}.{outcome}.{index}" if isinstance(patterns, list) else f"{key}.{outcome}"
                rows.append((outcome, self.pattern(where, pattern, repeats=not key.startswith("answers"))))
        if not key:
            del self.findings[known:]
        return tuple(rows)

    def pattern(self, key: str, form: n.Pattern, *, repeats: bool) -> AnswerPattern:
        status = None if form.status is None else [form.status] if isinstance(form.status, int) else form.status
        for code in status if status is not None else ():
            if not 100 <= code <= 599:
                self.finding(f"{key}.status", f"{code} is not an HTTP status", "100 to 599")
        if status is not None and not status:
            self.finding(f"{key}.status", "no status fits an empty list", "leave it out for any")
        bodies = [name for name in ("json", "form", "text") if getattr(form, name) not in (UNSET, None)]
        if len(bodies) > 1:
            self.finding(key, f"one answer is never {' and '.join(bodies)} at once", "a list of patterns")
        self.named(f"{key}.headers", form.headers)
        self.named(f"{key}.cookies", form.cookies)
        self.named(f"{key}.challenge", form.challenge)
        return AnswerPattern(
            status=None if status is None else frozenset(status),
            headers=self.fields(f"{key}.headers", form.headers),
            cookies=self.fields(f"{key}.cookies", form.cookies),
            challenge=self.fields(f"{key}.challenge", form.challenge),
            json=self.value(f"{key}.json", form.json),
            form=None if form.form is None else self.fields(f"{key}.form", form.form),
            text=self.text(f"{key}.text", form.text),
            wait=self.wait(key, form, repeats=repeats),
        )

    def wait(self, key: str, form: n.Pattern, *, repeats: bool) -> Wait | None:
        if form.again is None and form.patience is None:
            return None
        if not repeats:
            self.finding(f"{key}.{'for' if form.again is None else 'again'}", "only an exchange is repeated", "drop it")
        again, longer = form.again, 0.0
        if isinstance(form.again, str) and form.again.startswith("+"):
            again = None
            try:
                longer = seconds(form.again[1:])
            except ValueError as error:
                self.finding(f"{key}.again", str(error), '"+5s"')
        for name, raw in (("again", again), ("for", form.patience)):
            if isinstance(raw, str) and "{" in raw and not re.fullmatch(r"\{[^{}]*\}", raw):
                self.finding(f"{key}.{name}", "a duration, or one placeholder", f'{name} = "{{interval?}}"')
        return Wait(self.duration(f"{key}.again", again), self.duration(f"{key}.for", form.patience), longer)

    def state(self, name: str, form: n.State) -> State | None:
        key = f"states.{name}"
        does = [kind for kind in _DOES if getattr(form, kind) is not None]
        if len(does) != 1:
            typos = [close for event in self.raw["states"][name] for close in get_close_matches(event, _DOES, 1)]
            hint = f"here {' and '.join(does)}" if does else f"did you mean '{typos[0]}'?" if typos else "here none"
            self.finding(key, "a state does one of three things: send, present, fail", hint)
            return None
        following: dict[str, str] = {}
        for event, state in self.raw["states"][name].items():
            if event in ("send", "present", "fail", "missing", "tell"):
                continue
            if isinstance(state, str):
                following[event] = state
            else:
                self.finding(f"{key}.{event}", "must name a state")
        if form.send is not None:
            return Sending(name, form.send, following, form.missing, self.text(f"{key}.tell", form.tell))
        if form.missing is not None:
            self.finding(f"{key}.missing", "only a sending state can miss a value", "drop it")
        if form.tell is not None:
            self.finding(f"{key}.tell", "only a sending state tells a person something", "drop it")
        if form.present is not None:
            return Presenting(name, self.present(f"{key}.present", form.present), following)
        if following:
            self.finding(f"{key}.{next(iter(following))}", "nothing follows a failing state", "drop it")
        return Failing(name, form.fail or "")

    def present(self, key: str, form: n.Presented) -> Present:
        bodies = [name for name in ("json", "form", "text") if getattr(form, name)]
        if len(bodies) > 1:
            self.finding(key, f"at most one body, here are {' and '.join(bodies)}", "keep one")
        if "" in form.text:
            self.finding(f"{key}.text", "the literal text to replace is empty", '"@TOKEN@" = "{access}"')
        self.named(f"{key}.headers", form.headers)
        self.named(f"{key}.cookies", form.cookies)
        whole = Present(
            headers=self.fields(f"{key}.headers", self.headers(form.headers)),
            cookies=self.fields(f"{key}.cookies", form.cookies),
            query=self.fields(f"{key}.query", form.query),
            basic=self.pair(f"{key}.basic", form.basic),
            json=self.value(f"{key}.json", form.json),
            form=self.fields(f"{key}.form", form.form),
            text=self.fields(f"{key}.text", form.text),
            sign=self.sign(key, form.sign),
        )
        return replace(whole, first=apart(whole, self.hanging))

    def rewrite(self, key: str, form: n.Rewrite) -> Rewrite | None:
        source, target = self.url(f"{key}.from", form.source), self.url(f"{key}.to", form.target)
        return Rewrite(source, target) if source and target else None

    def derived(self, name: str, form: Mapping[str, Any]) -> Derived | None:
        key = f"derive.{name}"
        if len(form) != 1:
            self.finding(key, "must be one function with its argument", '{ base64 = "{username}:{access}" }')
            return None
        ((function, raw),) = form.items()
        if function not in self.functions:
            self.finding(f"{key}.{function}", "unknown function", n.did_you_mean(function, self.functions))
            return None
        self.options(f"{key}.{function}", self.functions[function].takes, raw)
        does = self.functions[function]
        for option, value in raw.items() if isinstance(raw, Mapping) and does is FUNCTIONS.get(function) else ():
            choices = CHOICES.get(str(option), ())
            if choices and isinstance(value, str) and "{" not in value and value not in choices:
                reason = f"must be one of {', '.join(map(repr, sorted(choices)))}, not {value!a}"
                self.finding(f"{key}.{function}.{option}", reason)
        if does.inverse is not None and self.only_rows_use(name) and isinstance(raw, str) and "}{" in raw:
            does = does._replace(inverse=None)  # only other rows use it: it is computed again, and never read back
        adjacent = does.inverse is None
        argument = self.build(f"{key}.{function}", partial(t.compile, adjacent=adjacent), raw, self.converters)
        return None if argument is None else Derived(name, does, function, argument)

    @cached_property
    def hanging(self) -> set[str]:
        """The rows of [derive] that look at the request in which they stand."""
        names = set[str]()
        while more := {name for name, row in self.form.derive.items() if self._looks(row, names)} - names:
            names |= more
        return names

    def _looks(self, row: Any, names: set[str]) -> bool:
        return not names.isdisjoint(mentioned(row)) or any("{request." in text for text in texts(row))

    def only_rows_use(self, name: str) -> bool:
        rest = {key: item for key, item in self.raw.items() if key != "derive"}
        return name in mentioned(self.form.derive) and name not in mentioned(rest)

    def options(self, key: str, takes: tuple[str, ...], raw: Any) -> None:
        """The keys of a function's argument, where it is a table."""
        if not takes or not isinstance(raw, Mapping):
            if len([name for name in takes if name.startswith("!")]) > 1:
                self.finding(key, "must be a table", f"with {', '.join(name.lstrip('!') for name in takes)}")
            return
        known = {name.lstrip("!") for name in takes}
        for name in raw:
            if name not in known:
                self.finding(f"{key}.{name}", "unknown key", n.did_you_mean(str(name), known))
        for name in takes:
            if name.startswith("!") and name[1:] not in raw:
                self.finding(f"{key}.{name[1:]}", "missing", f'{name[1:]} = "…"')


def _all_but_once(form: n.VendorFile) -> list[str]:
    """The credentials that say whose login it is; none where a person signs in, whose the client's are not."""
    if any(item.by for item in form.exchanges.values()) or any(item.tell for item in form.states.values()):
        return []
    return [name for name, entry in form.credentials.items() if not entry.once]


def _kind(key: str) -> str:
    return {"cookies": "cookie", "challenge": "parameter"}.get(key.rpartition(".")[2], "header")


def _at(raw: Any, path: Sequence[str]) -> Any:
    """What stands there; None where the path leads nowhere."""
    for step in path:
        if not isinstance(raw, Mapping | list):
            return None
        raw = raw.get(step) if isinstance(raw, Mapping) else raw[int(step)] if step.isdigit() else None
    return raw


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _whole(table: Mapping[str, T | None]) -> dict[str, T]:
    return {name: item for name, item in table.items() if item is not None}
