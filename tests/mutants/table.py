"""The seeded bugs, a row each: what is wrong, where, which text becomes which, and who must notice.

`vendors` are explored by the machine; `tests` are run where the machine cannot reach (threads, other clients). Whole
lines are found at whatever depth they are indented. A row whose `old` is no longer in its file exactly once is stale,
and fails the run: it has to follow the code.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import NamedTuple


class Stale(Exception):
    """The code has changed, and a row has not."""


class Mutant(NamedTuple):
    """One bug. `file` is below `authflow/`."""

    name: str
    file: str
    old: str
    new: str
    vendors: tuple[str, ...] = ("supplier",)
    tests: tuple[str, ...] = ()

    def seeded(self, text: str) -> str:
        """The text of the file with the bug in it. Raises Stale."""
        if not self.old:
            return text
        if not self.old.endswith("\n"):
            return self._once(text, re.escape(self.old), lambda found: self.new)
        old = textwrap.dedent(self.old).splitlines()
        depth = len(self.old.splitlines()[0]) - len(old[0])
        lines = "".join(rf"(?P=depth){re.escape(line)}\n" if line else "\n" for line in old[1:])
        pattern = rf"^(?P<depth> *){re.escape(old[0])}\n{lines}"
        new = "".join(line[depth:] for line in self.new.splitlines(keepends=True))
        return self._once(text, pattern, lambda found: textwrap.indent(new, found["depth"]))

    def _once(self, text: str, pattern: str, new: Callable[[re.Match[str]], str]) -> str:
        changed, times = re.subn(pattern, new, text, flags=re.MULTILINE)
        if times != 1:
            raise Stale(f"its text is {times} times in {self.file}")
        return changed


MUTANTS: tuple[Mutant, ...] = (
    # --- one exchange at a time ---------------------------------------------------------------------------------------
    Mutant(
        "the record is not read again under the lock",
        "manager/stored.py",
        "return Kept(record or blank, revision, ",
        "return Kept(presented or record or blank, revision, ",
    ),
    Mutant(
        "another's fresh token is not taken over",
        "manager/renewal.py",
        "                    if self._serves(kept, presented, deadline):\n"
        "                        return kept.record\n"
        "                    if event",
        "                    if event",
    ),
    Mutant(
        "no lock is taken",
        "manager/stored.py",
        "            lock = self.store.lock(key, limit=limit, wait=limit + LOCK_MARGIN)\n",
        "            lock = suppress()\n",
    ),
    Mutant(
        "the lock is kept on error",
        "manager/stored.py",
        "        try:\n            yield\n        finally:\n            with suppress(StoreError):\n"
        "                lock.__exit__(None, None, None)\n",
        "        yield\n        lock.__exit__(None, None, None)\n",
    ),
    Mutant(
        "a store that cannot lock is gone without",
        "manager/stored.py",
        "        if not self.degrade:\n            raise error\n",
        "",
    ),
    Mutant(
        "each of many waiters begins a flight of its own",
        "manager/single_flight.py",
        "            if flight is not None and not flight.late:\n",
        "            if flight is not None and flight.late:\n",
        vendors=(),
        tests=("tests/manager/test_single_flight.py",),
    ),
    Mutant(
        "a flight that has landed is joined for ever",
        "manager/single_flight.py",
        "            if self._under_way.get(key) is flight:\n",
        "            if self._under_way.get(key) is None:\n",
    ),
    # --- no refresh token is reused -----------------------------------------------------------------------------------
    Mutant(
        "a destroyed record is answered with what this process remembers",
        "manager/stored.py",
        "        record, blank = self.claims.record(key, stored.data) if stored is not None else (None, blank)\n",
        "        record, blank = self.claims.record(key, stored.data) if stored is not None else (None, blank)\n"
        "        record = record or presented\n",
    ),
    Mutant(
        "what the store did not take is forgotten",
        "manager/stored.py",
        "            self.unsaved[key] = Kept(record, kept.revision, kept.unread)\n            self._degrade(error)\n",
        "            self._degrade(error)\n",
    ),
    Mutant(
        "a refresh whose answer was lost is sent again",
        "manager/run.py",
        "            spent = isinstance(error, AnswerLost) and rotates(step.exchange)\n",
        "            spent = False\n",
        vendors=("soap",),
    ),
    Mutant(
        "an answer that nobody understands costs no refresh token",
        "manager/run.py",
        "                self._keep(origin, absorb(step.captured, Outcome(LOST, {}), step.exchange))\n",
        "",
    ),
    Mutant(
        "a refresh token is marked as spent in memory only",
        "manager/run.py",
        "self._keep(state, step.captured)",
        "pass",
    ),
    Mutant(
        "a refused refresh token is kept",
        "vendors/flow.py",
        "    elif exchange is not None and outcome.name != UNAVAILABLE and spends_refresh(exchange):\n"
        '        kept.pop("refresh", None)\n',
        "",
        vendors=("form-query",),
    ),
    Mutant(
        "an omitted refresh token is erased",
        "vendors/flow.py",
        '        kept.pop("expires_at", None)\n',
        '        kept.pop("expires_at", None)\n        kept.pop("refresh", None)\n',
        vendors=("code-bank",),
    ),
    Mutant(
        "a 503 is taken for a refusal",
        "manager/exchanges.py",
        "            outcome = Outcome(UNAVAILABLE, {})\n",
        '            outcome = Outcome("denied", {})\n',
    ),
    # --- a refused password is not sent again -------------------------------------------------------------------------
    Mutant(
        "a refusal is not stored",
        "manager/run.py",
        "refusals = self.stored.refuse(lambda known: known.with_refused(names, fingerprint, now))",
        "refusals = Refusals().with_refused(names, fingerprint, now)",
    ),
    Mutant(
        "a stored refusal is not heeded",
        "manager/run.py",
        "            if 0 < wait <= COOL_DOWN_MOST and any(",
        "            if wait < 0 and any(",
    ),
    Mutant(
        "the cool-down is a quarter of what was promised",
        "manager/records.py",
        "COOL_DOWN: Final = 60.0\n",
        "COOL_DOWN: Final = 15.0\n",
    ),
    Mutant(
        "the cool-down does not double",
        "manager/records.py",
        "COOL_DOWN * 2 ** min(count - 1, 30)",
        "COOL_DOWN",
    ),
    Mutant(
        "a refusal never ends",
        "manager/run.py",
        "            if 0 < wait <= COOL_DOWN_MOST and any(",
        "            if any(",
    ),
    Mutant(
        "a session's own memory of a refusal never ends",
        "manager/cache.py",
        "0 < refused[1] - now <= COOL_DOWN_MOST and not",
        "not",
        vendors=("supplier", "preset-relogin"),
    ),
    # --- secrets stay home --------------------------------------------------------------------------------------------
    Mutant(
        "the token is presented anywhere",
        "manager/manager.py",
        "        if origin in origins or (grant is ANONYMOUS and not origins):\n",
        "        if origin is not None:\n",
    ),
    Mutant(
        "a header of one's own is kept on a cross-origin redirect (httpx)",
        "clients/httpx_wire.py",
        '            if name.lower() == "authorization":\n',
        "            if name:\n",
        vendors=("two-steps",),
    ),
    Mutant(
        "a hop of a redirect keeps the token (requests)",
        "clients/requests_wire.py",
        "        hook.take_back(self)\n        hop = super().copy()",
        "        hop = super().copy()",
        vendors=(),
        tests=("tests/clients/test_redirects.py::test_no_hop_of_the_history_holds_the_token",),
    ),
    Mutant(
        "an exchange follows a redirect that its file does not mention",
        "manager/exchanges.py",
        "follow = exchange.redirects and",
        "follow =",
        vendors=(),
        tests=("tests/trust/test_origins.py::test_an_exchange_follows_a_redirect_only_if_the_file_says_so",),
    ),
    Mutant(
        "credentials are kept in the store",
        "manager/run.py",
        "            captured=captured,\n            issued_at=self.issued_at,\n",
        "            captured={**dict(self.given.items()), **captured},\n            issued_at=self.issued_at,\n",
    ),
    Mutant(
        "an error shows the request that failed",
        "manager/exchanges.py",
        '            raise kind(f"{title}: no answer to {exchange.name} from {asked} ({error})", **where) from error\n',
        '            raise kind(f"{title}: no answer to {exchange.name} ({request.body!r})", **where) from error\n',
    ),
    # --- every request ends -------------------------------------------------------------------------------------------
    Mutant(
        "a rejected request is sent again without limit (httpx)",
        "clients/httpx.py",
        "                again = True\n",
        "                again = False\n",
    ),
    Mutant(
        "a rejected request is sent again without limit (requests)",
        "clients/requests.py",
        "self._again = True",
        "self._again = False",
        vendors=(),
        tests=("tests/clients/test_walk.py::test_the_second_rejection_is_the_callers",),
    ),
    # --- no waiting, no failure while a token is good -----------------------------------------------------------------
    Mutant(
        "a refresh ahead of time is waited for",
        "manager/cache.py",
        "                    self._renew_ahead(slot, grant, now)\n                return grant.at(now)\n",
        "                    self._renew_ahead(slot, grant, now)\n                return self._fly(slot, grant, now)\n",
    ),
    Mutant(
        "the margin is wider than the life",
        "manager/token.py",
        "min(MANDATORY, lifetime * MANDATORY_PART)",
        "max(MANDATORY, lifetime * 2)",
    ),
    Mutant(
        "a good use does not prolong an idle session",
        "manager/grants.py",
        "self._note(windows=Windows.of(now, now + self._idle))",
        "pass",
        vendors=("rpc",),
    ),
    Mutant(
        "a failed refresh fails requests whose token is good",
        "manager/cache.py",
        "            if good is not None:\n                log.info",
        "            if good is ANONYMOUS:\n                log.info",
    ),
    Mutant(
        "requests are fresh beyond the instant from which they must wait",
        "manager/grants.py",
        "            self._note(fresh_until=min(self.windows.mandatory, until))\n",
        "            self._note(fresh_until=until)\n",
        tests=("tests/test_session.py",),
    ),
    Mutant(
        "a renewal ahead that failed is not tried again",
        "manager/grants.py",
        "            self._note(fresh_until=min(self.windows.mandatory, until))\n",
        "            self._note(fresh_until=self.windows.mandatory)\n",
        tests=("tests/test_session.py",),
    ),
    # --- granted means kept -------------------------------------------------------------------------------------------
    Mutant(
        "a token is used and not kept",
        "manager/stored.py",
        "            self._save(key, kept, record, lifetime)\n",
        "            pass\n",
        vendors=("parcels",),
    ),
    Mutant(
        "a token is saved after it was used",
        "manager/stored.py",
        "            self._save(key, kept, record, lifetime)\n",
        '            __import__("threading").Timer(0.5, self._save, (key, kept, record, lifetime)).start()\n',
    ),
    Mutant(
        "what the store did not take is used all the same",
        "manager/renewal.py",
        "                if key in self.stored.unsaved:\n"
        "                    self.stored.keep(key, kept, kept.record)\n",
        "",
    ),
    Mutant(
        "a newer record is overwritten by one who was held up",
        "manager/stored.py",
        "        if stored is not None and newer is not None and not kept.unread:\n",
        "        if stored is not None and newer is not None and kept.unread:\n",
        vendors=(),
        tests=("tests/manager/test_renewal.py",),
    ),
    Mutant(
        "a refresh whose token nobody could verify is sent again",
        "manager/exchanges.py",
        "raise AnswerLost(str(error), **{**where",
        "raise VendorUnavailable(str(error), **{**where",
        vendors=("verified",),
    ),
    Mutant(
        "a token that does not verify is used",
        "manager/jwt_verification.py",
        "            raise VendorAnswerError(message, vendor=vendor.name) from None\n",
        "            pass\n",
        vendors=("verified",),
    ),
    # --- a cancelled caller, no silent resend, errors -----------------------------------------------------------------
    Mutant(
        "a waiter's cancellation ends the flight of all",
        "manager/single_flight.py",
        "    try:\n        await future\n    finally:\n",
        "    try:\n        await future\n    except asyncio.CancelledError as error:\n"
        "        flight.land(None, error)\n        raise\n    finally:\n",
    ),
    Mutant(
        "a body that comes once is sent twice (httpx)",
        "clients/httpx_wire.py",
        "    if fields is None:\n        return False\n    files",
        "    if fields is None:\n        return True\n    files",
    ),
    Mutant(
        "a body that comes once is sent twice (requests)",
        "clients/requests_wire.py",
        "return request.body is None or",
        "return True or",
        vendors=(),
        tests=("tests/clients/test_bodies.py",),
    ),
    Mutant(
        "an error is not the client's own",
        "errors.py",
        "return _remake(_own_class(type(error)), base, error.args",
        "return _remake(_own_class(type(error)), None, error.args",
    ),
    # --- one account, one server, one record --------------------------------------------------------------------------
    Mutant(
        "a setting is no part of the key",
        "manager/identity.py",
        "at, sorted((name, settings[name]) for name in kept)]",
        "at]",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "the servers are no part of the key",
        "manager/identity.py",
        'given.get("base_url"), at, sorted(',
        'given.get("base_url"), sorted(',
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "a secret that says who it is is no part of the key",
        "manager/identity.py",
        "if _secret(vendor, name) else value) for",
        "if _secret(vendor, name) and 0 else 0) for",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "all of a preset's credentials say who it is",
        "manager/identity.py",
        "    named = [name.removesuffix",
        "    return [name for name in vendor.credentials if name in given]\n    named = [name.removesuffix",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "a given refresh token seeds a record for each setting",
        "manager/identity.py",
        'if "refresh" in given else settings.keys()',
        'if "" in given else settings.keys()',
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "refusals lie under the paths of the servers too",
        "manager/identity.py",
        "[vendor.name, origins(at), public]",
        "[vendor.name, at, public]",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "a file with its own credentials is told apart by its preset's alone",
        "vendors/extends.py",
        "        _add_to_identity(merged, raw, below)\n",
        "",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "a shared store tells users apart by nothing",
        "manager/identity.py",
        "    if shared and said is None and",
        "    if not shared and said is None and",
        vendors=(),
        tests=("tests/manager/test_identity.py",),
    ),
    Mutant(
        "a record in another's place is used",
        "manager/claims.py",
        "        if record.key != key:\n",
        "        if not record.key:\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a record granted for other servers is used",
        "manager/claims.py",
        "        if record.servers != self.identity.servers:\n",
        "        if not record.servers:\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a record holds names that the file never captures",
        "manager/claims.py",
        "for name, value in record.captured.items() if _fits(self.vendor, name, value)}",
        "for name, value in record.captured.items()}",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a record's values are of any type",
        "manager/claims.py",
        "        if any(name in known and not _fits",
        "        if any(not known and not _fits",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a record's times are of any size",
        "manager/claims.py",
        "        if not all(0 <= time <= END_OF_TIME for time in times):\n",
        "        if not times:\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "another password's grant is used",
        "manager/claims.py",
        "        if captured and not self.owns(record):\n",
        "        if not captured and not self.owns(record):\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a grant that lacks what the file presents is used",
        "manager/claims.py",
        "        if any(record.captured.get(name) is None and name not in values.bound for name in names):\n"
        "            return False\n",
        "",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a record with a line break in its token is used",
        "manager/claims.py",
        "        if state.present.json is None and any(",
        "        if state.present.json and any(",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "what was granted with other settings is presented",
        "manager/claims.py",
        "            record = record.replace(expires_at=record.issued_at)\n",
        "",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a wrong password destroys the grant of the right one",
        "manager/run.py",
        "        if (self.kept.foreign or self.shared.foreign) and not self.began:\n",
        "        if self.kept.foreign and self.shared.foreign and self.began:\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a refused password is forgotten when another is accepted",
        "manager/run.py",
        "            and all(map(self._told, refusal.names))\n            and self._fits(refusal)\n",
        "",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "the account's record does not list its grants",
        "manager/run.py",
        "            self._list_slot()\n",
        "            pass\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "the oldest of too many grants stays in the store",
        "manager/run.py",
        '            self.stored.drop(f"{self.account}',
        '            list(f"{self.account}',
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "an event's own transition is dropped with vary",
        "manager/renewal.py",
        "                        if key != account and (kept.revision is None or kept.foreign):\n",
        "                        if key == account and kept.revision is None:\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a code is kept at rest",
        "manager/run.py",
        "self._keep(rest.state.name, _at_rest(self.vendor, rest))",
        "self._keep(rest.state.name, rest.captured)",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "a subject's token is asked for once",
        "manager/cache.py",
        "            given = answered(self.vendor, self.given, self.said)\n",
        "            given = self.given = answered(self.vendor, self.given, self.said)\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "an account is shown under its key",
        "manager/cache.py",
        "        return label(self._labels, identity.key)\n",
        "        return identity.key\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
    Mutant(
        "every secret is hashed slowly, for any store",
        "manager/fingerprints.py",
        "    return quick if isinstance(store, MemoryStore) else slow\n",
        "    return slow\n",
        vendors=(),
        tests=("tests/manager/test_claims.py",),
    ),
)
