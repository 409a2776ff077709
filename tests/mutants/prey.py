"""Run in a copy with a bug in it: explore vendors until a promise breaks. Exit status 1 when one did.

`python prey.py COPY VENDOR…`; a vendor is installed, or one of the shapes of `tests/testing`.
"""

from __future__ import annotations

import sys
from pathlib import Path

SEEDS = 5
EXAMPLES = 60


def main(copy: str, vendors: list[str]) -> int:
    sys.path.insert(0, str(Path(__file__).parent.parent / "testing"))
    import authflow

    assert Path(authflow.__file__).is_relative_to(Path(copy)), f"{authflow.__file__} is not the copy"
    from shapes import shapes

    from authflow.testing import explore

    known = shapes()
    for seed in range(SEEDS):
        for vendor in vendors:
            found = explore(known.get(vendor, vendor), examples=EXAMPLES, seed=seed, shrink=False)
            if found.failure is not None:
                print(found.failure.splitlines()[0])
                return 1
    print("no promise broken")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
