"""oidc-provider, an OpenID Provider for Node: codes with PKCE, refresh tokens that rotate, the device flow, DPoP.

Its own development pages let anybody in whatever they type, so that a person is as quickly played as a browser.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from authflow_selfhosted.servers.environment import node_with
from authflow_selfhosted.servers.process import NotStarted, free_port, serving
from authflow_selfhosted.servers.product import SITES, TRIES

PACKAGES: Final = ("oidc-provider@9",)
#: Nothing listens there: whoever plays the person reads the code off the redirect.
REDIRECT: Final = "http://127.0.0.1/callback"
CLIENTS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "client_id": "app",
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "redirect_uris": [REDIRECT],
    },
    {
        "client_id": "service",
        "client_secret": "service-secret-1",
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    },
)


@contextlib.contextmanager
def provider(*, nonces: bool = False, lifetime: int = 600, patience: int = 600) -> Iterator[str]:
    """The base URL of a fresh provider; `nonces`: do its DPoP proofs need one? Tokens live for `lifetime`, the codes of
    devices for `patience` seconds. Raises Unavailable, NotStarted.
    """
    node, modules = node_with("oidc-provider", PACKAGES)
    for attempt in range(1, TRIES + 1):
        with tempfile.TemporaryDirectory(prefix="oidc-provider-") as name, contextlib.ExitStack() as stack:
            folder, url = Path(name), f"http://127.0.0.1:{free_port()}"
            (folder / "node_modules").symlink_to(modules)
            site = str(shutil.copy(SITES / "oidc_provider.mjs", folder))
            options: dict[str, Any] = {"url": url, "nonces": nonces, "lifetime": lifetime, "patience": patience}
            options["clients"] = CLIENTS
            ready = f"{url}/.well-known/openid-configuration"
            command = [str(node), "--preserve-symlinks-main", site]
            try:
                stack.enter_context(serving(command, {"OPTIONS": json.dumps(options)}, folder / "server.log", ready))
            except NotStarted:  # the free port may have been taken meanwhile
                if attempt == TRIES:
                    raise
                continue
            yield url
            return


def code_from(url: str, query: Mapping[str, str], client: Any) -> str:
    """The code that a person brings back who logs in and consents. `client` is a `requests.Session`."""
    place = person(f"{url}/auth?{urlencode(query)}", client)
    return str(parse_qs(urlsplit(place).query)["code"][0])


def person(url: str, client: Any, *, refuses: bool = False) -> str:
    """What a person does who is sent to `url`: logs in and consents, or refuses. Gives the address at the end: on this
    machine's port, or that of the last page. `client` is a `requests.Session`.
    """
    answer, refused = client.get(url, allow_redirects=False), False
    for _ in range(16):
        if answer.is_redirect:
            place = urljoin(answer.url, answer.headers["Location"])
            if place.startswith(f"{REDIRECT}?") or urlsplit(place).path == "/callback":
                return str(place)
            answer = client.get(place, allow_redirects=False)
            continue
        forms = re.findall(r'<form [^>]*action="([^"]+)"[^>]*>', answer.text)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text))
        abort = re.findall(r'href="([^"]+/abort)"', answer.text)
        if refused or not forms:
            return str(answer.url)
        refused = refuses and bool(abort or "abort" in fields)
        if refused and abort:
            answer = client.get(urljoin(answer.url, abort[0]), allow_redirects=False)
            continue
        if not refused:
            fields.pop("abort", None)
        form = {**fields, "login": "alice", "password": "anything"}
        answer = client.post(urljoin(answer.url, forms[0]), data=form, allow_redirects=False)
    raise AssertionError(f"it never ended: {answer.status_code} {answer.text[:500]}")
