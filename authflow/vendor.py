"""A vendor, ready to be used: the file read, laid over its preset, its templates compiled, its flow proved.

    load("supplier.toml")  ->  raw mapping  ->  merged with presets  ->  VendorFile (notation)  ->  Vendor  ->  proofs

Everything that is wrong is found at once and raised as one VendorFileError; a Vendor that exists is a verified one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from authflow import notation as n
from authflow import template as t
from authflow.converters import CONVERTERS, Converter
from authflow.derive import FUNCTIONS, Function
from authflow.errors import Finding, VendorFileError
from authflow.exchange import AnswerPattern, Answers, Exchange, Present, RequestTemplate
from authflow.fields import compile_fields
from authflow.flow import Failing, Flow, Presenting, Sending, State
from authflow.template import Template, TemplateError
from authflow.urls import Rewrite, UrlTemplate

T = TypeVar("T")

#: A vendor file larger than this is none, in bytes.
MAX_FILE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Derived:
    """One row of `[derive]`: the function, its name, and the template of its argument."""

    name: str
    function: Function
    function_name: str
    argument: Template


@dataclass(frozen=True, eq=False)
class Vendor:
    """A verified vendor file. Values of `settings` and `credentials` are `notation.Input`."""

    name: str
    title: str
    file: str
    base_url: UrlTemplate
    settings: Mapping[str, n.Input]
    credentials: Mapping[str, n.Input]
    flow: Flow
    answers: Answers
    rewrites: tuple[Rewrite, ...] = ()
    public: tuple[RequestTemplate, ...] = ()
    vary: tuple[str, ...] = ()
    send_origins: tuple[UrlTemplate, ...] = ()
    present_origins: tuple[UrlTemplate, ...] = ()
    lifetime: Template | None = None
    idle: Template | None = None
    derive: Mapping[str, Derived] = field(default_factory=dict)
    on_logout: str | None = None
    verify: n.Verify | None = None
    insecure_url: bool = False
    warnings: tuple[Finding, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<Vendor {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (dict(self.raw),)

    @property
    def inputs(self) -> Mapping[str, n.Input]:
        """Settings and credentials together: what the user may give."""
        return {**self.settings, **self.credentials}


def load(
    source: str | Path | Traversable | Mapping[str, Any],
    *,
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Vendor:
    """Read, compile and verify a vendor file, or the same mapping in Python. Raises VendorFileError with all
    findings.
    """
    from authflow.verify import verify

    vendor, findings = examine(source, converters, functions)
    if vendor is not None:
        findings = [*findings, *verify(vendor)]
    errors = tuple(finding for finding in findings if not finding.warning)
    if errors or vendor is None:
        raise VendorFileError(findings=errors, vendor=vendor.name if vendor else "")
    object.__setattr__(vendor, "warnings", tuple(findings))
    return vendor


def examine(
    source: str | Path | Traversable | Mapping[str, Any],
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> tuple[Vendor | None, list[Finding]]:
    """Read and compile without the proofs: the vendor, or None and every reason why there is none."""
    file, raw, findings = _read(source)
    if findings:
        return None, findings
    raw, findings = _extended(file, raw)
    findings += [Finding(file, *misfit) for misfit in n.misfits(raw, n.VendorFile)]
    if findings:
        return None, findings
    compiler = _Compiler(file, raw, msgspec.convert(raw, n.VendorFile, strict=True), converters, functions)
    vendor = compiler.vendor()
    return (None if compiler.findings else vendor), compiler.findings


def preset_names() -> list[str]:
    folder = resources.files("authflow") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(source: str | Path | Traversable | Mapping[str, Any]) -> tuple[str, dict[str, Any], list[Finding]]:
    if isinstance(source, Mapping):
        name = source.get("name")
        return f"<{name}>" if isinstance(name, str) and name else "<mapping>", dict(source), []
    path = Path(source) if isinstance(source, str) else source
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        return file, {}, [Finding(file, "", f"cannot be read: {error.strerror or error}")]
    if len(data) > MAX_FILE:
        return file, {}, [Finding(file, "", f"larger than {MAX_FILE >> 20} MiB")]
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        return file, {}, [Finding(file, "", "is not UTF-8 text")]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return file, {}, [Finding(file, "", f"is not TOML: {' '.join(str(error).split())}")]
    raw.setdefault("name", path.name.removesuffix(".toml"))
    return file, raw, []


def _extended(file: str, raw: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    seen: list[str] = []
    while isinstance(extends := raw.pop("extends", None), str):
        if extends in seen or extends not in preset_names():
            reason = "extends itself" if extends in seen else f"unknown preset {extends!r}"
            return raw, [Finding(file, "extends", reason, f"there are {', '.join(preset_names())}")]
        seen.append(extends)
        preset = tomllib.loads((resources.files("authflow") / "presets" / f"{extends}.toml").read_text("utf-8"))
        raw = n.merge(preset, raw)
    if extends is not None:
        return raw, [Finding(file, "extends", "the name of a preset is wanted")]
    return raw, []


# --- compiling --------------------------------------------------------------------------------------------------------


class _Compiler:
    """Turns one VendorFile into a Vendor and notes what cannot be compiled, with its key."""

    def __init__(
        self,
        file: str,
        raw: Mapping[str, Any],
        form: n.VendorFile,
        converters: Mapping[str, Converter],
        functions: Mapping[str, Function],
    ) -> None:
        self.file, self.raw, self.form = file, raw, form
        self.converters, self.functions = converters, functions
        self.findings: list[Finding] = []

    def finding(self, key: str, reason: str, hint: str = "") -> None:
        self.findings.append(Finding(self.file, key, reason, hint))

    def build(self, key: str, build: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return build(*arguments)
        except (TemplateError, RecursionError) as error:
            path = reversed(error.path) if isinstance(error, TemplateError) else ()
            reason = str(error) if isinstance(error, TemplateError) else "nested too deeply"
            self.finding(".".join([key, *path]), reason)
            return None

    def vendor(self) -> Vendor | None:
        form = self.form
        for key in ("base_url", "start"):
            if not getattr(form, key):
                self.finding(key, "missing")
        if not form.states:
            self.finding("states", "missing")
        if not form.name or not form.name.replace("-", "").replace("_", "").isalnum() or not form.name.isascii():
            self.finding("name", "a name of letters, digits, - and _ is wanted")
        base_url = self.url("base_url", form.base_url or "")
        exchanges = {name: self.exchange(name, item) for name, item in form.exchanges.items()}
        states = {name: self.state(name, item) for name, item in form.states.items()}
        answers = self.answers("answers", {"rejected": n.Pattern(status=401)} if form.answers is None else form.answers)
        rewrites = [self.rewrite(f"rewrites.{index}", item) for index, item in enumerate(form.rewrites)]
        public = [self.public(f"public.{index}", item) for index, item in enumerate(form.public)]
        send = [self.url(f"origins.send.{index}", item) for index, item in enumerate(form.origins.send)]
        present = [self.url(f"origins.present.{index}", item) for index, item in enumerate(form.origins.present)]
        derive = {name: self.derived(name, item) for name, item in form.derive.items()}
        lifetime = self.duration("expiry.lifetime", form.expiry.lifetime)
        idle = self.duration("expiry.idle", form.expiry.idle)
        if self.findings or base_url is None:
            return None
        return Vendor(
            name=form.name,
            title=form.title or form.name,
            file=self.file,
            base_url=base_url,
            settings=form.settings,
            credentials=form.credentials,
            flow=Flow(form.start or "", _whole(states), _whole(exchanges)),
            answers=answers,
            rewrites=tuple(item for item in rewrites if item),
            public=tuple(public),
            vary=tuple(form.vary),
            send_origins=tuple(item for item in send if item),
            present_origins=tuple(item for item in present if item),
            lifetime=lifetime,
            idle=idle,
            derive=_whole(derive),
            on_logout=form.on_logout,
            verify=form.verify,
            insecure_url=form.insecure_url,
            raw=self.raw,
        )

    def url(self, key: str, text: str) -> UrlTemplate | None:
        return self.build(key, UrlTemplate.compile, text, self.converters)

    def value(self, key: str, raw: Any) -> Template | None:
        return None if raw is UNSET or raw is None else self.build(key, t.compile, raw, self.converters)

    def text(self, key: str, raw: str | None) -> Template | None:
        return None if raw is None else self.build(key, t.compile_text, raw, self.converters)

    def fields(self, key: str, table: Mapping[str, Any]) -> Any:
        return self.build(key, compile_fields, table, self.converters) or ()

    def pair(self, key: str, raw: tuple[str, str] | None) -> tuple[Template, Template] | None:
        if raw is None:
            return None
        user, password = self.text(f"{key}.0", raw[0]), self.text(f"{key}.1", raw[1])
        return (user, password) if user is not None and password is not None else None

    def duration(self, key: str, raw: int | float | str | None) -> Template | None:
        if isinstance(raw, str) and "{" not in raw:
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
                reason = "leads back to itself" if answers in seen else f"there is no exchange {answers!r}"
                self.finding(f"{key}.answers", reason)
                return None
            seen.append(answers)
            answers = self.form.exchanges[answers].answers
        request = self.request(f"{key}.request", form.request)
        patterns = self.answers(f"{key}.answers", answers) if len(seen) == 1 else self.answers("", answers)
        return Exchange(name, request, patterns, form.redirects)

    def request(self, key: str, form: n.Request) -> RequestTemplate:
        bodies = [name for name in ("json", "form", "text") if getattr(form, name) not in (UNSET, None)]
        if len(bodies) > 1:
            self.finding(key, f"at most one body, here are {' and '.join(bodies)}")
        if form.method is not None and not (form.method.isascii() and form.method.isalpha()):
            self.finding(f"{key}.method", f"{form.method!r} is no HTTP method")
        return RequestTemplate(
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
        )

    def public(self, key: str, form: n.PublicRequest) -> RequestTemplate:
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
        for outcome, patterns in form.items():
            listed = patterns if isinstance(patterns, list) else [patterns]
            for index, pattern in enumerate(listed):
                where = f"{key}.{outcome}.{index}" if isinstance(patterns, list) else f"{key}.{outcome}"
                rows.append((outcome, self.pattern(where, pattern)))
        if not key:
            del self.findings[known:]
        return tuple(rows)

    def pattern(self, key: str, form: n.Pattern) -> AnswerPattern:
        status = None if form.status is None else [form.status] if isinstance(form.status, int) else form.status
        for code in status or ():
            if not 100 <= code <= 599:
                self.finding(f"{key}.status", f"{code} is no HTTP status")
        return AnswerPattern(
            status=None if status is None else frozenset(status),
            headers=self.fields(f"{key}.headers", form.headers),
            cookies=self.fields(f"{key}.cookies", form.cookies),
            challenge=self.fields(f"{key}.challenge", form.challenge),
            json=self.value(f"{key}.json", form.json),
            form=None if form.form is None else self.fields(f"{key}.form", form.form),
            text=self.text(f"{key}.text", form.text),
        )

    def state(self, name: str, form: n.State) -> State | None:
        key = f"states.{name}"
        does = [kind for kind in ("send", "present", "fail") if getattr(form, kind) is not None]
        if len(does) != 1:
            self.finding(
                key, "a state does one of three things: send, present, fail", f"here {' and '.join(does) or 'none'}"
            )
            return None
        following: dict[str, str] = {}
        for event, state in self.raw["states"][name].items():
            if event in ("send", "present", "fail", "missing"):
                continue
            if isinstance(state, str):
                following[event] = state
            else:
                self.finding(f"{key}.{event}", "the name of a state is wanted")
        if form.send is not None:
            return Sending(name, form.send, following, form.missing)
        if form.missing is not None:
            self.finding(f"{key}.missing", "only a sending state can miss a value")
        if form.present is not None:
            return Presenting(name, self.present(f"{key}.present", form.present), following)
        if following:
            self.finding(f"{key}.{next(iter(following))}", "nothing follows a failing state")
        return Failing(name, form.fail or "")

    def present(self, key: str, form: n.Presented) -> Present:
        if form.json is not None and form.form:
            self.finding(key, "at most one body, here are json and form")
        return Present(
            headers=self.fields(f"{key}.headers", self.headers(form.headers)),
            cookies=self.fields(f"{key}.cookies", form.cookies),
            query=self.fields(f"{key}.query", form.query),
            basic=self.pair(f"{key}.basic", form.basic),
            json=self.value(f"{key}.json", form.json),
            form=self.fields(f"{key}.form", form.form),
        )

    def rewrite(self, key: str, form: n.Rewrite) -> Rewrite | None:
        source, target = self.url(f"{key}.from", form.source), self.url(f"{key}.to", form.target)
        return Rewrite(source, target) if source and target else None

    def derived(self, name: str, form: Mapping[str, Any]) -> Derived | None:
        key = f"derive.{name}"
        if len(form) != 1:
            self.finding(key, "one function with its argument is wanted", '{ base64 = "{username}:{access}" }')
            return None
        ((function, raw),) = form.items()
        if function not in self.functions:
            self.finding(f"{key}.{function}", "unknown function", f"there are {', '.join(sorted(self.functions))}")
            return None
        argument = self.build(f"{key}.{function}", t.compile, raw, self.converters)
        return None if argument is None else Derived(name, self.functions[function], function, argument)


def _whole(table: Mapping[str, T | None]) -> dict[str, T]:
    return {name: item for name, item in table.items() if item is not None}


def seconds(text: Any) -> float:
    """A duration: a number of seconds, or "90s", "30m", "12h", "7d". Raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    plain = str(text).strip()
    factor = units.get(plain[-1:], 0)
    try:
        value = float(plain[:-1]) * factor if factor else float(plain)
    except ValueError:
        value = -1.0
    if isinstance(text, bool) or not 0 < value < float("inf"):
        raise ValueError('a duration is seconds, or a number with s, m, h or d such as "12h"')
    return value


def each_input(vendor: Vendor) -> Iterator[tuple[str, n.Input, bool]]:
    """Every setting and credential: its name, its description, and whether it is a credential."""
    for name, item in vendor.settings.items():
        yield name, item, False
    for name, item in vendor.credentials.items():
        yield name, item, True
