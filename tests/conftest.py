"""For every test: Ctrl-C as a user at a terminal has it, no deadline of Hypothesis's, the marks for `make quick`.

slow      takes seconds of the processor's time, or waits for a deadline
program   needs a program that is not Python's: a browser, a keyring, a Redis server
"""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

from authflow.stores import PROCESS_REFUSALS

# How long an example takes says how busy the machine is, and nothing else. CI judges a change, and not its luck: there
# the examples are the same every time; people's own runs go on looking for others.
hypothesis.settings.register_profile("authflow", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("authflow")

# A shell starts what runs in its background with Ctrl-C ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.shown"]

HERE = Path(__file__).parent
#: Files and folders below `tests/` that are slow as a whole, and fixtures behind which a program stands.
SLOW = (
    *("built_on", "fleet", "fuzz", "readme", "wheels"),
    *("cli/test_demo.py", "cli/test_demo_html.py", "cli/test_explore.py"),
    *("clients/test_crowds.py", "clients/test_redirects.py"),
    *("renewing/test_jwt_verification.py", "stores/test_processes.py"),
    *("testing/test_machine.py", "testing/test_plugins_readme.py", "testing/test_pytest_plugin.py"),
    "test_types.py",
    *("trust/test_masks.py", "trust/test_slow_answers.py", "vendors/test_hostile_files.py"),
)
PROGRAMS = {"dbus", "keyring_store", "page", "redis_cluster", "redis_server", "redis_store", "story"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        where = item.path.relative_to(HERE).as_posix()
        if any(where == slow or where.startswith(f"{slow}/") for slow in SLOW):
            item.add_marker(pytest.mark.slow)
        if PROGRAMS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.program)


@pytest.fixture(autouse=True)
def _no_refusals() -> None:
    """What was refused to an account of one test is a matter of the process, and none of the next test's."""
    PROCESS_REFUSALS._records.clear()
