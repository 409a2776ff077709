"""A person signs in at a browser, and it comes back to a port of this machine (RFC 8252, RFC 7636).

    opened      the exchange's request, with a fresh `state` and the challenge of a secret that never leaves
    the port    127.0.0.1, one redirect; whoever else comes there is turned away, and waited on
    no browser  the person pastes the address to which it was sent

Imported when somebody is asked, and not before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from authflow.errors import ConfigurationError
from authflow.http import Answer
from authflow.renewing.environment import NoAnswer
from authflow.renewing.people import Ask

#: How long a person may take, in seconds.
PATIENCE: Final = 600.0
#: How often an address may be pasted wrongly.
PASTES: Final = 3
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_FORM: Final = (("Content-Type", "application/x-www-form-urlencoded"),)
_PAGE: Final = (
    '<!doctype html><meta charset="utf-8"><title>{0}</title>'
    '<body style="font: 1.2em/1.5 system-ui; margin: 4em auto; max-width: 30em"><h1>{0}</h1><p>{1}</p>\n'
)


class Visit:
    """One visit to the browser; a context that holds the port. `given` is the redirect URI that the vendor knows."""

    def __init__(self, title: str, given: str | None) -> None:
        self.title = title
        self._state, self._verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        self.redirect_uri = given or "http://127.0.0.1/callback"
        parts = urlsplit(self.redirect_uri)
        self._server: _Server | None = None
        if parts.scheme == "http" and parts.hostname in _LOOPBACK:
            try:
                self._server = _Server(parts.port or 0, parts.path or "/", self._fits)
            except OSError as error:
                raise ConfigurationError(
                    f"{title}: the port {parts.port} of redirect_uri cannot be had ({error.strerror}): is another "
                    "login under way?"
                ) from None
            if parts.port is None:
                host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
                self.redirect_uri = parts._replace(netloc=f"{host}:{self._server.server_port}").geturl()

    def __repr__(self) -> str:
        return f"<Visit for {self.title}>"

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.server_close()

    @property
    def asks_with(self) -> dict[str, str]:
        """What the request may hold."""
        digest = hashlib.sha256(self._verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return {"redirect_uri": self.redirect_uri, "state": self._state, "code_challenge": challenge}

    @property
    def brings(self) -> dict[str, str]:
        """What is known after it, beside what the redirect says."""
        return {"redirect_uri": self.redirect_uri, "code_verifier": self._verifier}

    def answer(self, url: str, ask: Ask) -> Answer:
        """Open `url`, and give the redirect's query as a form. Raises NoAnswer where nobody comes back."""
        opened = ask("open", f"{self.title}: sign in at this address.", url)
        if isinstance(opened, str):
            query = self._pasted(opened)
        elif opened is False or self._server is None:
            query = self._typed(ask, url)
        else:
            query = self._server.came(PATIENCE)
        if query is None:
            raise NoAnswer("nobody came back from the browser", sent=False)
        return Answer(200, _FORM, query.encode())

    def _typed(self, ask: Ask, url: str) -> str | None:
        text = (
            "When the browser says that you can close its window, press Enter here. If it cannot open the last page "
            "(it is on another machine, say), paste the address of that page here."
        )
        for _ in range(PASTES):
            typed = ask("enter", text, url)
            query = self._pasted(str(typed)) if typed else self._server and self._server.came(1.0)
            if query:
                return query
            text = "That is not the address to which this login leads. Paste all of it."
        return None

    def _pasted(self, address: str) -> str | None:
        query = urlsplit(address.strip()).query
        return query if self._fits(query) else None

    def _fits(self, query: str) -> bool:
        """Is it this login that comes back? Nobody else knows its state."""
        found = parse_qs(query).get("state", [])
        return len(found) == 1 and hmac.compare_digest(found[0].encode(), self._state.encode())


class _Server(ThreadingHTTPServer):
    """Takes one redirect. `fits` says whether a query is that of the login that waits."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = os.name == "posix"  # elsewhere it would let another user have the same port

    def __init__(self, port: int, path: str, fits: Any) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.path, self.fits = path, fits
        self.query: str | None = None
        self.taken, self.done = threading.Lock(), threading.Event()

    def came(self, patience: float) -> str | None:
        """The redirect's query; None if it does not come in so many seconds, or the program ends meanwhile."""
        thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="authflow-redirect", daemon=True)
        thread.start()
        ends = time.monotonic() + patience
        try:
            while not self.done.wait(0.2) and time.monotonic() < ends and threading.main_thread().is_alive():
                pass
        finally:
            self.shutdown()
            thread.join()
        return self.query

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        at, _, query = self.path.partition("?")
        if at != self.server.path or not self.server.fits(query):
            self._page(404, "Not found", "This is not where a login leads.")
            return
        if not self.server.taken.acquire(blocking=False):
            self._page(410, "Done already", "You can close this window.")
            return
        refused = "error" in parse_qs(query)
        self._page(200, "Not signed in" if refused else "Signed in", "You can close this window.")
        self.server.query = query
        self.server.done.set()

    def _page(self, status: int, title: str, text: str) -> None:
        body = _PAGE.format(title, text).encode()
        self.send_response_only(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet: a URL here holds the code."""
