"""One server to try: prints what `AuthSession` needs as a line of JSON, and runs until standard input ends."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from authflow_selfhosted.servers import PRODUCTS, Unavailable, running
from authflow_selfhosted.servers.product import NotStarted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m authflow_selfhosted.servers", description=__doc__)
    parser.add_argument("product", choices=sorted(PRODUCTS))
    parser.add_argument("--lifetime", type=int, default=60, metavar="SECONDS", help="of a token (%(default)s)")
    options = parser.parse_args()
    try:
        with running(PRODUCTS[options.product], options.lifetime) as server, contextlib.suppress(KeyboardInterrupt):
            shown = {"vendor": options.product, "data": server.data, **server.inputs}
            print(json.dumps(shown), flush=True)
            sys.stdin.read()
    except (Unavailable, NotStarted) as error:
        sys.exit(f"{options.product}: {error}")


if __name__ == "__main__":
    main()
