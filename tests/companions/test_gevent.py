"""gevent: everything is patched, and a greenlet that renews lets the others run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from tests.clients.test_habits import vendor
from tests.servers import Came, Says

GREENLETS = 200
SCRIPT = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys
import requests, authflow

vendor, url, store, how = json.loads(sys.argv[1])
session = authflow.AuthSession(vendor, username="u", password="p", store=store, timeout=20)

def use(number):
    if how == "torn" and number == 0:
        with gevent.Timeout(1.0, False):
            session.token()
        return requests.get(url + "/meanwhile", timeout=30).status_code
    return requests.get(url + "/data", auth=session.requests, timeout=60).status_code

jobs = [gevent.spawn(use, number) for number in range(int(sys.argv[2]))]
if how == "together":
    jobs.append(gevent.spawn(requests.get, url + "/meanwhile", timeout=30))
gevent.joinall(jobs, timeout=90)
print(json.dumps([job.value if isinstance(job.value, int) else 0 for job in jobs]))
"""


@pytest.mark.parametrize("store", ["memory", "file"])
@pytest.mark.parametrize("how", ["together", "torn"])
def test_two_hundred_greenlets_cost_one_login(listen: Any, tmp_path: Any, store: str, how: str) -> None:
    """Its answer comes only when another greenlet has sent something. A leader that is torn away is followed by one of
    those who wait.
    """
    pytest.importorskip("gevent")
    meanwhile, logins = threading.Event(), list[int]()

    def says(came: Came) -> Says:
        if came.path == "/meanwhile":
            meanwhile.set()
        elif came.path == "/login":
            logins.append(1)
            if not meanwhile.wait(15):
                return Says(500, {})
            return Says(json={"token": "good"})
        elif came.headers.get("authorization") != "Bearer good":
            return Says(401, {})
        return Says(json={})

    listener = listen(says)
    place = "memory" if store == "memory" else str(tmp_path / "tokens")
    given = json.dumps([vendor(listener.url), listener.url, place, how])
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, given, str(GREENLETS)], capture_output=True, text=True, timeout=150, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert Counter(json.loads(ran.stdout))[200] == GREENLETS, ran.stderr
    assert len(logins) == (2 if how == "torn" else 1)
