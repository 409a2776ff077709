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
        "        return Kept(record or blank, revision)\n",
        "        return Kept(presented or record or blank, revision)\n",
    ),
    Mutant(
        "another's fresh token is not taken over",
        "manager/renewal.py",
        "                    if self._serves(kept.record, presented, event):\n"
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
        "        record = self._read(key, stored) if stored is not None else None\n",
        "        record = (self._read(key, stored) if stored is not None else None) or presented\n",
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
        "self._keep(state, step.captured, self.kept.record.refusal)",
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
        '    if "access" in outcome.captured:\n        for told',
        '    if "access" in outcome.captured:\n        kept.pop("refresh", None)\n        for told',
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
        "        self._keep(state.name, captured, refusal)\n",
        "        self._keep(state.name, captured)\n",
    ),
    Mutant(
        "a stored refusal is not heeded",
        "manager/run.py",
        "        if refusal is not None and 0 < wait <= COOL_DOWN_MOST and refusal.fits(",
        "        if refusal is not None and wait < 0 and refusal.fits(",
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
        "COOL_DOWN * 2 ** (count - 1)",
        "COOL_DOWN",
    ),
    Mutant(
        "a renewal of several steps forgets what was refused before",
        "manager/run.py",
        "self._keep(state, step.captured, self.kept.record.refusal)",
        "self._keep(state, step.captured)",
        vendors=("csrf-cookie",),
    ),
    Mutant(
        "a refusal never ends",
        "manager/run.py",
        "        if refusal is not None and 0 < wait <= COOL_DOWN_MOST and refusal.fits(",
        "        if refusal is not None and refusal.fits(",
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
        "Record(state, captured, self.issued_at,",
        "Record(state, {**dict(self.given.items()), **captured}, self.issued_at,",
    ),
    Mutant(
        "an error shows the request that failed",
        "manager/exchanges.py",
        'from {asked} ({error}){advice}",',
        '({request.body!r})",',
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
        "min(MANDATORY, lifetime * MANDATORY_PART, most)",
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
        "        flight.finish(None, error)\n        raise\n    finally:\n",
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
    # --- a hint is no verdict -----------------------------------------------------------------------------------------
    Mutant(
        "an unreadable hint refuses a grant",
        "templates/answers.py",
        "    return _second_look(answers, answer), reasons\n",
        "    return None, reasons\n",
        vendors=(),
        tests=("tests/templates/test_hints.py",),
    ),
    Mutant(
        "a page is taken for a token",
        "templates/answers.py",
        "(whole and re.search(",
        "(not whole and re.search(",
        vendors=(),
        tests=("tests/templates/test_hints.py",),
    ),
    Mutant(
        "a mere status takes a grant away for its hint",
        "templates/answers.py",
        '"access" not in captured and pattern.catches_all',
        '"access" not in captured and not pattern.catches_all',
        vendors=(),
        tests=("tests/templates/test_hints.py",),
    ),
    Mutant(
        "an empty refresh token replaces a good one",
        "templates/answers.py",
        '            del found["refresh"]\n',
        "            pass\n",
        vendors=(),
        tests=("tests/templates/test_hints.py",),
    ),
    Mutant(
        "the character set that an answer names is not used",
        "http.py",
        'return content.decode(charset, "replace")',
        'return content.decode("utf-8", "replace")',
        vendors=(),
        tests=("tests/test_http.py",),
    ),
    Mutant(
        "what the vendor says of when to renew is not heard",
        "manager/grants.py",
        "refresh_in=refresh_in(record.captured),",
        "refresh_in=None,",
        vendors=(),
        tests=("tests/scenarios/test_expiry.py",),
    ),
    Mutant(
        "OAuth's codes go by the status",
        "manager/exchanges.py",
        "        outcome = classified(exchange, answer, outcome, given_refresh",
        "        _ = classified(exchange, answer, outcome, given_refresh",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "a pattern that names OAuth's code does not win",
        "vendors/oauth.py",
        "    if literal is not None:\n",
        "    if literal is None and name is None:\n",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "a faulty request is sent again and again",
        "manager/cache.py",
        " or error.status or good is not None:",
        " or good is not None:",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "a reason is stored",
        "manager/run.py",
        'if name != "reason"}',
        "}",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "the wait does not count down",
        "manager/cache.py",
        "            error.retry_after = refused[1] - now\n",
        "            pass\n",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "what would be sent in vain is sent",
        "vendors/values.py",
        "        if value is not None and (reason := unfit(",
        "        if value is None and (reason := unfit(",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "Retry-After counts with few statuses only",
        "manager/exchanges.py",
        " or answer.retry_after is not None",
        "",
        vendors=(),
        tests=("tests/vendors/test_oauth.py",),
    ),
    Mutant(
        "where nothing came back, it is no connection error",
        "clients/base.py",
        "return connection if isinstance(error, VendorUnavailable) and",
        "return connection if not isinstance(error, VendorUnavailable) and",
        vendors=(),
        tests=("tests/trust/test_errors_raised.py",),
    ),
    # --- nothing shows ------------------------------------------------------------------------------------------------
    Mutant(
        "leak: the constructor's arguments",
        "session.py",
        "    @sealed_call\n    def __init__(",
        "    def __init__(",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[constructor: a misspelt vendor]",),
    ),
    Mutant(
        "leak: a sealed call keeps its arguments",
        "sealed.py",
        "        arguments, named = (), {}  # reporters look for them under these names\n"
        "        try:\n            return call()",
        "        try:\n            return call()",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[constructor: timeout=0]",),
    ),
    Mutant(
        "leak: open_store",
        "stores/__init__.py",
        "@sealed_call\ndef open_store",
        "def open_store",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[open_store: an unknown scheme]",),
    ),
    Mutant(
        "leak: the URL of a Redis",
        "stores/redis.py",
        "    @sealed_call\n    def __init__",
        "    def __init__",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[RedisStore]",),
    ),
    Mutant(
        "leak: what redis knows",
        "stores/redis.py",
        "            forget_locals(error)  # those of redis know its password\n",
        "",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[a Redis that refuses the password]",),
    ),
    Mutant(
        "leak: the keys",
        "stores/encrypted.py",
        "    @sealed_call\n    def _new_cipher",
        "    def _new_cipher",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[keys that are none]",),
    ),
    Mutant(
        "leak: a bug under requests",
        "clients/requests.py",
        "            forget_locals(error)\n            raise",
        "            raise",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[requests: a plugin that cannot sign]",),
    ),
    Mutant(
        "leak: a bug under httpx",
        "clients/httpx.py",
        "                forget_locals(error)\n                raise\n\n        async def",
        "                raise\n\n        async def",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[httpx: a plugin that cannot sign]",),
    ),
    Mutant(
        "leak: a store's URL of another form",
        "stores/__init__.py",
        'repr(spec) if spec.isidentifier() else "what was given"',
        "repr(spec)",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "a mask of the beginning of a long secret only",
        "masking.py",
        "ends[at + _alike(pattern, data[at : at + len(pattern)]) - 1]",
        "ends[at + len(pattern[:HEAD]) - 1]",
        vendors=(),
        tests=("tests/test_masking.py::test_a_long_secret_is_masked_to_its_end_and_where_the_text_is_cut",),
    ),
    Mutant(
        "a short secret is masked in words",
        "masking.py",
        "re.compile(_BEFORE + b",
        "re.compile(b",
        vendors=(),
        tests=("tests/test_masking.py::test_a_short_secret_in_text",),
    ),
    Mutant(
        "a number is no secret",
        "masking.py",
        " or (isinstance(value, int | float) and value in self._numbers)",
        "",
        vendors=(),
        tests=("tests/test_masking.py::test_numbers_and_short_secrets_in_documents",),
    ),
    Mutant(
        "all of an answer is masked",
        "masking.py",
        "        text = mask_document(answer.json, known, keys)\n",
        "        text = mask_document(answer.json, known, keys, 1 << 30)\n",
        vendors=(),
        tests=("tests/test_masking.py",),
    ),
    Mutant(
        "what an answer replaced is no secret any more",
        "vendors/values.py",
        "*self._earlier])",
        "])",
        vendors=(),
        tests=("tests/trust/test_masks.py",),
    ),
    Mutant(
        "a recording forgets what it has masked",
        "recording/masks.py",
        "        self._secrets |= {secret for secret in secrets if secret and secret not in self._open}\n",
        "        pass\n",
        vendors=(),
        tests=("tests/recording/test_recording.py",),
    ),
    Mutant(
        "an error says what acts on a terminal",
        "errors.py",
        "super().__init__(harmless(message))",
        "super().__init__(message)",
        vendors=(),
        tests=("tests/attacks/test_terminal.py",),
    ),
    Mutant(
        "a page says what turns the writing",
        "recording/diagram.py",
        'html.escape(harmless(text, "\\n"))',
        "html.escape(text)",
        vendors=(),
        tests=("tests/attacks/test_terminal.py",),
    ),
    Mutant(
        "a body acts on a terminal",
        "cli/request.py",
        "sink.write(chunk if text is None else _tame(text.decode(chunk)))",
        "sink.write(chunk)",
        vendors=(),
        tests=("tests/attacks/test_terminal.py",),
    ),
    Mutant(
        "a drawing acts on a terminal",
        "vendors/drawing.py",
        "    return harmless(numbered)",
        "    return numbered",
        vendors=(),
        tests=("tests/attacks/test_terminal.py",),
    ),
    Mutant(
        "a keyring that keeps plain text is used",
        "stores/keyring.py",
        "        if plain:\n",
        "        if False:\n",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "a temporary file follows links",
        "cli/accounts.py",
        'os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)',
        "os.O_CREAT",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "a password in a query is none",
        "cli/accounts.py",
        ' or any("password" in name.lower() for name, _ in parse_qsl(parts.query, True))',
        "",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "https to this machine goes through a proxy",
        "clients/base.py",
        ' and not is_loopback((urlsplit(url).hostname or "").rstrip("."))',
        "",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "http.client prints exchanges",
        "clients/requests_sender.py",
        "    debuglevel = 0  # else `http.client` may print all of an exchange\n",
        "",
        vendors=(),
        tests=("tests/attacks/test_disk_and_wire.py",),
    ),
    Mutant(
        "a token whose exp is no number lives for ever",
        "manager/jwt_verification.py",
        'number(claims["exp"]) + LEEWAY',
        'float(claims["exp"]) + LEEWAY',
        vendors=(),
        tests=("tests/manager/test_jwt_verification.py",),
    ),
    Mutant(
        "leak: a sealed value tells what it holds",
        "sealed.py",
        "with {', '.join(held) or 'nothing'}>",
        "with {[getattr(self, name) for name in self._fields]}>",
        vendors=(),
        tests=("tests/attacks/test_reporters.py::test_no_tool_shows_a_secret[constructor: timeout=0]",),
    ),
)
