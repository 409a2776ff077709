"""Cassettes: vcrpy records the login too, as it records your own requests. This recorder keeps no secret of either.

betamax records what passes its session alone: the login too only if you give that session as `client=`.
"""

import re

import vcr

TOKENS = re.compile(rb'("(?:\w*[Tt]oken|refresh)"\s*:\s*")([^"]*)')  # how your vendor calls what it grants


def without_tokens(response):
    body = response["body"]
    body["string"] = TOKENS.sub(lambda found: found[1] + b"x" * len(found[2]), body["string"])  # as long as it was
    return response


recorder = vcr.VCR(
    filter_headers=["Authorization", "Cookie"],  # the file's `present`, and an exchange that carries the old token
    filter_query_parameters=["access_token"],
    filter_post_data_parameters=["username", "password", "client_secret", "refresh_token", "refreshToken"],
    before_record_response=without_tokens,
)
