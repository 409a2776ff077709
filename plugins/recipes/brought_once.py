"""A service whose refresh token an operator brings once: `authflow login acme.toml --store /var/lib/acme/tokens`.

The service opens no browser. As long as there is no token its error names the command; the next request after the login
finds it there, without a restart. Give the folder to the service's user alone.
"""

import os

import requests

import authflow

SUPPLIER = "https://api.supplier.example/api/v1/"
VENDOR = {
    "name": "acme",
    "extends": "oauth2-code",
    "base_url": SUPPLIER,
    "settings": {
        "authorize_url": {"default": "authorize"},
        "token_url": {"default": "token"},
        "client_id": {"default": "acme-service"},
    },
}
session = authflow.AuthSession(VENDOR, store=os.environ.get("TOKENS", "tokens"))


def delivery(number):
    try:
        answer = requests.get(f"{SUPPLIER}deliveries/{number}", auth=session.requests, timeout=30)
    except authflow.ConfigurationError as error:
        return {"status": 503, "reason": str(error)}
    return {"status": answer.status_code}
