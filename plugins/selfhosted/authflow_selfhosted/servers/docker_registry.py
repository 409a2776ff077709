"""docker-registry, Docker's own: each 401 names a token server and a scope, and a token is for that scope alone.

The token server is ours, after the published specification (distribution.github.io, "Token Authentication").
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from authflow_selfhosted.servers.environment import program
from authflow_selfhosted.servers.process import free_port, run, serving
from authflow_selfhosted.servers.product import PASSWORD, USERNAME

#: The one repository in which the user may do anything.
REPOSITORY = "team/report"
SERVICE, ISSUER = "registry", "token-server"
#: By so many seconds the registry lets clocks differ.
LEEWAY = 60


def _handler(folder: Path, lifetime: int) -> type[BaseHTTPRequestHandler]:
    key = (folder / "key.pem").read_text()
    chain = ["".join(line for line in (folder / "certificate.pem").read_text().splitlines() if "-----" not in line)]
    basic = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right, asked = self.headers.get("Authorization") == basic, parse_qs(urlsplit(self.path).query)
            wanted = [scope.split(":") for scope in " ".join(asked.get("scope", [])).split()]
            access = [
                {"type": kind, "name": name, "actions": actions.split(",")}
                for kind, name, actions in wanted
                if name == REPOSITORY
            ]
            body: dict[str, Any] = {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
            if right:
                now = int(time.time())
                times = {"iat": now - 2 * LEEWAY, "nbf": now - 2 * LEEWAY, "exp": now + lifetime - LEEWAY}
                claims = {"iss": ISSUER, "sub": USERNAME, "aud": SERVICE, "jti": secrets.token_hex(8), "access": access}
                token = jwt.encode({**claims, **times}, key, algorithm="RS256", headers={"x5c": chain})
                body = {"token": token, "access_token": token, "expires_in": lifetime}
            said = json.dumps(body).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments: object) -> None:
            pass

    return Tokens


@contextlib.contextmanager
def registry(lifetime: int) -> Iterator[dict[str, Any]]:
    """What `AuthSession("docker-registry", …)` is given. Raises Unavailable, NotStarted."""
    program("docker-registry", "docker-registry")
    program("openssl", "openssl")
    with tempfile.TemporaryDirectory(prefix="docker-registry-") as name:
        folder, url = Path(name), f"http://127.0.0.1:{free_port()}"
        pair = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
        issued = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *pair, "-days", "2"]
        issued += ["-subj", f"/CN={ISSUER}"]
        run(issued, {}, folder / "server.log")
        tokens = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, lifetime))
        threading.Thread(target=tokens.serve_forever, daemon=True).start()
        server = f"http://127.0.0.1:{tokens.server_port}"
        asks = {"realm": f"{server}/token", "service": SERVICE, "issuer": ISSUER, "rootcertbundle": pair[-1]}
        told = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {"addr": url.removeprefix("http://"), "host": url},
            "auth": {"token": asks},
        }
        (folder / "config.json").write_text(json.dumps(told), "utf-8")  # JSON is YAML
        try:
            with serving(["docker-registry", "serve", "config.json"], {}, folder / "server.log", f"{url}/v2/"):
                yield {"base_url": f"{url}/", "token_server": server, "username": USERNAME, "password": PASSWORD}
        finally:
            tokens.shutdown()
            tokens.server_close()
