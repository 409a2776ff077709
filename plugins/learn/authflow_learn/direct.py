"""Where there is nothing to log in to: a key, a token, or a user and a password go with every request. Pure."""

from __future__ import annotations

import re
from typing import NoReturn

from authflow_learn import meanings, names, signing
from authflow_learn.leaves import Leaf, Place
from authflow_learn.messages import CaptureError
from authflow_learn.tracing import Flow, Key, Learnt


def without_login(flow: Flow) -> Learnt:
    """What requests carry was brought by no answer: a key, a token, or a user and a password. Raises CaptureError."""
    result = Learnt(flow, flow.base_url(range(len(flow.captures)), data=True))
    if signing.of(flow, result):
        result.signed = True
        meanings.read_direct(flow, result)
        return result
    known = {value: key for key, value in flow.known.items()}
    carried: dict[Place, tuple[int, list[Leaf]]] = {}
    for leaves in flow.requests:
        for leaf in leaves:
            if (
                leaf.place[0] == "basic"
                or (leaf.place == ("path",) and leaf.value in known)
                or (
                    leaf.place[0] in ("headers", "query", "cookies")
                    and leaf.converter == ""
                    and (
                        leaf.value in known
                        or names.is_secret(leaf.name)
                        or re.search(r"token|auth|sess|api[_-]?key|^sid$", leaf.name, re.I)
                    )
                )
            ):
                count, held = carried.get(leaf.place, (0, []))
                carried[leaf.place] = (count + 1, [*held, leaf])
    if not carried or any(one.answer.unread and flow.has_password(at) for at, one in enumerate(flow.captures)):
        _nothing(flow)
    most = max(carried, key=lambda place: (carried[place][0], place[0] == "basic"))
    let_in = {
        leaf.value
        for at, leaves in enumerate(flow.requests)
        for leaf in leaves
        if leaf.place == most and 200 <= flow.captures[at].status < 300
    }
    leaf = next((one for one in carried[most][1] if one.value in known), carried[most][1][0])
    if len(let_in) > 1 and not let_in & known.keys() and most != ("path",):
        raise CaptureError(f"holds the requests of two accounts ({leaf.name or most[0]} differs): capture one")
    if names.SCRUBBED.fullmatch(leaf.value):
        raise CaptureError(
            f"the secrets have been scrubbed from this capture ({leaf.name} is {leaf.value!r}): capture it with them"
        )
    if all(
        flow.captures[at].status >= 400
        for at, leaves in enumerate(flow.requests)
        if any(one.place == most for one in leaves)
    ):
        raise CaptureError(
            f"no request that carries {leaf.name} was let in: there is no login in the capture that went well"
        )
    if most[0] == "basic":
        result.direct, result.credentials = ("username", "password"), {"username": False, "password": True}
        result.presented = {Key(("basic",), "", ""): "username"}
        pairs = [one for leaves in flow.requests for one in leaves if one.place[0] == "basic"]
        result.secrets = {one.value for one in pairs}
    else:
        bearer = leaf.before.strip().lower() == "bearer"
        named = known.get(leaf.value) or ("token" if bearer else "api_key")
        result.direct, result.credentials, result.secrets = (named,), {named: True}, {leaf.value}
        result.presented = {Key.of(leaf): named}
        flow.names[leaf.value] = named
    meanings.read_direct(flow, result)
    return result


def _nothing(flow: Flow) -> NoReturn:
    """Say why there is nothing to learn. Raises CaptureError."""
    if any(one.sanitized for one in flow.captures):
        raise CaptureError(
            "the browser left cookies and Authorization out of this capture: allow it to save HAR with sensitive data "
            "(Chrome: DevTools, Settings, Preferences, Network), and save it anew"
        )
    if any(one.answer.unread for one in flow.captures):
        raise CaptureError("its answers are compressed, and cannot be read here: capture them as plain text")
    values = [leaf.value for leaves in (*flow.requests, *flow.answers) for leaf in leaves]
    if any(names.SCRUBBED.fullmatch(value) for value in values):
        raise CaptureError("the secrets have been scrubbed from this capture: capture it with them")
    raise CaptureError(
        "no request carries anything that an answer brought, nor a key: is there a login in the capture, and a "
        "request after it?"
    )
