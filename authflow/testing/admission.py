"""The half of a simulator that decides: whose request it is, and whether what it carries is good."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from authflow.http import Request
from authflow.templates import Exchange, Mismatch, Sign, Unbound, Unfit
from authflow.testing import derived
from authflow.testing.answering import Answering
from authflow.testing.ledger import ACCESS, REFRESH, Account, Family, Refused
from authflow.testing.proving import Proving
from authflow.testing.signatures import Signatures
from authflow.vendors import FROM_BROWSER, INTO_BROWSER, Presenting, Vendor, closure, spends_refresh


class Admission(Answering):
    """Reads values and asks the ledger. The attributes are the simulator's."""

    signatures: Signatures
    proving: Proving
    _presenting: list[Presenting]
    #: The request that is looked at, without what hangs on the request itself.
    _bare: Request | None

    def _presented(self, state: Presenting, request: Request) -> dict[str, Any]:
        """The values that a caller's request presents as `state` does; in a text, those that are known. Raises
        Mismatch.
        """
        values = state.present.match(request)
        for _, item in state.present.text if request.body else ():
            values |= self._within((request.body or b"").decode("utf-8", "replace"), item)
        return derived.unfold(self.vendor, values | self._in_path(request))

    def _within(self, body: str, item: Any) -> dict[str, Any]:
        names = [placeholder.name for placeholder in item.placeholders()]
        known = [{**self._settings, **account.values} for account in self.ledger.accounts]
        issued = [{name: value} for name in names for value in self.ledger.all_of(name)]
        for values in [*issued, *known]:
            try:
                if str(item.render({**known[0], **values})) in body:
                    return {name: values[name] for name in names if name in values}
            except (Unbound, Unfit):
                continue
        raise Mismatch("no token in the text")

    def _in_path(self, request: Request) -> dict[str, Any]:
        """What a rewrite has put into the URL. Raises Mismatch where nothing else presents a token."""
        wanted = False
        for rewrite in self.vendor.rewrites:
            read = {placeholder.name for placeholder in rewrite.source.placeholders()} | {"base_url", *self._settings}
            names = {placeholder.name for placeholder in rewrite.target.placeholders()} - read
            found: dict[str, Any] = {}
            wanted = wanted or bool(names)
            with suppress(Mismatch):
                rewrite.target.match(request.url, self.base_url, {**self._settings, **self._hosts}, found)
                return {name: found[name] for name in names}
        if wanted and not any(_names(state) for state in self._presenting):
            raise Mismatch("no token in the path")
        return {}

    def _read(
        self, exchange: Exchange, request: Request, values: Mapping[str, Any]
    ) -> tuple[Family | None, Account | None]:
        """Whose request it is. Raises Refused."""
        for name, known in self._settings.items():
            if name in values and str(values[name]) != str(known):
                raise Refused("unknown")
        try:
            family = self._family(exchange, values)
        except Refused:
            if (sign := exchange.request.sign) is not None:  # a proof is judged first: what it lacks is no refusal
                known = {**self._settings, **self.ledger.accounts[0].values, **values}
                self.proving.proves(sign, request, known, {}, self.now())
            raise
        if "code_verifier" in values and not _proves(values, family):
            raise Refused("unknown")
        account = family.account if family is not None else None
        if (sign := exchange.request.sign) is not None:
            family, account = self._proved_by(sign, request, values, family, account)
        names = [name for name in values if name in self.vendor.credentials or name in self._proofs]
        if names := [name for name in names if name != REFRESH]:
            account, right = self._identify(names, values, family)
            self.ledger.check_password(account, right and self._signed(request, values, family, account))
        elif self.signatures.wanted:
            account = account or self.ledger.accounts[0]
            self.ledger.check_password(account, self._signed(request, values, family, account))
        return family, account

    def _proved_by(
        self,
        sign: Sign,
        request: Request,
        values: Mapping[str, Any],
        family: Family | None,
        account: Account | None,
    ) -> tuple[Family | None, Account | None]:
        """Who signed a request. Raises Refused, Challenged."""
        names = closure(self.vendor, [placeholder.name for placeholder in sign.parameters.placeholders()])
        brought = [name for name in self._captured(names) if name not in values]
        families: list[Family | None] = [*self.ledger.of_late()] if family is None and brought else [family]
        signs_with_credentials = any(name in self.vendor.credentials for name in names)
        wrong: Account | None = None
        for one in families:
            theirs, bound = (one.values, one.bound) if one is not None else ({}, {})
            owner = account or (one.account if one is not None else None)
            for who in [owner] if owner is not None else self.ledger.accounts:
                known = {**self._settings, **who.values, **theirs, **values}
                if not self.proving.proves(sign, request, known, bound, self.now()):
                    wrong = wrong or who
                    continue
                if one is None:
                    self.ledger.bound = bound
                elif one.revoked and brought:
                    raise Refused("revoked")
                if ACCESS in brought and one is not None:
                    self.ledger.check_access(str(theirs[ACCESS]), self.now())
                if signs_with_credentials:
                    self.ledger.check_password(who, right=True)
                return one, who
        if signs_with_credentials:
            self.ledger.check_password(wrong, right=False)
        raise Refused("wrong")

    def _signed(
        self, request: Request, values: Mapping[str, Any], family: Family | None, account: Account | None
    ) -> bool:
        """Is the request signed with what the account has and its answers brought?"""
        own = account.values if account is not None else {}
        brought = family.values if family is not None else {}
        return self.signatures.fit(request, {**self._settings, **own, **brought, **values})

    @property
    def _proofs(self) -> frozenset[str]:
        """Derived names that cannot be read back: what they prove has to be computed."""
        return frozenset(name for name, row in self.vendor.derive.items() if row.function.inverse is None)

    def _family(self, exchange: Exchange, values: Mapping[str, Any]) -> Family | None:
        """The family whose tokens a request carries. Raises Refused."""
        family: Family | None = None
        renews = spends_refresh(exchange)
        remembered = {place.name for place in exchange.request.placeholders() if place.optional}
        remembered = remembered if any(name in self.vendor.credentials for name in values) else set()
        for name in sorted(self._captured(values)):
            if name == REFRESH:
                self._register(str(values[name]))
                theirs = self.ledger.spend(str(values[name]))
            elif self.ledger.is_open(name, values[name]) or values[name] in self._urls.values():
                continue
            else:
                issued = self.ledger.look_up(name, values[name])
                if issued is None or (issued.family.revoked and not renews):
                    if name in remembered:  # beside a password it proves nothing: a device that is new again
                        continue
                    raise Refused("unknown")
                if name == ACCESS and not renews and exchange.name != self.vendor.on_logout:
                    self.ledger.check_access(str(values[name]), self.now())
                theirs = issued.family
            if family is not None and theirs is not family:
                raise Refused("another")
            family = theirs
        return family

    def _register(self, refresh: str) -> None:
        """A refresh token that users are given by hand is one that was handed out."""
        account = next((one for one in self.ledger.accounts if str(one.values.get(REFRESH)) == refresh), None)
        if account is not None and self.ledger.look_up(REFRESH, refresh) is None:
            family = self.ledger.found(account)
            self.ledger.hand_out(REFRESH, refresh, family, 0)
            family.refresh = refresh

    def _captured(self, values: Iterable[str]) -> list[str]:
        given = {*self.vendor.inputs, *self.vendor.derive, *INTO_BROWSER, *FROM_BROWSER, "base_url"} - {REFRESH}
        return [name for name in values if name not in given]

    def _identify(
        self, names: list[str], values: Mapping[str, Any], family: Family | None
    ) -> tuple[Account | None, bool]:
        """The account that the credentials in a request name, and whether they prove it."""
        candidate: Account | None = None
        for account in self.ledger.accounts:
            known = {**self._settings, **account.values}
            plain = [name for name in names if name in self.vendor.credentials and not _secret(self.vendor, name)]
            if any(str(values[name]) != str(known.get(name)) for name in plain):
                continue
            given = [name for name in names if name not in self.vendor.derive]
            proofs = [name for name in names if name in self.vendor.derive]
            if all(str(values[name]) == str(known.get(name)) for name in given) and any(
                all(
                    derived.fits(self.vendor, name, {**brought, **values}, known, self.now(), self._bare)
                    for name in proofs
                )
                for brought in self.ledger.brought(family)
            ):
                return account, True
            candidate = candidate or account
        return candidate, False

    def _admit(self, state: Presenting, values: Mapping[str, Any], request: Request) -> Account | None:
        """Whose request it is that presents these values. Raises Refused."""
        for name, known in self._settings.items():
            if name in values and str(values[name]) != str(known):
                raise Refused("unknown")
        tokens = self._captured(values)
        names = [name for name in values if name in self.vendor.credentials or name in self._proofs]
        family: Family | None = None
        found: Account | None = None
        for name in tokens:
            if name == ACCESS:
                issued = self.ledger.check_access(str(values[name]), self.now())
                if any(value != f"{key}-{self._part_of(request)}" for key, value in self._open_scope(issued.scope)):
                    raise Refused("scope")
                if self.vendor.idle is not None:
                    issued.ends = self.now() + self.lifetime
                family = issued.family
            elif not self.ledger.is_open(name, values[name]):
                other = self.ledger.look_up(name, values[name])
                if other is None or other.family.revoked:
                    raise Refused("unknown")
                family = family or other.family
        if names:
            account, right = self._identify(names, values, family)
            if account is None or not right or account.refused:
                raise Refused("wrong")
            found = account
        if (sign := state.present.sign) is not None:
            family, found = self._proved_by(sign, request, values, family, found)
        if self.signatures.wanted:
            owner = found or (family.account if family is not None else None)
            if not self._signed(request, values, family, owner or self.ledger.accounts[0]):
                raise Refused("wrong")
        if not tokens and any(self._captured(_names(state)) for state in self._presenting):
            raise Refused("missing")
        if found is not None:
            return found
        return family.account if family is not None else None

    def _open_scope(self, scope: Mapping[str, str]) -> list[tuple[str, str]]:
        return [(name, value) for name, value in scope.items() if self.ledger.is_open(name, value)]

    def _part_of(self, request: Request) -> str:
        """The part of the data that a URL names: its first segment below the base."""
        path = urlsplit(request.url).path
        below = path.removeprefix(urlsplit(self.base_url).path).strip("/")
        return below.partition("/")[0] or "root"

    def _proved(self, values: Mapping[str, Any]) -> Account | None:
        names = [name for name in values if name in self.vendor.credentials]
        account, right = self._identify(names, values, None) if names else (None, False)
        return account if right else None


def _proves(values: Mapping[str, Any], family: Family | None) -> bool:
    """Did whoever has this code ask for it (RFC 7636 §4.6)? And is it the first time?"""
    digest = hashlib.sha256(str(values["code_verifier"]).encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    asked = family.values if family is not None else {}
    if family is None or asked.pop("code_challenge", None) != challenge:
        return False
    return bool(asked.get("redirect_uri") == values.get("redirect_uri", asked.get("redirect_uri")))


def _secret(vendor: Vendor, name: str) -> bool:
    return vendor.credentials[name].secret


def _names(state: Presenting) -> list[str]:
    found = state.present.placeholders(signed=False)
    return [placeholder.name for placeholder in found if placeholder.name != "_"]
