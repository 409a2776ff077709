"""What to type next: `authflow check FILE --against BASE_URL --get PATH`. The PATH went well in the capture. Pure.

Only a GET is taken, since anything else may change something; and none that holds a value of the user's, or what looks
like a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from authflow.masking import SHORT, spells
from authflow_learn import names
from authflow_learn.leaves import Leaf
from authflow_learn.tracing import Key, Learnt


def words(learnt: Learnt, file: str) -> list[str]:
    """The words of the command; without `--get` where nothing will do."""
    path = next(filter(None, (_path(learnt, at) for at in _data(learnt))), "")
    return ["authflow", "check", file, "--against", learnt.base_url, *(["--get", path] if path else [])]


def _data(learnt: Learnt) -> Iterator[int]:
    """GETs that carried all that is presented, and were let in."""
    flow = learnt.flow
    steps = [*learnt.steps, *filter(None, (learnt.refresh, learnt.logout))]
    alike = {other for step in steps for other in flow.alike(step.at) if step.name != "login"}
    alike |= {other for step in learnt.steps for other in flow.alike(step.at) if flow.has_credential(other)}
    inner = alike | {step.at for step in steps}
    presented = {("basic", "0") if key.place == ("basic",) else key.place for key in learnt.presented}
    for at, one in enumerate(flow.captures):
        known = one.url.startswith((learnt.base_url, *(f"{origin}/" for origin in learnt.origins)))
        carries = presented <= {leaf.place for leaf in flow.requests[at]}
        logs_in = at in inner or (not learnt.direct and flow.has_password(at))
        plain = one.method == "GET" and not one.request.body.strip()
        if plain and 200 <= one.status < 300 and known and carries and not logs_in:
            yield at


def _path(learnt: Learnt, at: int) -> str:
    """As a caller writes it: without the token, and below the base URL; empty where it tells too much."""
    leaves = learnt.flow.requests[at]
    mine = [leaf for leaf in leaves if Key.of(leaf) in learnt.presented]
    shown = [leaf for leaf in leaves if leaf.place[0] in ("path", "query") and not _overlap(leaf, mine)]
    if any(_is_private(learnt, leaf) for leaf in shown):
        return ""
    parts = urlsplit(learnt.flow.captures[at].url)
    path, base = parts.path, urlsplit(learnt.base_url)
    for leaf in mine:
        if leaf.place == ("path",):
            path = base.path + path[leaf.end :].removeprefix("/")
    taken = {str(leaf.place[1]) for leaf in mine if leaf.place[0] == "query"}
    query = "&".join(part for part in parts.query.split("&") if part.partition("=")[0] not in taken)
    whole = f"{parts.scheme}://{parts.netloc}{path}{'?' if query else ''}{query}"
    if spells(whole, [secret for secret in learnt.secrets if len(secret) >= SHORT]):
        return ""
    short = whole.removeprefix(learnt.base_url)
    return short if not short.startswith("-") and "://" not in short else whole


def _is_private(learnt: Learnt, leaf: Leaf) -> bool:
    known = leaf.value in learnt.flow.known.values() or leaf.value in learnt.secrets
    return bool(leaf.value) and (known or names.looks_secret(leaf.value))


def _overlap(leaf: Leaf, mine: list[Leaf]) -> bool:
    return any(one.place == leaf.place and one.start < leaf.end and leaf.start < one.end for one in mine)
