"""Sentry in its default settings, with all of its integrations, and once more with traces and logs on: it keeps a
breadcrumb of each request that the HTTP libraries send, with the whole URL, and sends them with the next event.

Sessions log in (with the password in the query, the form, a header and a cookie), renew, are refused, moved and not
answered, and log out with both tokens in the URL; by themselves, with `client=`, and on a loop. Then something else
goes wrong.

Expected: what Sentry sends has neither a password nor a code nor a token; and the caller's own span is his again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.attacks.reporters import leaks
from tests.attacks.shown_objects import SECRETS

HOUSE = str(Path(__file__).parents[2])
SETTINGS: dict[str, dict[str, Any]] = {
    "the default": {},
    "traces and logs": {"traces_sample_rate": 1.0, "enable_logs": True},
}


def kept(library: str, setting: str) -> Iterator[str]:
    """What Sentry sends, by whose exchanges. For a process of its own: Sentry patches `http.client`, for good."""
    import sentry_sdk
    from sentry_sdk.transport import Transport

    from tests.attacks.noisy_logs import life, loop, says
    from tests.servers import listening

    sent: list[Any] = []

    class Keeps(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.extend(item.payload.json or item.get_bytes().decode() for item in envelope.items)

    sentry_sdk.init("http://k@127.0.0.1:9/1", transport=Keeps, **SETTINGS[setting])
    ways: dict[str, Any] = {
        "by itself": lambda: life(home, library, False),
        "with client=": lambda: life(home, library, True),
        "on a loop": lambda: loop(home, library),
    }
    if library == "aiohttp":
        del ways["with client="]
    with listening(says) as home:
        for way, walk in ways.items():
            sent.clear()
            with sentry_sdk.isolation_scope(), sentry_sdk.start_transaction(name="theirs") as span:
                walk()
                if sentry_sdk.get_current_span() is not span:
                    yield f"{library} {way}: the caller's span is another"
                try:
                    raise LookupError("theirs")
                except LookupError:
                    sentry_sdk.capture_exception()
            said = json.dumps(sent, ensure_ascii=False, default=repr)
            if "LookupError" not in said:
                yield f"{library} {way}: Sentry sent nothing"
            yield from (f"{library} {way}: {leak}" for leak in leaks(said, SECRETS))


def attack(libraries: list[str], settings: Iterable[str] = SETTINGS) -> Iterator[str]:
    for library in libraries:
        for setting in settings:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "tests.attacks.kept_by_sentry", library, setting],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, HOUSE]))},
                capture_output=True,
                text=True,
                timeout=300,
            )
            found = [line for line in done.stdout.splitlines() if line]
            yield from (f"{setting}: {line}" for line in found or [done.stderr[-500:]] * (done.returncode != 0))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        found = []
        with contextlib.redirect_stdout(sys.stderr):
            found += kept(*sys.argv[1:])
    else:
        from tests.attacks.noisy_logs import LIBRARIES

        found = list(attack(LIBRARIES))
    print(*found, sep="\n")
    sys.exit(bool(found))
