"""What the error codes of OAuth mean (RFC 6749 §4.1.2.1 and §5.2, RFC 8628 §3.5), whatever status they come with.

An exchange speaks OAuth if its form has `grant_type`. Of its answer, if that is no grant, counts

    first   a pattern that names the answer's `error` literally
    then    the code's class:   refused  the exchange's own outcome for that
                                not now  `unavailable`
                                faulty   FAULTY: neither the credentials nor the vendor, but the request is at fault
    then    any other pattern; and for codes that are not listed, the status

A page for people is no answer of OAuth's: where it came to a refresh, and only its status would be a refusal, the token
was not looked at, and the vendor is unavailable.
A token that is a number is none (RFC 6749 §5.1).
`error_description`, else the code, is the `reason`.
"""

from __future__ import annotations

from typing import Any, Final

from authflow.http import NOTHING, Answer
from authflow.templates import AnswerPattern, Exchange, Lookup, Object, Outcome, Text, judge
from authflow.vendors.flow import UNAVAILABLE, refusals, spends_refresh

#: The request itself is at fault: a scope that there is not, a grant type that the client may not use.
FAULTY: Final = "faulty"
A_PAGE: Final = "a page for people instead of OAuth's answer"
_CLASSES: Final = {
    **dict.fromkeys(
        ("invalid_client", "invalid_grant", "unauthorized_client", "access_denied", "expired_token"), "refused"
    ),
    **dict.fromkeys(("temporarily_unavailable", "slow_down", "server_error", "authorization_pending"), UNAVAILABLE),
    **dict.fromkeys(
        ("invalid_request", "invalid_scope", "unsupported_grant_type", "unsupported_response_type"), FAULTY
    ),
}


def classified(
    exchange: Exchange, answer: Answer, outcome: Outcome | None, known: Lookup = NOTHING, *, given_refresh: bool = False
) -> Outcome | None:
    """The outcome, as OAuth has it: `outcome` is what the patterns said. `given_refresh`: the refresh token is a
    credential of the user.
    """
    if not _speaks_oauth(exchange):
        return outcome
    if outcome is not None and "access" in outcome.captured:
        return outcome if isinstance(outcome.captured["access"], str) else None
    try:
        document: Any = answer.json
    except ValueError:
        return _unless_a_page(exchange, answer, outcome)
    code = document.get("error") if isinstance(document, dict) else None
    if not isinstance(code, str):
        return outcome
    literal = judge(tuple(row for row in exchange.answers if _named(row[1]) == code), answer, known)[0]
    name = _of_class(exchange, code, outcome, given_refresh)
    if literal is not None:
        outcome = literal
    elif name is not None and (outcome is None or outcome.name != name):
        outcome = Outcome(name, {})
    if outcome is None:
        return None
    said = document.get("error_description")
    reason = said if isinstance(said, str) and said.strip() else code
    return outcome.replace(captured={"reason": reason, **outcome.captured}, code=code)


def _unless_a_page(exchange: Exchange, answer: Answer, outcome: Outcome | None) -> Outcome | None:
    if outcome is None or not spends_refresh(exchange) or not answer.text.lstrip("\ufeff \t\r\n").startswith("<"):
        return outcome
    by_status = outcome.name in {name for name, pattern in exchange.answers if pattern.catches_all}
    return Outcome(UNAVAILABLE, {"reason": A_PAGE}) if by_status and outcome.name in refusals(exchange) else outcome


def _speaks_oauth(exchange: Exchange) -> bool:
    return any(name == "grant_type" for name, _ in exchange.request.form or ())


def _of_class(exchange: Exchange, code: str, outcome: Outcome | None, given_refresh: bool) -> str | None:
    """The outcome that a code's class has in this exchange; None: the patterns and the status decide."""
    kind = _CLASSES.get(code)
    if kind == FAULTY and spends_refresh(exchange) and not given_refresh:
        kind = "refused"
    if kind != "refused":
        return kind
    open_to_all = {name for name, pattern in exchange.answers if _named(pattern) is None}
    names = [name for name in refusals(exchange) if name in open_to_all]
    if outcome is not None and outcome.name in names:
        return outcome.name
    return names[0] if names else None


def _named(pattern: AnswerPattern) -> str | None:
    """The `error` that a pattern names literally."""
    items = dict(pattern.json.items) if isinstance(pattern.json, Object) else {}
    item = items.get("error")
    return item.literals[0] if isinstance(item, Text) and not item.between else None
