"""Glewlwyd: OAuth 2.0 with a password grant (RFC 6749 §4.3) and a refresh token that is not replaced.

A Debian package, not one of Python's; its administrator sets it up over its own HTTP API.
"""

from __future__ import annotations

import gzip
import http.cookiejar
import json
import sqlite3
import urllib.request
from pathlib import Path

from authflow_selfhosted.servers.environment import program
from authflow_selfhosted.servers.product import PASSWORD, USERNAME, Place, Product

SCHEMA = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
MODULES = Path("/usr/lib/glewlwyd")
CLIENT, CLIENT_SECRET, SCOPE = "webapp", "webapp-secret-1", "reports"


def _configuration(place: Place) -> str:
    kinds = {"user": "user", "client": "client", "user_auth_scheme": "scheme", "plugin": "plugin"}
    modules = "\n".join(f'{kind}_module_path="{MODULES / folder}"' for kind, folder in kinds.items())
    return f"""\
port={place.port}
bind_address="127.0.0.1"
external_url="{place.url}/"
api_prefix="api"
login_url="login.html"
log_mode="console"
log_level="WARNING"
cookie_secure=0
session_key="SESSION"
session_expiration=3600
admin_scope="g_admin"
profile_scope="g_profile"
admin_session_authentication="cookie"
profile_session_authentication="cookie"
hash_algorithm="SHA512"
use_secure_connection=false
secure_connection_key_file="{place.folder}/none"
secure_connection_pem_file="{place.folder}/none"
{modules}
database = {{ type = "sqlite3"; path = "{place.folder}/glewlwyd.db" }};
"""


def _prepare(place: Place) -> None:
    (place.folder / "glewlwyd.conf").write_text(_configuration(place), "utf-8")
    database = sqlite3.connect(place.folder / "glewlwyd.db")
    try:
        database.executescript(gzip.decompress(SCHEMA.read_bytes()).decode())
    finally:
        database.close()


def _populate(place: Place) -> None:
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
    steps: tuple[tuple[str, dict[str, object]], ...] = (
        ("auth/", {"username": "admin", "password": "password"}),  # as the package's own schema sets it
        ("scope", {"name": SCOPE, "password_required": True, "password_max_age": 0}),
        (
            "user",
            {"username": USERNAME, "password": PASSWORD, "enabled": True, "scope": [SCOPE, "g_profile"]},
        ),
        (
            "client",
            {
                "client_id": CLIENT,
                "password": CLIENT_SECRET,
                "enabled": True,
                "confidential": True,
                "authorization_type": ["password", "refresh_token", "client_credentials"],  # the last, to revoke
                "redirect_uri": [f"{place.url}/callback"],
                "scope": [SCOPE],
            },
        ),
        (
            "mod/plugin/",
            {
                "module": "oauth2-glewlwyd",
                "name": "glwd",
                "display_name": "OAuth 2.0",
                "enabled": True,
                "parameters": {
                    "jwt-type": "sha",
                    "jwt-key-size": "256",
                    "key": "a key for this one run",
                    "access-token-duration": place.lifetime,
                    "refresh-token-duration": 3600,
                    "refresh-token-rolling": True,
                    "code-duration": 60,
                    "auth-type-code-enabled": False,
                    "auth-type-implicit-enabled": False,
                    "auth-type-client-enabled": True,
                    "auth-type-password-enabled": True,
                    "auth-type-refresh-enabled": True,
                    "introspection-revocation-allowed": True,
                    "introspection-revocation-allow-target-client": True,
                },
            },
        ),
    )
    for path, body in steps:
        request = urllib.request.Request(
            f"{place.url}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        opener.open(request, timeout=10).close()


GLEWLWYD = Product(
    name="glewlwyd",
    needs=lambda: program("glewlwyd", "glewlwyd"),
    prepare=_prepare,
    populate=_populate,
    command=lambda place: ["glewlwyd", f"--config-file={place.folder / 'glewlwyd.conf'}"],
    inputs=lambda place: {
        "token_url": f"{place.url}/api/glwd/token",
        "client_id": CLIENT,
        "client_secret": CLIENT_SECRET,
        "scope": SCOPE,
        "username": USERNAME,
        "password": PASSWORD,
    },
    ready="/config",
    data="/api/glwd/profile",
    shows=USERNAME,
    ends="refresh",
)
