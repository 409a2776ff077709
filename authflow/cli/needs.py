"""What a verb needs that is not installed: one line that says how to get it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn


def need(what: str, extras: dict[str, str]) -> None:
    missing = [package for package in extras if find_spec(package) is None]
    if missing:
        wanted = ",".join(dict.fromkeys(extras.values()))
        give_up(f"{what} needs {' and '.join(missing)}: pip install 'authflow-http[{wanted}]'")


def give_up(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(2)
