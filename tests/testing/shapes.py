"""Vendors of every shape that the notation knows: each preset as it is, the shapes that no preset has, and the files in
`vendors/`, as an author writes them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from authflow.vendors.extends import preset_names

#: What a file says beyond `extends`, by preset, where the preset leaves something open.
ON_PRESETS: dict[str, dict[str, Any]] = {
    "password": {
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"user": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}", "refresh": "{refresh}"}}},
            },
            "refresh": {
                "request": {"url": "refresh", "json": {"refresh": "{refresh}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}", "refresh": "{refresh?}"}}},
            },
        },
    },
    # a key on a curve: RSA's are slow to read, and they are read for every login
    "jwt-bearer": {"settings": {"algorithm": {"default": "ES256"}}},
    "relogin": {
        "exchanges": {
            "login": {
                "request": {"url": "login", "form": {"user": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "text": "token={access}"}},
            }
        },
    },
}

BASE = "https://api.vendor.example/v1/"

OTHERS: dict[str, dict[str, Any]] = {
    # the password never travels: a nonce is fetched, and its digest sent back
    "two-steps": {
        "credentials": {"username": {}, "password": {"secret": True}},
        "derive": {"proof": {"hmac": {"key": "{password}", "message": "{username}:{nonce}"}}},
        "start": "signed_out",
        "exchanges": {
            "begin": {
                "request": {"url": "begin", "json": {"user": "{username}"}},
                "answers": {"asked": {"status": 200, "json": {"nonce": "{nonce}"}}, "unknown": {"status": 404}},
            },
            "finish": {
                "request": {"url": "finish", "json": {"user": "{username}", "nonce": "{nonce}", "proof": "{proof}"}},
                "answers": {
                    "granted": {"status": 200, "json": {"token": "{access:jwt}", "renew": "{refresh}"}},
                    "denied": {"status": [401, 403]},
                },
            },
            "refresh": {
                "request": {"url": "renew", "json": {"renew": "{refresh}"}},
                "answers": {
                    "granted": {"status": 200, "json": {"token": "{access:jwt}", "renew": "{refresh?}"}},
                    "denied": {"status": [401, 403]},
                },
            },
        },
        "states": {
            "signed_out": {"send": "begin", "asked": "half_way", "unknown": "refused"},
            "half_way": {"send": "finish", "granted": "signed_in", "denied": "refused"},
            "signed_in": {
                "present": {"headers": {"X-Token": "{access}"}},
                "expired": "stale",
                "rejected": "stale",
            },
            "stale": {"send": "refresh", "granted": "signed_in", "denied": "signed_out", "missing": "signed_out"},
            "refused": {"fail": "The vendor refused."},
        },
        "answers": {"rejected": {"status": [401, 419]}},
    },
    # a code that serves once stands beside the password: whoever is asked gives another each time
    "one-time-code": {
        "extends": "relogin",
        "credentials": {"otp": {"secret": True, "once": True}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "code": "{otp}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}", "in": "{expires_in:int}"}}},
            }
        },
    },
    # a 409 brings the session's id, and every request carries it
    "conflict": {
        "credentials": {"username": {}, "password": {"secret": True}},
        "start": "without",
        "exchanges": {},
        "states": {
            "without": {"present": {"basic": ["{username}", "{password}"]}, "session": "with"},
            "with": {
                "present": {
                    "basic": ["{username}", "{password}"],
                    "headers": {"X-Session-Id": "{access}"},
                },
                "session": "with",
            },
        },
        "answers": {"session": {"status": 409, "headers": {"X-Session-Id": "{access}"}}},
    },
    # user and token together as one value, the token as a query parameter and in the caller's own form
    "everywhere": {
        "insecure_url": True,
        "credentials": {"username": {}, "password": {"secret": True}},
        "derive": {"both": {"base64": "{username}:{access}"}},
        "start": "signed_out",
        "exchanges": {
            "login": {
                "request": {"url": "session", "basic": ["{username}", "{password}"], "text": "<login/>"},
                "answers": {
                    "granted": {"status": 201, "text": "<session id='{access}' for='{expires_in:int}'/>"},
                    "denied": {"status": [401, 403]},
                },
            }
        },
        "states": {
            "signed_out": {"send": "login", "granted": "signed_in", "denied": "refused"},
            "signed_in": {
                "present": {"query": {"sid": "{access}"}, "form": {"both": "{both}"}},
                "expired": "signed_out",
                "needs_login": "signed_out",
                "refused": "refused",
            },
            "refused": {"fail": "The vendor refused."},
        },
        "answers": {
            "refused": {"status": 403, "json": {"error": "account_closed"}},
            "needs_login": {"status": 403, "json": {"error": "session_expired"}},
        },
    },
    # JWTs that are checked against the keys that the vendor publishes
    "verified": {
        "extends": "password",
        "verify": {"jwks_url": "../keys.json", "issuer": "https://issuer.example", "audience": "us"},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"user": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access:jwt}", "refresh": "{refresh}"}}},
            },
            "refresh": {"request": {"url": "refresh", "json": {"refresh": "{refresh}"}}, "answers": "login"},
        },
    },
    # the token in the caller's own JSON, an instance URL in the answer
    "json-body": {
        "credentials": {"username": {}, "password": {"secret": True}},
        "start": "signed_out",
        "exchanges": {
            "login": {
                "request": {"url": "rpc", "json": {"method": "login", "params": ["{username}", "{password}"]}},
                "answers": {
                    "granted": {"status": 200, "json": {"result": "{access}", "instance": "{base_url}"}},
                    "denied": {"status": 200, "json": {"error": {"code": -32602}}},
                },
            }
        },
        "states": {
            "signed_out": {"send": "login", "granted": "signed_in", "denied": "refused"},
            "signed_in": {"present": {"json": {"auth": "{access}"}}, "rejected": "signed_out"},
            "refused": {"fail": "The vendor refused."},
        },
        "answers": {"rejected": {"status": 200, "json": {"error": {"code": -32602}}}},
    },
}


def shapes() -> dict[str, dict[str, Any]]:
    """Every shape as a vendor file in Python, by name."""
    found = {
        f"preset-{name}": {"extends": name, "base_url": BASE, **ON_PRESETS.get(name, {})} for name in preset_names()
    }
    found |= {name: {"base_url": BASE, **form} for name, form in OTHERS.items()}
    files = sorted((Path(__file__).parent / "vendors").glob("*.toml"))
    found |= {file.stem: tomllib.loads(file.read_text("utf-8")) for file in files}
    return {name: {"name": name, **form} for name, form in found.items()}
