"""Many hosts, one account: they share the token through Redis, and exactly one of them renews it.

The record is encrypted under `AUTHFLOW_KEY` (`python -c "import authflow; print(authflow.new_key())"`); the password of
Redis stands in the environment too, never in a URL in the code.
"""

import os

import requests

import authflow

session = authflow.AuthSession(
    "supplier",
    username="demo",
    password=lambda: os.environ["SUPPLIER_PASSWORD"],
    store="encrypted+" + os.environ["REDIS_URL"],
)


def delivery(id):
    url = f"https://api.supplier.example/api/v1/auth/deliveries/{id}"
    return requests.get(url, auth=session.requests, timeout=30).json()
