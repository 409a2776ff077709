"""The vendor file of what was learnt, as if written by hand: the nearest preset, and only what differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from authflow.masking import SHORT, spells
from authflow_learn import names
from authflow_learn.exchanges import exchange, laid, request_of
from authflow_learn.messages import STANDS_IN, CaptureError
from authflow_learn.notation import header, hole, inline, literal, quoted
from authflow_learn.tracing import Key, Learnt

_DIRECT: Final[Mapping[str, str]] = {"basic": "basic", "token": "bearer"}
_CREDENTIALS: Final[Mapping[str, Mapping[str, bool]]] = {
    "refresh-token": {"client_id": False, "client_secret": True, "refresh": True},
    "relogin": {"username": False, "password": True},
    "password": {"username": False, "password": True},
}
#: What stands in a caller's document where the token goes.
MARK: Final = "@TOKEN@"
#: Headers that a login may need although every client sends some.
_KEPT: Final = ("accept", "content-type", "referer", "origin")


def vendor_file(learnt: Learnt, name: str) -> str:
    """The text of the file. What could not be known is a comment with the question in it. Raises CaptureError."""
    preset = _preset(learnt)
    lines = [
        f"# {question.text}{'?' if question.kind == '' and '?' not in question.text else ''}"
        for question in learnt.questions
    ]
    lines += [f"name = {quoted(name)}", f'extends = "{preset}"', f"base_url = {quoted(learnt.base_url)}"]
    lines += ['on_logout = "logout"'] if learnt.logout is not None else []
    lines += [*_settings(learnt), *_identity(learnt, preset)]
    if any(key.place[0] in ("query", "path") for key in learnt.presented) or _secret_in_a_url(learnt):
        lines.append("insecure_url = true  # a secret stands in URLs, where logs and proxies see it")
    if learnt.constant:
        headers = {header(key): _filled_text(learnt, value) for key, value in learnt.constant.items()}
        lines.append(f"headers = {inline(headers)}")
    if learnt.origins:
        lines.append(f"origins.present = [{', '.join(map(quoted, sorted(learnt.origins)))}]")
    if learnt.lifetime:
        lines.append(f"expiry.lifetime = {quoted(learnt.lifetime)}")
    for key, hidden in learnt.credentials.items():
        if (learnt.signed or key not in learnt.direct) and _CREDENTIALS.get(preset, {}).get(key) != hidden:
            once = ", once = true" if key in learnt.once else ""
            lines.append(f"credentials.{key} = {f'{{ secret = true{once} }}' if hidden else '{}'}")
    for key, made in learnt.derived.items():
        ((function, argument),) = made.items()
        lines.append(f"derive.{key}.{function} = {inline(argument)}")
    for number, step in enumerate(learnt.steps):
        lines += ["", *exchange(learnt, step, learnt.steps[:number])]
    if learnt.refresh is not None:
        lines += ["", *exchange(learnt, learnt.refresh, learnt.steps)]
    lines += [
        *_authorize(learnt),
        *_logout(learnt),
        *_states(learnt),
        *_rejected(learnt),
        *_rewrites(learnt),
        *_kept(learnt),
    ]
    text = "\n".join(lines) + "\n"
    if not text.isascii() and text.encode("utf-8", "replace") != text.encode("utf-8", "surrogatepass"):
        raise CaptureError("the login sends bytes that are no text: no vendor file says such")
    if names.STAND_IN.search(text) or "***" in text:
        raise CaptureError(f"what it sends cannot be told from this capture: {STANDS_IN}")
    public = {value for value, named in learnt.names.items() if learnt.credentials.get(named) is False}
    public = {value for value in public if "@" not in value}  # `admin` is a word of many paths
    if spells(text, [secret for secret in learnt.secrets - public if len(secret) >= SHORT and secret not in name]):
        raise CaptureError("a secret of the capture stands where it cannot be told from other text: nothing is written")
    return text


def _preset(learnt: Learnt) -> str:
    if learnt.standard is not None:
        return learnt.standard.preset
    if learnt.signed:
        return "signed"
    if learnt.direct:
        place = next(iter(learnt.presented)).place
        return _DIRECT.get(str(place[0]), _DIRECT.get(learnt.direct[0], "api-key"))
    if learnt.given_refresh:
        return "refresh-token"
    return "password" if learnt.refresh is not None else "relogin"


def _identity(learnt: Learnt, preset: str) -> Iterator[str]:
    plain = [key for key, secret in learnt.credentials.items() if not secret]
    if (
        (learnt.signed or not learnt.direct)
        and not learnt.given_refresh
        and learnt.standard is None
        and "username" not in plain
        and learnt.credentials
    ):
        says = plain or [*learnt.credentials][: 1 if learnt.signed else None]
        yield f"identity = [{', '.join(map(quoted, says))}]"


def _settings(learnt: Learnt) -> Iterator[str]:
    """What a standard login's preset asks for."""
    if learnt.standard is None:
        return
    if learnt.standard.secret_in:
        yield f"secret_in = {quoted(learnt.standard.secret_in)}"
    for key, value in learnt.standard.settings.items():
        yield f"settings.{key} = {{ default = {quoted(value.removeprefix(learnt.base_url) or value)} }}"


def _authorize(learnt: Learnt) -> Iterator[str]:
    """The sign-in page's query, where it has more than the preset's."""
    if learnt.standard is not None and learnt.standard.more:
        names = ("redirect_uri", "client_id", "scope?", "state", "code_challenge")
        query = {"response_type": "code", **{name.strip("?"): hole(name) for name in names}}
        query |= {"code_challenge_method": "S256", **{key: literal(value) for key, value in learnt.standard.more}}
        yield from ("", "[exchanges.authorize]", f"request = {inline({'url': '{authorize_url}', 'query': query})}")


def _secret_in_a_url(learnt: Learnt) -> bool:
    secret = {
        value for value, name in learnt.names.items() if learnt.credentials.get(name) or name in ("access", "refresh")
    }
    steps = [*learnt.steps, *([learnt.refresh] if learnt.refresh else [])]
    return any(
        leaf.place[0] in ("query", "path") and leaf.value in secret
        for step in steps
        for leaf in learnt.flow.requests[step.at]
    )


# --- states -----------------------------------------------------------------------------------------------------------


def _states(learnt: Learnt) -> Iterator[str]:
    if len(learnt.steps) > 1:
        names = [step.name for step in learnt.steps]
        states = ["signed_out", *(f"with_{name}" for name in names[:-1]), "signed_in"]
        for state, name, following in zip(states, names, states[1:], strict=False):
            yield from ("", f"[states.{state}]", f'send = "{name}"', f'granted = "{following}"', 'denied = "refused"')
    present = _present(learnt)
    usual = {
        "headers": {"X-Api-Key": "{api_key}"}
        if "api_key" in learnt.direct
        else {"Authorization": f"Bearer {hole((*learnt.direct, 'access')[0])}"}
    }
    leaves = ['expired = "leaving"', 'rejected = "leaving"'] if learnt.leaves and learnt.refresh is None else []
    if learnt.direct == ("username", "password") or (present == usual and not leaves):
        return
    if MARK in present.get("text", {}):
        yield from ("", f"# Write {MARK} in a document where the token goes.")
    yield from ("", "[states.signed_in]", f"present = {inline(present)}", *leaves)
    if leaves:
        yield from ("", "[states.leaving]", 'send = "logout"', 'done = "signed_out"')


def _present(learnt: Learnt) -> dict[str, Any]:
    present: dict[str, Any] = {}
    for key, name in learnt.presented.items():
        text = literal(key.before) + hole(name, key.converter) + literal(key.after)
        if key.place == ("text",):
            present["text"] = {MARK: hole(name, key.converter)}
        elif key.place[0] == "json":
            present["json"] = laid(present.get("json"), key.place[1:], text)
        elif key.place == ("basic",):
            present["basic"] = [hole(part) for part in learnt.beside_basic]
        elif key.place[0] == "basic":
            present["basic"] = _pair(learnt, key)
        elif key.place[0] != "path":
            last = header(str(key.place[1])) if key.place[0] == "headers" else str(key.place[-1])
            present.setdefault(str(key.place[0]), {})[last] = text
    return present


def _pair(learnt: Learnt, key: Key) -> list[str]:
    """The token as one half of HTTP Basic, and what stands in the other."""
    for leaves in learnt.flow.requests:
        mine = next((leaf for leaf in leaves if leaf.place == key.place), None)
        if mine is not None and learnt.names.get(mine.value) == learnt.presented[key]:
            halves = {str(leaf.place[1]): leaf.value for leaf in leaves if leaf.place[0] == "basic"}
            return [_filled_text(learnt, halves[half]) for half in ("0", "1")]
    return []


def _rejected(learnt: Learnt) -> Iterator[str]:
    if learnt.rejected != {"status": 401}:
        yield from ("", "[answers]", f"rejected = {inline(learnt.rejected)}")


def _rewrites(learnt: Learnt) -> Iterator[str]:
    """A token in the path: callers write the URL without it."""
    for key, name in learnt.presented.items():
        if key.place[0] == "path":
            yield from (
                "",
                "[[rewrites]]",
                'from = "./{rest:path}"',
                f'to = "./{literal(key.before)}{hole(name)}/{{rest:path}}"',
            )


def _logout(learnt: Learnt) -> Iterator[str]:
    if learnt.logout is not None:
        yield from ("", "[exchanges.logout]", f"request = {inline(request_of(learnt, learnt.logout))}")
        yield "answers.done = { status = [200, 204, 302, 303, 401, 403] }"


def _kept(learnt: Learnt) -> Iterator[str]:
    """What each answer brings anew for the next request."""
    for place, name in learnt.kept.items():
        kept = {place[0]: laid(None, [header(str(place[1])), *place[2:]], hole(name))}
        yield from ("", "[[keep]]", *(f"{key} = {inline(value)}" for key, value in kept.items()))


def _filled_text(learnt: Learnt, value: str) -> str:
    return hole(learnt.names[value]) if value in learnt.names else literal(value)
