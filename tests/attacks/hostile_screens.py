"""A vendor file, the config, plugins, records, a simulator's callers and a server's answers write to the terminal,
through every verb, the log too.

Expected: what arrives at the terminal has no control characters but line ends, tabs and colours of ours, and nothing
that turns the direction of writing or cannot be seen; no line of it is somebody else's; and no verb fails by a mistake
in authflow.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import authflow
from tests.servers import Came, Listener, Says, listening

HOUSE = str(Path(authflow.__file__).parent.parent)
#: The clipboard, a title, a link, a bell; C1's CSI; overrides, isolates, what cannot be seen; line and page separators.
EVIL = (
    "said\nFORGED line\r\x1b]52;c;cm0=\x07\x1b]0;mine\x07\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\\x1b[2J\x9b31m\x08\x7f"
    "\u202eabc\u2066\u200b\u2028\u2029\ufeff[link=https://evil.example]b[/link]\U000e0041"
)
#: What we and rich may send: colours, and a cursor that is hidden, shown, or moved within the line.
OURS = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[hl]|\x1b\[\d*[AK]|\r\n|[\r\n\t]")


def quoted(text: str) -> str:
    """A text as TOML has it."""
    return '"' + "".join(char if char.isalnum() else f"\\U{ord(char):08x}" for char in text) + '"'


def file(home: Listener) -> str:
    said = quoted(EVIL)
    return f"""
name = "acme"
title = {said}
extends = "relogin"
base_url = "{home.url}/"
[settings]
tenant = {{ default = {said}, title = {said} }}
[credentials]
pin = {{ secret = true, optional = true, title = {said} }}
[exchanges.login]
request = {{ url = "login", json = {{ u = "{{username}}", p = "{{password}}", x = {said}, t = "{{tenant}}" }} }}
answers.granted.json = {{ token = "{{access}}", in = "{{expires_in:int?}}" }}
answers.denied = {{ status = 400, json = {{ said = "{{reason?}}" }} }}
[states]
refused = {{ fail = {said} }}
"""


#: How the server answers a login.
ANSWERS: dict[str, Says] = {
    "unforeseen": Says(418, headers={"Content-Type": "text/plain"}, body=EVIL.encode()),
    "a key": Says(200, {EVIL: 1}),
    "a type": Says(418, {}, {"Content-Type": "text/x;a=\x9b31m\x1b]0;x\x07"}),
    "a reason": Says(400, {"said": EVIL}),
    "away": Says(503, {"error": EVIL}, {"Retry-After": "7"}),
    "a redirect": Says(302, {}, {"Location": "https://evil.example/\x9b31m\x1b]0;x\x07"}),
    "a token": Says(200, {"token": EVIL, "in": 60}),
    "granted": Says(200, {"token": "t0ken-that-is-good", "in": 60}),
}
#: Which verbs see it, and which see nothing of it.
ASKING = (["-v", "login", "{file}"], ["token", "{file}"], ["request", "GET", "{url}/body", "-a", "{file}", "-i"])
OTHERS = (
    *(["-v", "check", "{file}"], ["check", "{file}", "--against", "{url}/", "--yes"], ["vendors"], ["show", "{file}"]),
    *(["show", "{file}", "--format", "mermaid"], ["show", "{file}", "--format", "svg"], ["simulate", "{file}"]),
    *(["simulate", "evil"], ["show", "evil"], ["doctor", "--offline"], ["doctor", "--offline", "a"], ["status"]),
    *(["status", "{file}"], ["request", "GET", "{url}/body", "-a", "a", "--json"], ["logout", "a"]),
)
#: What asks in the place of a record's own values: those of each type.
PLANTED: tuple[object, ...] = (EVIL, {EVIL: EVIL}, [EVIL])

PLUGIN = """
import authflow
@authflow.hookimpl
def authflow_vendors():
    return [{{"name": "evil", "title": {evil!r}, "extends": "relogin", "base_url": "https://e.example/"}}]
"""


def plugins(folder: Path) -> None:
    """Three that are installed: one says who it is, one gives nothing of use, one cannot be imported and says why."""
    (folder / "evil_plugin.py").write_text(PLUGIN.format(evil=EVIL), "utf-8")
    (folder / "useless_plugin.py").write_text(
        f"import authflow\nauthflow_vendors = authflow.hookimpl(lambda: {{{EVIL!r}: {{}}}})\n"
        f"@authflow.hookimpl\ndef authflow_stores(): raise LookupError({EVIL!r})\n",
        "utf-8",
    )
    (folder / "broken_plugin.py").write_text(f"raise RuntimeError({EVIL!r})", "utf-8")
    shown = "".join(char for char in EVIL if char not in "\n\r=[]:" and len(f"{char}.".splitlines()) < 2)
    for name, module in (("evil", "evil_plugin"), ("useless", "useless_plugin"), (shown, "broken_plugin")):
        info = folder / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1{shown}\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[authflow]\n{name} = {module}\n", "utf-8")


def plant(folder: Path, evil: object) -> None:
    """Whoever can write to the store puts it into every place of every record."""
    for path in (folder / "store").rglob("*"):
        with contextlib.suppress(ValueError, OSError):
            record = json.loads(path.read_text("utf-8"))
            path.write_text(json.dumps(_evil(record, evil)), "utf-8")


def _evil(value: object, evil: object) -> object:
    if isinstance(value, dict):
        return {name: _evil(each, evil) for name, each in value.items()}
    return evil if isinstance(value, str) else value


def arrives(words: list[str], folder: str) -> str:
    """What a verb writes to its terminal."""
    master, slave = pty.openpty()
    own = {"AUTHFLOW_PASSWORD": "open-sesame", "AUTHFLOW_USERNAME": "u", "HOME": folder, "TERM": "xterm"}
    own |= {
        "AUTHFLOW_CONFIG": f"{folder}/config.toml",
        "PYTHONPATH": os.pathsep.join([HOUSE, folder, *sys.path]),
        "COLUMNS": "900",
    }
    command = [sys.executable, "-P", "-m", "authflow", *words]
    with subprocess.Popen(command, env={**os.environ, **own}, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        said, ends = b"", time.monotonic() + 60
        with contextlib.suppress(OSError):  # the other end is closed
            while time.monotonic() < ends:
                if select.select([master], [], [], 0.2)[0]:
                    chunk = os.read(master, 1 << 16)
                    if not chunk:
                        break
                    said += chunk
                    if said.endswith(b"press Enter for no: "):
                        os.write(master, b"\n")
                    if words[0] == "simulate" and (found := re.search(rb"http://[\d.]+:(\d+)", said)):
                        knock(int(found[1]))
                        process.terminate()
                elif process.poll() is not None:
                    break
        process.kill()
    os.close(master)
    return said.decode("utf-8", "replace")


def knock(port: int) -> None:
    """A stranger at a simulator, whose log is on somebody's terminal."""
    for sent in (
        f"GET /{EVIL} HTTP/1.1\r\n\r\n",
        f"{EVIL} / HTTP/1.1\r\n\r\n",
        f"GET /x HTTP/1.1\r\n{EVIL}: 1\r\n\r\n",
    ):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as wire:
            wire.settimeout(2)
            wire.sendall(sent.encode())
            wire.recv(1 << 16)


def wrong(said: str, verb: list[str]) -> Iterator[str]:
    """What of it a terminal would act upon, which lines are not ours, and whose fault it is."""
    if left := acts(said):
        yield f"{left!r} in {said[-300:]!r}"
    if not {"request", "svg"} & {*verb} and any(
        line.lstrip().startswith("FORGED") for line in OURS.sub("\n", said).splitlines()
    ):
        yield f"a line of somebody else's in {said[-300:]!r}"
    if "authflow: a bug in" in said or "Traceback" in said:
        yield f"a bug in authflow: {said[-600:]!r}"


def acts(said: str) -> set[str]:
    return {char for char in OURS.sub("", said) if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")}


def attack(answers: tuple[str, ...] = tuple(ANSWERS)) -> Iterator[str]:
    """What reached the terminal that would act there."""
    for title in answers:

        def says(came: Came, answer: Says = ANSWERS[title]) -> Says:
            return (
                Says(200, headers={"X-Said": "\x9b31m\x1b]0;x\x07"}, body=EVIL.encode())
                if came.path == "/body"
                else answer
            )

        with listening(says) as home, tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "acme.toml")
            path.write_text(file(home), "utf-8")
            plugins(Path(folder))
            where = f'vendor = "{path}"\nstore = "{folder}/store"\nusername = "u"\n'
            for name in ("a", quoted(EVIL)):
                Path(folder, "config.toml").write_text(f"[accounts.{name}]\n{where}")
                verbs = (*ASKING, *OTHERS) if title == "granted" else ASKING if name == "a" else ()
                for planted, verb in [(None, verb) for verb in verbs] + [
                    (evil, verb)
                    for evil in (PLANTED if title == "granted" and name == "a" else ())
                    for verb in (["-v", "status"], ["-v", "token", "a"], ["doctor", "--offline", "a"])
                ]:
                    if planted is not None:
                        plant(Path(folder), planted)
                    words = [word.format(url=home.url, file=path) for word in verb]
                    said = arrives(words, folder)
                    if "-v" in sys.argv:
                        print("----", title, verb, said)
                    yield from (f"{title}: {' '.join(verb)}: {what}" for what in wrong(said, verb))
    yield from page()


def page() -> Iterator[str]:
    """A page that was kept, of a login with whom everything is hostile."""
    with (
        listening(lambda came: Says(418, {EVIL: EVIL}, {"X-Said": "\x9b31m"})) as home,
        tempfile.TemporaryDirectory() as folder,
    ):
        login = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}, "answers": "login"}
        vendor = {"extends": "relogin", "name": "acme", "title": EVIL, "base_url": f"{home.url}/"}
        vendor |= {"exchanges": {"login": {**login, "answers": {"granted": {"json": {"t": "{access}"}}}}}}
        session = authflow.AuthSession(vendor, username=EVIL, password="open-sesame")
        with session.record(EVIL) as seen, contextlib.suppress(authflow.AuthFlowError):
            session.token()
        kept = Path(folder, "page.html")
        seen.save(kept)
        if left := acts(kept.read_text("utf-8")):
            yield f"a page: {left!r}"


if __name__ == "__main__":
    found = list(attack())
    print(*found, sep="\n")
    sys.exit(bool(found))
