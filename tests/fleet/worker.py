"""A process of the fleet: it obeys the lines of JSON that come in, and answers each with one.

    {"get": n}                   n threads fetch one delivery each; their statuses and the token's fingerprint
    {"token": true}              the token's fingerprint
    {"renew_and_die": seconds}   a child of this process asks for the token and is killed after so long
    {"ahead": seconds}           the clock moves on

The first line is the session: store, base_url, data_origin, timeout, and, for tests, the margin of the lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import requests

import authflow
from authflow.accounts import stored


class Clock:
    """Shared by the session and the orders. A class, so that it pickles."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def __call__(self) -> float:
        return time.time() + self.ahead


def fingerprint(token: authflow.Token) -> str:
    return hashlib.sha256(token.access.encode()).hexdigest()[:16]


def get(session: authflow.AuthSession, url: str, threads: int) -> list[int]:
    statuses: list[int] = []

    def fetch() -> None:
        try:
            statuses.append(requests.get(url, auth=session.requests, timeout=60).status_code)
        except requests.RequestException as error:
            print(type(error).__name__, error, file=sys.stderr)
            statuses.append(0)

    workers = [threading.Thread(target=fetch) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statuses


def renew_and_die(session: authflow.AuthSession, seconds: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            session.token()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    setup: dict[str, Any] = json.loads(sys.stdin.readline())
    clock = Clock(setup.pop("ahead", 0.0))
    stored.LOCK_MARGIN = setup.pop("margin", stored.LOCK_MARGIN)
    session = authflow.AuthSession("supplier", username="demo", password="open-sesame", clock=clock, **setup)
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        clock.ahead += order.get("ahead", 0.0)
        answer: dict[str, Any] = {}
        if "get" in order:
            answer["statuses"] = get(session, f"{setup['base_url']}deliveries/1", order["get"])
        if "renew_and_die" in order:
            renew_and_die(session, order["renew_and_die"])
        if order.get("token") or "get" in order:
            answer["token"] = fingerprint(session.token())
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
