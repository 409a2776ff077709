"""What others on this machine find while and after somebody logs in whose umask forbids nothing: arguments in the list
of processes, files in his home, in folders for temporary files and in the current one, what they may read and write.

All verbs run, with the password from the environment, from standard input, and from a password manager; sessions keep
their tokens in each kind of file, and pages and captures are saved.

Expected: no process has a password or a token among its arguments; no file holds a password but a capture that asked
for secrets; what holds a token is its owner's alone, from its first moment, and others cannot write to its folder; and
a secret that somebody writes as an argument all the same is refused, without being said again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import authflow
from authflow.masking import spells
from authflow.stores import new_key
from tests.servers import Came, Listener, Says, listening

HOUSE = str(Path(__file__).parents[2])
PASSWORD, ACCESS, REFRESH = "0pen/sesame w0rd", "acc3ss-that-is-secret", "refr3sh-that-is-secret"
TOKENS = (ACCESS, REFRESH)
FILE = """
name = "acme"
extends = "password"
base_url = "{url}/"
[exchanges.login]
request = {{ url = "login", json = {{ u = "{{username}}", p = "{{password}}" }} }}
answers.granted.json = {{ access = "{{access}}", refresh = "{{refresh}}" }}
[exchanges.refresh]
request = {{ url = "login", json = {{ r = "{{refresh}}" }} }}
answers = "login"
"""
VERBS: tuple[tuple[str, ...], ...] = (
    *(("login", "{file}", "--save", "mine"), ("login", "mine"), ("token", "mine"), ("status",), ("status", "mine")),
    *(("request", "GET", "{url}/data", "-a", "mine", "-o", "{folder}/data"), ("doctor",), ("check", "{file}")),
    *(("request", "GET", "{url}/data", "-a", "mine", "--capture", "{folder}/seen.har"), ("show", "{file}")),
    ("request", "GET", "{url}/data", "-a", "mine", "--capture", "{folder}/all.har", "--with-secrets"),
    *(("check", "{file}", "--against", "{url}/", "--yes"), ("token", "{file}", "--stdin", "password")),
    *(("token", "managed"), ("token", "{file}", "--store", "{folder}/elsewhere"), ("logout", "mine")),
    ("token", "{file}", "--store", "encrypted+file"),
)
MANAGER = '{ command = ["cat", "theirs"] }'
#: What is written by mistake as a value. (A word too many is said again as any command line says it.) `check` sends
#: nothing.
MISTAKEN: tuple[tuple[str, ...], ...] = (
    ("token", "{file}", "--set", f"password={PASSWORD}"),
    ("token", "{file}", "--set", PASSWORD),
    ("token", "{file}", "--password", PASSWORD),
    ("token", "{file}", f"--password={PASSWORD}"),
    ("token", "{file}", "--store", f"redis://u:{PASSWORD}@127.0.0.1:1/0"),
    ("token", "{file}", "--store", f"redis://127.0.0.1:1/0?password={PASSWORD}"),
    ("login", "{file}", "--save", "mine", "--set", f"password={PASSWORD}"),
    ("check", "{file}", "--set", f"password={PASSWORD}"),
    ("doctor", "{file}", "--set", f"password={PASSWORD}", "--offline"),
    ("status", "{file}", "--set", f"password={PASSWORD}"),
    ("logout", "{file}", "--set", f"password={PASSWORD}"),
    ("request", "GET", "{url}/data", "-a", "{file}", "--set", f"password={PASSWORD}"),
)


def processes() -> Iterator[tuple[str, str]]:
    """All that `ps` shows to everybody: who, and its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.parent.name, path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def files(folder: Path) -> Iterator[str]:
    """Which files hold what they should not, or show it to others."""
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            mode, kept = stat.S_IMODE(path.lstat().st_mode), b""
            if path.is_file():
                kept = path.read_bytes()
            text = kept.decode("latin-1")
            if spells(text, [PASSWORD]) and path.name not in ("all.har", "theirs"):
                yield f"{path} holds the password"
            if spells(text, [PASSWORD, *TOKENS]) and mode & 0o077 and path.name != "theirs":
                yield f"{path} ({mode:o}) shows others a secret"
            if spells(text, TOKENS) and path.parent != folder and path.parent.stat().st_mode & 0o022:
                yield f"{path.parent}, where tokens lie, may be written to by others"


class Watcher:
    """A server that looks around while it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = folder, list[str]()

    def __call__(self, came: Came) -> Says:
        mine = {str(os.getpid()), str(os.getppid())}
        for who, arguments in processes():
            if who not in mine and spells(arguments, [PASSWORD, *TOKENS]) and "theirs" not in arguments:
                self.found.append(f"the arguments of process {who}: {arguments}")
        self.found += files(self.folder)
        return Says(json={"access": ACCESS, "refresh": REFRESH}) if came.path == "/login" else Says(json={"a": 1})


def run(
    words: tuple[str, ...], folder: Path, home: Listener, more: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    own = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    own |= {"PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, HOUSE])), "AUTHFLOW_KEY": KEY}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHFLOW_")}
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "authflow",
            *(it.format(url=home.url, file="acme.toml", folder=folder) for it in words),
        ],
        env={**kept, **own, "AUTHFLOW_USERNAME": "u", **more},
        cwd=folder,
        umask=0,
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


KEY = new_key()


def attack() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watcher = Watcher(folder)
        with listening(watcher) as home:
            (folder / "acme.toml").write_text(FILE.format(url=home.url), "utf-8")
            (folder / "theirs").write_text(f"{PASSWORD}\n", "utf-8")
            yield from verbs(folder, home)
            yield from library(folder, home)
            yield from watcher.found


def verbs(folder: Path, home: Listener) -> Iterator[str]:
    for words in VERBS:
        done = run(words, folder, home, {} if "--stdin" in words else {"AUTHFLOW_PASSWORD": PASSWORD})
        if words[:2] == ("login", "{file}") and done.returncode == 0:
            for config in folder.rglob("config.toml"):
                more = f'\n[accounts.managed]\nvendor = "{folder}/acme.toml"\npassword = {MANAGER}\n'
                config.write_text(config.read_text("utf-8") + more, "utf-8")
        if done.returncode != 0 and "doctor" not in words and "--against" not in words:
            yield f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-300:]}"
        told = done.stderr if "token" in words else done.stdout + done.stderr
        if spells(told, [PASSWORD, *TOKENS]):
            yield f"{' '.join(words)} says {told[-300:]}"
        yield from (f"after {' '.join(words)}: {it}" for it in files(folder))
    for words in MISTAKEN:
        done = run(words, folder, home, {"AUTHFLOW_PASSWORD": PASSWORD})
        if done.returncode not in ((0,) if "check" in words else (1, 2)) or spells(
            done.stdout + done.stderr, [PASSWORD]
        ):
            yield f"{' '.join(words)} ended with {done.returncode} and says {done.stdout[-200:]} {done.stderr[-300:]}"
        yield from (f"after {' '.join(words)}: {it}" for it in files(folder))


def library(folder: Path, home: Listener) -> Iterator[str]:
    before = os.umask(0)
    try:
        for store in (f"{folder}/a", f"file://{folder}/b", f"encrypted+file://{folder}/c"):
            os.environ["AUTHFLOW_KEY"] = KEY
            one = authflow.AuthSession(f"{folder}/acme.toml", username="u", password=PASSWORD, store=store)
            with one.record() as seen:
                one.token()
                one.login()
            with one.record(secrets=True) as told:
                one.login()
            seen.save(folder / "seen.html")
            seen.save(folder / "seen.svg")
            seen.save(folder / "seen2.har")
            (kept := folder / "all.har").unlink(missing_ok=True)
            told.save(kept)
            yield from (f"{store}: {it}" for it in files(folder))
            one.logout()
    finally:
        os.umask(before)
        os.environ.pop("AUTHFLOW_KEY", None)


if __name__ == "__main__":
    found = 0
    for line in attack():
        found += 1
        print(line, flush=True)
    sys.exit(bool(found))
