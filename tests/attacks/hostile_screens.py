"""A vendor file, the config, a plugin's name and a server's answers try to write to the terminal, through every verb.

Expected: what arrives at the terminal has no control characters but line ends, tabs and colours of ours, and nothing
that turns the direction of writing or cannot be seen.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tests.servers import Came, Listener, Says, listening

#: The clipboard, a title, a link, a bell; C1's CSI; overrides, isolates, what cannot be seen; line and page separators.
EVIL = (
    "\x1b]52;c;cm0=\x07\x1b]0;mine\x07\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\\x1b[2J\x9b31m\x08\x7f"
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
ASKING = (["login", "{file}"], ["token", "{file}"], ["request", "GET", "{url}/body", "-a", "{file}", "-i"])
OTHERS = (
    *(["check", "{file}"], ["show", "{file}"], ["doctor", "--offline"], ["doctor", "--offline", "a"], ["status"]),
    *(["status", "{file}"], ["logout", "a"], ["request", "GET", "{url}/body", "-a", "a", "--json"]),
)


def arrives(words: list[str], folder: str) -> str:
    """What a verb writes to its terminal."""
    master, slave = pty.openpty()
    own = {"AUTHFLOW_PASSWORD": "open-sesame", "AUTHFLOW_USERNAME": "u", "HOME": folder, "TERM": "xterm"}
    own["AUTHFLOW_CONFIG"] = f"{folder}/config.toml"
    command = [sys.executable, "-m", "authflow", *words]
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
                elif process.poll() is not None:
                    break
        process.kill()
    os.close(master)
    return said.decode("utf-8", "replace")


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
            where = f'vendor = "{path}"\nstore = "{folder}/store"\nusername = "u"\n'
            for name in ("a", quoted(EVIL)):
                Path(folder, "config.toml").write_text(f"[accounts.{name}]\n{where}")
                for verb in (*ASKING, *OTHERS) if title == "granted" else ASKING if name == "a" else ():
                    words = [word.format(url=home.url, file=path) for word in verb]
                    said = arrives(words, folder)
                    if "-v" in sys.argv:
                        print("----", title, verb, said)
                    if left := acts(said):
                        yield f"{title}: {' '.join(verb)}: {left!r} in {said[-300:]!r}"


if __name__ == "__main__":
    found = list(attack())
    print(*found, sep="\n")
    sys.exit(bool(found))
