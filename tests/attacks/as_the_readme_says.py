"""Somebody has read the README's Security table and nothing else, and tries its rows: with his own server, his own
files, his own eyes.

Expected: each holds. A gigabyte and four bombs are cut at a megabyte, in memory too; a caller comes back in time from a
slow server, and a caller who is cancelled loses no token; a refused password is sent once, by threads, by another
process and after a restart; files are this user's alone, whatever `umask` says; tokens whose `exp` is absent, past or
not finite are never used under `[verify]`; a proxy of the environment sees no password; `doctor` names a keyring that
keeps plain text; `http.client` prints nothing; a cassette has no more than with Basic.
"""

from __future__ import annotations

import asyncio
import base64
import bz2
import contextlib
import gzip
import http.client
import importlib.util
import io
import json
import logging
import os
import pickle
import resource
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import authflow
from tests.servers import Came, Says, listening

PASSWORD, TOKEN = "open-sesame-4711", "t0ken-that-is-secret"
HOUSE = Path(__file__).parents[2]
FILE: dict[str, Any] = {
    "name": "acme",
    "extends": "relogin",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
            "answers": {
                "granted": {"json": {"token": "{access}"}},
                "denied": {"status": 401, "json": {"why": "{reason?}"}},
            },
        }
    },
}


def session(url: str, **more: Any) -> authflow.AuthSession:
    own = {"username": "u", "password": PASSWORD, "store": "memory", "timeout": 3}
    return authflow.AuthSession({**FILE, "base_url": f"{url}/"}, **{**own, **more})


def says(came: Came) -> Says:
    return Says(json={"token": TOKEN})


def raised(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except Exception as error:
        return error
    return None


# --- nothing hangs ----------------------------------------------------------------------------------------------------


def bombs() -> Iterator[tuple[str, bytes]]:
    zeros = b'{"token": "' + b"0" * (48 << 20)
    yield "identity", zeros[: 8 << 20]
    yield "gzip", gzip.compress(zeros)
    yield "deflate", zlib.compress(zeros)
    yield "gzip, gzip", gzip.compress(gzip.compress(zeros), 9)
    yield "bzip2", bz2.compress(zeros)
    if importlib.util.find_spec("brotli"):
        import brotli

        yield "br", brotli.compress(zeros, quality=1)


def of_answers_without_end() -> Iterator[str]:
    for encoding, body in bombs():
        answer = Says(200, body=body, headers={"Content-Encoding": encoding, "Content-Type": "application/json"})
        with listening(lambda came, answer=answer: answer) as home:  # type: ignore[misc]
            for library in ("requests", "httpx", "aiohttp"):
                if not importlib.util.find_spec(library):
                    continue
                before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
                error = raised(library_call(library, session(home.url), f"{home.url}/x"))
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
                if not isinstance(error, authflow.AuthFlowError):
                    yield f"{library}: {encoding}: {error!r}"
                if grown > 40:
                    yield f"{library}: {encoding}: {grown:.0f} MiB for an answer of one"
                if time.monotonic() - began > 9:
                    yield f"{library}: {encoding}: it took {time.monotonic() - began:.1f} s"


def library_call(library: str, one: authflow.AuthSession, url: str) -> Callable[[], object]:
    if library == "aiohttp":
        import aiohttp

        async def get() -> object:
            async with aiohttp.ClientSession(middlewares=[one.aiohttp]) as client, client.get(url) as answer:
                return answer.status

        return lambda: asyncio.run(get())
    module = importlib.import_module(library)
    return lambda: module.get(url, auth=getattr(one, library))


def of_cancelled_callers() -> Iterator[str]:
    slow = threading.Event()

    def wait(came: Came) -> Says:
        slow.wait(0.4)
        return Says(json={"token": TOKEN})

    async def cancelled(one: authflow.AuthSession) -> str:
        tasks = [asyncio.ensure_future(one.atoken()) for _ in range(5)]
        await asyncio.sleep(0.1)
        for task in tasks[:4]:
            task.cancel()
        return (await tasks[4]).access

    with listening(wait) as home:
        one = session(home.url)
        if asyncio.run(cancelled(one)) != TOKEN or one.token().access != TOKEN:
            yield "a caller who was cancelled lost the token"
        if len(home.came) != 1:
            yield f"cancelling cost {len(home.came)} logins"


# --- passwords and files ----------------------------------------------------------------------------------------------

AGAIN = """
import sys, authflow
from tests.attacks import as_the_readme_says as it
error = it.raised(it.session(sys.argv[1], store=sys.argv[2]).token)
print(type(error).__name__)
"""


def of_refused_passwords() -> Iterator[str]:
    with listening(lambda came: Says(401, {"why": came.everything})) as home, tempfile.TemporaryDirectory() as folder:
        one = session(home.url, store=f"file://{folder}/s")
        errors: list[BaseException | None] = []
        threads = [threading.Thread(target=lambda: errors.append(raised(one.token))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors += [raised(session(home.url, store=f"file://{folder}/s").token)]
        path = os.pathsep.join(filter(None, [*sys.path, str(HOUSE)]))
        words = [sys.executable, "-P", "-c", AGAIN, home.url, f"file://{folder}/s"]
        done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
        if done.stdout.strip() != "CredentialsRefused":
            yield f"another process: {done.stdout} {done.stderr[-300:]}"
        yield from (f"refused: {each!r}" for each in errors if not isinstance(each, authflow.CredentialsRefused))
        if len(home.came) != 1:
            yield f"a refused password was sent {len(home.came)} times"
        kept = b"".join(each.read_bytes() for each in Path(folder).rglob("*") if each.is_file())
        if PASSWORD.encode() in kept or base64.b64encode(PASSWORD.encode()) in kept:
            yield "the store has the password"


def of_files() -> Iterator[str]:
    with listening(says) as home, tempfile.TemporaryDirectory() as folder:
        before = os.umask(0)
        try:
            one = session(home.url, store=f"file://{folder}/deep/er")
            with one.record() as seen:
                one.token()
            seen.save(Path(folder, "seen.har"))
        finally:
            os.umask(before)
        for path in Path(folder).rglob("*"):
            if stat.S_IMODE(path.stat().st_mode) & 0o077 and path != Path(folder, "deep"):
                yield f"{path.relative_to(folder)} is {stat.filemode(path.stat().st_mode)}"
        if PASSWORD in Path(folder, "seen.har").read_text() or TOKEN in Path(folder, "seen.har").read_text():
            yield "a recording has a secret"


# --- [verify] ---------------------------------------------------------------------------------------------------------


def of_signed_tokens() -> Iterator[str]:
    if not importlib.util.find_spec("jwt") or not importlib.util.find_spec("cryptography"):
        return
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), time.time()
    public = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k", "use": "sig"}
    claims: dict[str, Any] = {"iss": "https://acme.example", "aud": "me", "sub": "u"}
    fits = {
        "good": jwt.encode({**claims, "exp": now + 600}, key, "ES256", {"kid": "k"}),
        "without exp": jwt.encode(claims, key, "ES256", {"kid": "k"}),
        "past": jwt.encode({**claims, "exp": now - 600}, key, "ES256", {"kid": "k"}),
        "unsigned": jwt.encode({**claims, "exp": now + 600}, None, "none", {"kid": "k"}),
        "by a password": jwt.encode({**claims, "exp": now + 600}, "x" * 32, "HS256", {"kid": "k"}),
        "no JWT": TOKEN,
        **{f"exp {odd}": signed(key, {**claims, "exp": odd}) for odd in ("Infinity", "NaN", "1e400", '"9999999999"')},
        **{f"exp {odd}": signed(key, {**claims, "exp": odd}) for odd in ("null", "true", "[]", "-1", "1e30")},
    }
    for name, token in fits.items():

        def answers(came: Came, token: str = token) -> Says:
            return Says(json={"keys": [public]} if "jwks" in came.path else {"token": token})

        with listening(answers) as home:
            granted = {"granted": {"json": {"token": "{access:jwt}"}}}
            file = {
                **FILE,
                "exchanges": {"login": {**FILE["exchanges"]["login"], "answers": granted}},
                "base_url": f"{home.url}/",
                "verify": {"jwks_url": f"{home.url}/jwks", "issuer": "https://acme.example", "audience": "me"},
            }
            one = authflow.AuthSession(file, username="u", password=PASSWORD, store="memory", timeout=3)
            error = raised(one.token)
            if (error is None) != (name in ("good", 'exp "9999999999"', "exp 1e30")):  # which are finite, and to come
                yield f"[verify]: {name}: {error!r}"
            if error is not None and name != "no JWT" and token in str(error):
                yield f"[verify]: {name}: the token is in {error}"


def signed(key: Any, claims: dict[str, Any]) -> str:
    """A JWT whose `exp` is whatever text it is."""
    from jwt.algorithms import ECAlgorithm

    text = json.dumps({**claims, "exp": 0}).replace('"exp": 0', f'"exp": {claims["exp"]}')
    parts = [json.dumps({"alg": "ES256", "typ": "JWT", "kid": "k"}), text]
    head = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return f"{head}.{base64.urlsafe_b64encode(algorithm.sign(head.encode(), key)).decode().rstrip('=')}"


# --- what others see --------------------------------------------------------------------------------------------------


def of_proxies() -> Iterator[str]:
    with listening(says) as home, listening(lambda came: Says(502, {})) as proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        before = {name: os.environ.pop(name, None) for name in (*names, "no_proxy", "NO_PROXY")}
        os.environ.update(dict.fromkeys(names, proxy.url))
        try:
            for library in ("requests", "httpx", "aiohttp"):
                if importlib.util.find_spec(library):
                    one = session(home.url)
                    getattr(one, library)
                    if error := raised(one.token):
                        yield f"{library}: not logged in: {error!r}"
                    for url in ("https://127.0.0.1:1", "https://localhost:1", "https://[::1]:1"):
                        raised(session(url).token)
        finally:
            for name in names:
                del os.environ[name]
            os.environ.update({name: value for name, value in before.items() if value is not None})
        yield from (f"a proxy saw {came.target}" for came in proxy.came)


def of_what_is_printed() -> Iterator[str]:
    page, before = io.StringIO(), http.client.HTTPConnection.debuglevel
    logging.basicConfig(stream=page, level=1, force=True)
    http.client.HTTPConnection.debuglevel = 1
    try:
        with listening(says) as home, contextlib.redirect_stdout(page):
            one = session(home.url)
            print(one.token(), one, [one], vars(one), one.status(), repr(one.vendor))
            one.logout()
    finally:
        http.client.HTTPConnection.debuglevel = before
        logging.basicConfig(level=logging.WARNING, force=True)
    yield from (f"printed: {text}" for text in (PASSWORD, TOKEN) if text in page.getvalue())


PLAIN = """
import sys, keyring
class Plain(keyring.backend.KeyringBackend):
    priority = 9
    kept = {}
    def get_password(self, service, name): return self.kept.get((service, name))
    def set_password(self, service, name, value): self.kept[service, name] = value
    def delete_password(self, service, name): self.kept.pop((service, name), None)
Plain.__name__ = Plain.__qualname__ = "PlaintextKeyring"
Plain.__module__ = "keyrings.alt.file"
keyring.set_keyring(Plain())
from authflow.cli import main
main()
"""


def of_keyrings() -> Iterator[str]:
    if not importlib.util.find_spec("keyring") or not importlib.util.find_spec("click"):
        return
    with tempfile.TemporaryDirectory() as folder:
        own = {**os.environ, "HOME": folder, "AUTHFLOW_CONFIG": f"{folder}/none"}
        own["PYTHONPATH"] = os.pathsep.join([str(HOUSE), *filter(None, sys.path)])
        words = [sys.executable, "-P", "-c", PLAIN, "doctor", "--offline"]
        done = subprocess.run(words, env=own, capture_output=True, text=True, timeout=60)
    if "plain" not in done.stdout.lower():
        yield f"doctor says nothing of a plain keyring: {done.stdout}{done.stderr}"


def of_cassettes() -> Iterator[str]:
    if not importlib.util.find_spec("vcr"):
        return
    import vcr

    requests = importlib.import_module("requests")
    with listening(says) as home, tempfile.TemporaryDirectory() as folder:
        one, url = session(home.url), f"{home.url}/data"
        one.token()
        with vcr.use_cassette(f"{folder}/ours.yaml"):
            requests.get(url, auth=one.requests)
        with vcr.use_cassette(f"{folder}/basic.yaml"):
            requests.get(url, auth=("u", PASSWORD))
        kept = Path(folder, "ours.yaml").read_text()
        if PASSWORD in kept or kept.count(TOKEN) > Path(folder, "basic.yaml").read_text().count("Basic ") + 1:
            yield f"a cassette keeps {kept}"  # one is the token of the header; one that of the test's answer


def of_copies() -> Iterator[str]:
    """A session without a secret given as a value is a pickle without one."""
    with listening(says) as home:
        one = session(home.url, password=password)
        one.token()
        if PASSWORD.encode() in pickle.dumps(one):
            yield "a pickled session has what its callable gave"


def password() -> str:
    return PASSWORD


ROWS: tuple[Callable[[], Iterator[str]], ...] = (
    *(of_answers_without_end, of_cancelled_callers, of_refused_passwords, of_files, of_signed_tokens, of_proxies),
    *(of_what_is_printed, of_keyrings, of_cassettes, of_copies),
)


def attack() -> Iterator[str]:
    for row in ROWS:
        yield from row()


if __name__ == "__main__":
    found = 0
    for row in ROWS:
        began = time.monotonic()
        for line in row():
            found += 1
            print(row.__name__, line[:500], flush=True)
        if "-v" in sys.argv:
            print(f"{row.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(bool(found))
