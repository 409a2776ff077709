"""What does `import authflow` cost, and importing an adapter beyond its client's own import?

Each statement is timed in fresh interpreters, which take turns; nothing is in the cache of modules but what a bare
Python brings. Files are compiled already, as they are on every start but the first.
"""

from __future__ import annotations

import statistics
import subprocess
from collections import defaultdict
from typing import Final

from benchmarks.measure import NIQUESTS, PEERS, ROOT, hottest_imports, interpreter, is_short, versions
from benchmarks.peers import VERSIONED
from benchmarks.report import Report, Table

#: What is imported before the clock starts, what is timed, and the environment.
STATEMENTS: Final = {
    "import authflow": ("", "import authflow"),
    "from authflow import AuthSession": ("", "from authflow import AuthSession"),
    "import requests": ("", "import requests"),
    "import httpx": ("", "import httpx"),
    "import httpx2": ("", "import httpx2"),
    "import niquests": ("", "import niquests"),
    "the session, after requests": ("import requests", "from authflow import AuthSession"),
    "the session, after httpx": ("import httpx", "from authflow import AuthSession"),
    "adapter for requests": ("import requests; from authflow import AuthSession", "import authflow.clients.requests"),
    "adapter for httpx": ("import httpx; from authflow import AuthSession", "import authflow.clients.httpx"),
    "adapter for httpx2": ("import httpx2; from authflow import AuthSession", "import authflow.clients.httpx"),
    "adapter for niquests": ("import niquests; from authflow import AuthSession", "import authflow.clients.requests"),
    "Authlib (requests)": ("import requests", "from authlib.integrations.requests_client import OAuth2Session"),
    "requests-oauthlib": ("import requests", "from requests_oauthlib import OAuth2Session"),
    "requests_oauth2client": ("import requests", "import requests_oauth2client"),
    "requests_auth": ("import requests", "import requests_auth"),
    "httpx-auth": ("import httpx", "import httpx_auth"),
    "google-auth": (
        "import requests",
        "import google.oauth2.credentials; from google.auth.transport.requests import AuthorizedSession",
    ),
    "azure-core": ("import requests", "import azure.core; from azure.core.pipeline.policies import *"),
    "botocore": ("import requests", "import botocore.credentials"),
    "singleflight-auth": ("import httpx", "import singleflight_auth; singleflight_auth.SingleFlightAuth"),
    "MCP SDK": ("import httpx2", "from mcp.client.auth import OAuthClientProvider"),
}
IMPORT_GOAL: Final = 30.0
ADAPTER_GOAL: Final = 10.0


def main() -> None:
    times = 3 if is_short() else 11
    report = Report(
        "import",
        "What does `import authflow` cost, and an adapter beyond its client's own import?",
        f"Milliseconds, the median of {times} fresh interpreters. Peers are timed after their client was imported. "
        "`import authflow` imports no module but itself: what a name needs comes when it is first used, so the row "
        "below it is what a program pays that makes a session. An adapter's row is what it adds to both.",
        versions=versions(VERSIONED),
    )
    found: dict[str, list[float]] = defaultdict(list)
    missing: dict[str, str] = {}
    for _ in range(times):
        for name, (before, statement) in STATEMENTS.items():
            try:
                found[name].append(_timed(name, before, statement))
            except RuntimeError as error:
                missing[name] = str(error)
    rows = [{"what": name, "ms": statistics.median(found[name])} for name in STATEMENTS if found[name]]
    report.tables.append(Table("import", (("what", "", 0), ("ms", "ms", 1)), rows, chart="ms"))
    report.notes += [f"{name} gave no figure: {reason}" for name, reason in missing.items()]
    report.goal("import authflow", IMPORT_GOAL, statistics.median(found["import authflow"]), " ms")
    for name in [name for name in found if name.startswith("adapter for ")]:
        report.goal(name, ADAPTER_GOAL, statistics.median(found[name]), " ms")
    report.profile += [
        "from authflow import AuthSession, modules that take longest themselves:",
        *hottest_imports([interpreter(), "-X", "importtime", "-c", "from authflow import AuthSession"]),
    ]
    report.publish(keep=not is_short())


def _timed(name: str, before: str, statement: str) -> float:
    code = f"import time\n{before}\nstarted = time.perf_counter()\n{statement}\nprint(time.perf_counter() - started)"
    python = interpreter(NIQUESTS if "niquests" in name else PEERS)
    done = subprocess.run([python, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout) * 1000


if __name__ == "__main__":
    main()
