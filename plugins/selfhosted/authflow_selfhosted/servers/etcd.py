"""etcd: a key-value store whose token stands bare in Authorization; every call of its JSON gateway is a POST.

A change of users or roles makes every token void, and the answer to that is a 400.
"""

from __future__ import annotations

import base64
import json
import urllib.request

from authflow_selfhosted.servers.environment import program
from authflow_selfhosted.servers.process import free_port
from authflow_selfhosted.servers.product import PASSWORD, USERNAME, Place, Product

KEY, VALUE = "report/1", "first report"
ROOT = {"username": "root", "password": "root-pw-1"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _prepare(place: Place) -> None:
    place.run("openssl", "genrsa", "-out", "private.pem", "2048")
    place.run("openssl", "rsa", "-in", "private.pem", "-pubout", "-out", "public.pem")


def _command(place: Place) -> list[str]:
    peers = f"http://127.0.0.1:{free_port()}"
    keys = "jwt,pub-key=public.pem,priv-key=private.pem,sign-method=RS256"
    return [
        *("etcd", "--name=one", "--data-dir=data", f"--auth-token={keys},ttl={place.lifetime}s"),
        *(f"--listen-client-urls={place.url}", f"--advertise-client-urls={place.url}"),
        *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=one={peers}"),
    ]


def _populate(place: Place) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    reports = {"permType": "READ", "key": encoded("report"), "range_end": encoded("reporu")}
    steps: tuple[tuple[str, dict[str, object]], ...] = (
        ("auth/user/add", {"name": "root", "password": ROOT["password"]}),
        ("auth/role/add", {"name": "root"}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/user/add", {"name": USERNAME, "password": PASSWORD}),
        ("auth/role/add", {"name": "reader"}),
        ("auth/role/grant", {"name": "reader", "perm": reports}),
        ("auth/user/grant", {"user": USERNAME, "role": "reader"}),
        ("kv/put", {"key": encoded(KEY), "value": encoded(VALUE)}),
        ("auth/enable", {}),
    )
    for path, body in steps:
        opener.open(f"{place.url}/v3/{path}", json.dumps(body).encode(), timeout=10).close()


def _needs() -> None:
    program("etcd", "etcd-server")
    program("openssl", "openssl")


ETCD = Product(
    name="etcd",
    needs=_needs,
    prepare=_prepare,
    populate=_populate,
    command=_command,
    inputs=lambda place: {"base_url": f"{place.url}/", "username": USERNAME, "password": PASSWORD},
    ready="/health",
    data="/v3/kv/range",
    shows=encoded(VALUE),
    refreshes=False,
)
