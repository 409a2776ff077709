"""WebSockets: a library that takes headers gets those of the session; the origin is declared in `origins.present`.

The headers are good when the socket is opened; ask for them again each time that you open one. httpx-ws needs none of
this: `connect_ws(url, httpx.Client(auth=session.httpx))`.
"""

from websockets.sync.client import connect

import authflow

session = authflow.AuthSession("supplier", username="demo", password="open-sesame")


def listen(url):
    with connect(url, additional_headers=session.headers(url)) as socket:
        yield from socket
