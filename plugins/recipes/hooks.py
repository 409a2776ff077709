"""Every hook that a plugin may implement, an example of each, registered without a package. Keep those that you need.

In a package, write them as functions of a module, and name the module in its `pyproject.toml` below
`[project.entry-points.authflow]`. `authflow check --plugin FILE` uses such a module before it is packaged.
"""

import hashlib
import hmac
import logging
import uuid

import requests

import authflow
from authflow.plugins import Converter, Function, Signer, hookimpl, manager
from authflow.stores import open_store

log = logging.getLogger("house")


class Sealed(Signer):
    """X-Seal: an HMAC of the URL."""

    takes = ("!key",)

    def sign(self, request, signing):
        seal = hmac.new(signing.parameters["key"].encode(), request.url.encode(), hashlib.sha256)
        return {"X-Seal": seal.hexdigest()}


class House:
    @hookimpl
    def authflow_vendors(self):  # paths of vendor files, mappings, or Vendor objects
        login = {
            "request": {"url": "login", "json": {"user": "{username}", "initial": "{initial}", "pass": "{password}"}},
            "answers": {"granted": {"json": {"token": "{access}", "hours": "{expires_in:hours}"}}},
        }
        intranet = {"name": "intranet", "extends": "relogin", "base_url": "https://intranet.example/"}
        derive = {"initial": {"first_letter": "{username}"}}
        return [{**intranet, "exchanges": {"login": login}, "derive": derive, "sign": {"seal": {"key": "{password}"}}}]

    @hookimpl
    def authflow_converters(self):  # {expires_in:hours} is read into seconds, and written in hours
        return {"hours": Converter(lambda hours: int(hours) * 3600, lambda seconds: str(int(seconds) // 3600))}

    @hookimpl
    def authflow_functions(self):  # for [derive]; it is given its argument, and the time
        return {"first_letter": Function(lambda argument, now: str(argument)[:1])}

    @hookimpl
    def authflow_signers(self):  # sign.seal = { key = "…" } in a vendor file
        return {"seal": Sealed}

    @hookimpl
    def authflow_stores(self):  # store="team://parcels"; a store of your own passes `authflow.testing.StoreContract`
        return {"team": lambda url: open_store(f"./{url.removeprefix('team://')}")}

    @hookimpl
    def authflow_rewrite_url(self, vendor, url):  # after the file's own [[rewrites]]
        return url.replace("/auth/parcels/", "/tracking/") if vendor.name == "supplier" else None

    @hookimpl
    def authflow_sign(self, vendor, request, values):  # headers for each exchange, and for each request with a token
        return {"X-Request-Id": uuid.uuid4().hex} if vendor.name == "supplier" else None

    @hookimpl
    def authflow_exchange(self, vendor, exchange, request, values, send):  # a step of the login in code
        return send(request) if (vendor.name, exchange) == ("supplier", "login") else None

    @hookimpl
    def authflow_transition(self, vendor, before, event, after):  # of its arguments, take those that you want
        log.info("%s: %s, %s: %s", vendor.name, before, event, after)

    @hookimpl
    def authflow_renewal_begins(self, vendor, cause):
        log.info("%s: begins (%s)", vendor.name, cause)

    @hookimpl
    def authflow_renewal_ends(self, vendor, state, seconds, error):
        log.info("%s: %s after %.3f s", vendor.name, error or state, seconds)


manager().register(House(), name="house")

session = authflow.AuthSession("supplier", username="demo", password="open-sesame", store="team://parcels")
answer = requests.get("https://api.supplier.example/api/v1/auth/parcels/42", auth=session.requests)
