"""The vendor as it runs: what a vendor file means. `compiling` makes it, `proofs` prove it, `loading` does both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from authflow.errors import Finding
from authflow.templates import AnswerPattern, Answers, RequestTemplate, Rewrite, Template, UrlTemplate
from authflow.vendors import notation as n
from authflow.vendors.derive import Function
from authflow.vendors.derive import seconds as seconds
from authflow.vendors.flow import Flow, Presenting
from authflow.vendors.signers import Signer, hears


@dataclass(frozen=True, slots=True)
class Derived:
    """One row of `[derive]`: the function, its name, and the template of its argument."""

    name: str
    function: Function
    function_name: str
    argument: Template


@dataclass(frozen=True, slots=True)
class Verify:
    """`[verify]`: where the keys are, and what the claims `iss` and `aud` must be."""

    jwks_url: UrlTemplate
    issuer: Template | None
    audience: Template | None


@dataclass(frozen=True, eq=False)
class Vendor:
    """A vendor file that is read and proved, by `authflow.vendors.load(path or mapping)`: for `AuthSession(vendor)`.

    `name`, `title` and `file` are what people see of it, `settings` and `credentials` what a session must be given
    (`notation.Input` by name), `warnings` what is unwise in it. It is frozen, and one serves any number of sessions.
    """

    name: str
    title: str
    file: str
    base_url: UrlTemplate
    settings: Mapping[str, n.Input]
    credentials: Mapping[str, n.Input]
    flow: Flow
    answers: Answers
    #: What good answers bring anew.
    keep: tuple[AnswerPattern, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    public: tuple[RequestTemplate, ...] = ()
    vary: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    send_origins: tuple[UrlTemplate, ...] = ()
    present_origins: tuple[UrlTemplate, ...] = ()
    lifetime: Template | None = None
    idle: Template | None = None
    ahead: Template | None = None
    derive: Mapping[str, Derived] = field(default_factory=dict)
    signers: Mapping[str, type[Signer]] = field(default_factory=dict)
    on_logout: str | None = None
    verify: Verify | None = None
    insecure_url: bool = False
    insecure_http: bool = False
    #: Which inputs say whose login it is; `name?` only where it is given as a plain value.
    identity: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    #: What the preset knows and the file has no use for: a name that is mistyped may be meant for it.
    dropped: frozenset[str] = frozenset()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<Vendor {self.name}>"

    @cached_property
    def inputs(self) -> Mapping[str, n.Input]:
        """Settings and credentials together: what the user may give."""
        return {**self.settings, **self.credentials}

    @cached_property
    def hears_headers(self) -> tuple[str, ...]:
        """The headers of an answer that tell its signers something, whatever its status is."""
        return tuple({name for signer in self.signers.values() for name in signer.hears_headers})

    @cached_property
    def signs(self) -> bool:
        """Is a request with any of its tokens signed?"""
        presenting = (state for state in self.flow.states.values() if isinstance(state, Presenting))
        return any(state.present.first is not None for state in presenting)

    @property
    def hears(self) -> bool:
        """Does any answer tell its signers something, so that a request may be sent once more?"""
        return any(map(hears, self.signers.values()))
