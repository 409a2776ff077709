"""A command-line tool of your own that logs in as `gh auth login` does: a person signs in at a browser, once.

python like_gh.py login      opens the browser; over ssh it shows the address, and takes what the browser shows
python like_gh.py 42         needs nobody any more: the refresh token lies in the user's own store
"""

import sys

import requests

import authflow

SUPPLIER = "https://api.supplier.example/api/v1/"
VENDOR = {
    "name": "my-tool",
    "extends": "oauth2-code",
    "base_url": SUPPLIER,
    "settings": {
        "authorize_url": {"default": "authorize"},
        "token_url": {"default": "token"},
        "client_id": {"default": "my-tool"},
    },
}


def session(**more):
    return authflow.AuthSession(VENDOR, store="file", **more)


def main(word):
    if word == "login":
        session(ask="terminal").login()
        return "You are logged in."
    return requests.get(f"{SUPPLIER}deliveries/{word}", auth=session().requests, timeout=30).text


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:]))
    except authflow.AuthFlowError as error:
        sys.exit(str(error))
