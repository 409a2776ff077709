"""cron or systemd: a script that starts, fetches and ends. The token of the last run is in the file store.

    15 3 * * *  SUPPLIER_PASSWORD_FILE=%h/.config/supplier python nightly.py

It ends with 75 (try again, as sendmail's convention has it) where waiting helps, and with 1 where a person is needed.
With systemd, `LoadCredential=supplier:/etc/supplier.password` brings the password as a file:
`SUPPLIER_PASSWORD_FILE=%d/supplier`.
"""

import os
import sys
from pathlib import Path

import requests

import authflow


def password():
    return Path(os.environ["SUPPLIER_PASSWORD_FILE"]).read_text("utf-8").strip()


session = authflow.AuthSession("supplier", username="demo", password=password, store="file")

if __name__ == "__main__":
    try:
        answer = requests.get(
            "https://api.supplier.example/api/v1/auth/deliveries/42", auth=session.requests, timeout=30
        )
        print(answer.json()["status"])
    except authflow.VendorUnavailable as error:
        print(error, file=sys.stderr)
        sys.exit(75)
    except authflow.AuthFlowError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
