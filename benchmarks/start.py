"""What does a process pay before its first answer: a token on the command line, and the first login of a program?

Processor time of fresh processes, user and system, which take turns; files are compiled already, as on every start but
the first. The vendor is a strict token endpoint on this machine.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.endpoint import Endpoint, order
from benchmarks.measure import ROOT, hottest_imports, interpreter, is_short, is_whole, versions
from benchmarks.report import Report, Table

TOKEN_GOAL, TOKEN_RATIO_GOAL, VERSION_GOAL, LOGIN_GOAL = 150.0, 1.2, 80.0, 1.3
BY_HAND: Final = """
import requests, sys
url = sys.argv[1]
form = {"grant_type": "password", "username": "demo", "password": "open-sesame"}
token = requests.post(url + "/token", data=form, auth=("client", "client-secret"), timeout=30).json()["access_token"]
requests.get(url + "/none", headers={"Authorization": "Bearer " + token}, timeout=30)
"""
WITH_AUTHFLOW: Final = """
import requests, sys
from authflow import AuthSession
url = sys.argv[1]
vendor = {"extends": "oauth2-password", "name": "bench", "base_url": url}
given = {"username": "demo", "password": "open-sesame", "client_id": "client", "client_secret": "client-secret"}
session = AuthSession(vendor, token_url=url + "/token", **given)
requests.get(url + "/none", auth=session.requests, timeout=30)
"""


def main() -> None:
    times = 3 if is_short() else 15
    python = interpreter()
    report = Report(
        "start",
        "What does a process pay before its first answer?",
        f"Milliseconds of processor time, user and system, the median of {times} fresh processes, which take turns.",
        versions=versions(("authflow-http", "requests", "click", "msgspec")),
    )
    with Endpoint() as endpoint, tempfile.TemporaryDirectory() as folder:
        order(endpoint.base_url, lifetime=360000)
        file = Path(folder, "bench.toml")
        file.write_text(f'name = "bench"\nextends = "oauth2-password"\nbase_url = "{endpoint.base_url}"\n')
        settings = [f"--set={one}" for one in ("username=demo", "client_id=client", f"token_url={endpoint.token_url}")]
        cli = [python, "-m", "authflow"]
        commands = {
            "authflow --version": [*cli, "--version"],
            "authflow token, stored": [*cli, "token", str(file), *settings, f"--store=file://{folder}/tokens"],
            "import requests": [python, "-c", "import requests"],
            "first login, by hand": [python, "-c", BY_HAND, endpoint.base_url],
            "first login, authflow": [python, "-c", WITH_AUTHFLOW, endpoint.base_url],
        }
        env = {**os.environ, "HOME": folder, "AUTHFLOW_PASSWORD": "open-sesame", "NO_PROXY": "*"}
        env |= {"AUTHFLOW_CLIENT_SECRET": "client-secret", "PYTHONWARNINGS": "ignore"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        found: dict[str, list[float]] = defaultdict(list)
        for turn in range(times + 1):
            for name, command in commands.items():
                took = _processor_time(command, env)
                if turn:  # the first compiles, and logs in
                    found[name].append(took)
        profile = hottest_imports([python, "-X", "importtime", *commands["authflow token, stored"][1:]], env)
    ms = {name: statistics.median(some) for name, some in found.items()}
    rows = [{"what": name, "ms": some} for name, some in ms.items()]
    report.tables.append(Table("start", (("what", "", 0), ("ms", "ms", 1)), rows))
    token = ms["authflow token, stored"]
    report.goal("authflow token from a stored token", TOKEN_GOAL, token, " ms")
    report.goal("the same", TOKEN_RATIO_GOAL, token / ms["import requests"], " × import requests")
    report.goal("authflow --version", VERSION_GOAL, ms["authflow --version"], " ms")
    login = ms["first login, authflow"] / ms["first login, by hand"]
    report.goal("first login in a fresh process", LOGIN_GOAL, login, " × by hand")
    if not all(goal.met for goal in report.goals):
        report.profile += ["authflow token, modules that take longest themselves:", *profile]
    report.publish(keep=is_whole())


def _processor_time(command: Sequence[str], env: dict[str, str]) -> float:
    """Milliseconds. Raises RuntimeError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])}: {done.stderr.strip()[-300:]}")
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


if __name__ == "__main__":
    main()
