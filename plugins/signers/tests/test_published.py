"""The signers against what RFCs and AWS have published: their keys, their times, their signatures."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt
import pytest
from oauthlib.oauth1 import Client

from authflow.plugins import Request, Signing
from authflow_signers.digest import answered
from authflow_signers.dpop import _hash, _thumbprint
from authflow_signers.oauth1 import _signed
from authflow_signers.sigv4 import SigV4

# --- AWS Signature Version 4: the test suite of 2015, the examples of S3's and IAM's documentation --------------------

SUITE: dict[str, str] = {
    "key": "AKIDEXAMPLE",
    "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "service",
}
AT = "20150830T123600Z"
URL = "https://example.amazonaws.com"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (Request("GET", URL + "/", (), b""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            Request("GET", URL + "/?Param2=value2&Param1=value1", (), b""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (Request("POST", URL + "/", (), b""), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            Request("POST", URL + "/", (("Content-Type", FORM),), b"Param1=value1"),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            Request("GET", URL + "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", (), b""),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            Request("GET", URL + "/?%E1%88%B4=bar", (), b""),
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            Request("GET", URL + "/example1/example2/../..", (), b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Request("GET", URL + "//example//", (), b""),
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
    ],
)
def test_sigv4_of_the_test_suite(request_: Request, signature: str) -> None:
    line = SigV4().signed(request_, SUITE, AT)["Authorization"]
    assert line.endswith(f"Signature={signature}")


def test_sigv4_of_the_guide_to_iam() -> None:
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    request = Request("GET", url, (("Content-Type", f"{FORM}; charset=utf-8"),), b"")
    line = SigV4().signed(request, {**SUITE, "service": "iam"}, AT)["Authorization"]
    signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    scope = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
    assert line == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
    )


def test_sigv4_of_a_temporary_key() -> None:
    token = (
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
        "AzpFB0j5bBHBZ5lVpLxmmZBjZxCxzPiTX1QJm6eC1lqLUMnvUJpzIcpnCQTsxlg"
    )
    headers = SigV4().signed(Request("POST", URL + "/", (), b""), {**SUITE, "token": token}, AT)
    assert headers["X-Amz-Security-Token"] == token
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in headers["Authorization"]


S3: dict[str, str] = {
    "key": "AKIAIOSFODNN7EXAMPLE",
    "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "s3",
}


@pytest.mark.parametrize(
    ("target", "headers", "signature"),
    [
        (
            "/test.txt",
            (("Range", "bytes=0-9"),),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/?lifecycle", (), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", (), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_sigv4_of_the_guide_to_s3(target: str, headers: Any, signature: str) -> None:
    request = Request("GET", "https://examplebucket.s3.amazonaws.com" + target, headers, b"")
    made = SigV4().signed(request, S3, "20130524T000000Z")
    assert made["X-Amz-Content-SHA256"] == hashlib.sha256().hexdigest()
    assert made["Authorization"].endswith(f"Signature={signature}")


# --- OAuth 1: the example of RFC 5849 §1.2 ----------------------------------------------------------------------------

PRINTER = {"client_key": "dpf43f3p2l4k3l03", "client_secret": "kd94hf93k423kf44", "realm": "Photos"}


@pytest.mark.parametrize(
    ("method", "url", "more", "nonce", "stamp", "signature"),
    [
        (
            "POST",
            "https://photos.example.net/initiate",
            {"callback": "http://printer.example.com/ready"},
            "wIjqoS",
            "137131200",
            "74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D",
        ),
        (
            "POST",
            "https://photos.example.net/token",
            {"token": "hh5s93j4hdidpola", "token_secret": "hdhd0244k9j7ao03", "verifier": "hfdp7dh39dks9884"},
            "walatlh",
            "137131201",
            "gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D",
        ),
        (
            "GET",
            "http://photos.example.net/photos?file=vacation.jpg&size=original",
            {"token": "nnch734d00sl2jdk", "token_secret": "pfkkdhi9sl3r4s00"},
            "chapoH",
            "137131202",
            "MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D",
        ),
    ],
)
def test_oauth1_of_the_rfc(
    method: str, url: str, more: Any, nonce: str, stamp: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: Any = Client.get_oauth_params

    def versionless(client: Any, request: Any) -> Any:
        """As in the RFC's example; oauthlib says which version it is."""
        return [pair for pair in own(client, request) if pair[0] != "oauth_version"]

    monkeypatch.setattr(Client, "get_oauth_params", versionless)
    line = _signed(Request(method, url, (), b""), {**PRINTER, **more}, "HMAC-SHA1", nonce, stamp)["Authorization"]
    assert line.startswith('OAuth realm="Photos", ')
    assert f'oauth_signature="{signature}"' in line


def test_oauth1_of_the_specification_before_the_rfc() -> None:
    parameters = {**PRINTER, "token": "nnch734d00sl2jdk", "token_secret": "pfkkdhi9sl3r4s00"}
    request = Request("GET", "http://photos.example.net/photos?file=vacation.jpg&size=original", (), b"")
    line = _signed(request, parameters, "HMAC-SHA1", "kllo9940pd9333jh", "1191242096")["Authorization"]
    assert 'oauth_signature="tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D"' in line


# --- Digest: RFC 7616 §3.9, RFC 2617 §3.5, RFC 2069 with its erratum --------------------------------------------------

MUFASA = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}
OLD = {"realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "uri": "/dir/index.html"}


@pytest.mark.parametrize(
    ("used", "password", "response"),
    [
        ({**MUFASA, "algorithm": "MD5"}, "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"),
        (
            {**MUFASA, "algorithm": "SHA-256"},
            "Circle of Life",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (
            {**OLD, "qop": "auth", "nc": "00000001", "cnonce": "0a4f113b"},
            "Circle Of Life",
            "6629fae49393a05397450978507c4ef1",
        ),
        (OLD, "CircleOfLife", "1949323746fe6a43ef61f9606e7febea"),
    ],
)
def test_digest_of_the_rfcs(used: dict[str, str], password: str, response: str) -> None:
    assert answered(used, "Mufasa", password, Request("GET", "https://h.example/dir/index.html")) == response


# --- DPoP: RFC 9449, figures 2, 3 and 12, §6.1 ------------------------------------------------------------------------

PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJq"
    "dGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox"
    "NTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)


def test_dpop_of_the_rfc() -> None:
    assert _hash("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU") == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert _thumbprint(jwt.get_unverified_header(PROOF)["jwk"]) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_proof_of_the_rfc_is_checked() -> None:
    from authflow_signers.dpop import Dpop

    request = Request("POST", "https://server.example.com/token", (("DPoP", PROOF),), b"")
    asked: Any = Dpop().check(request, Signing({}, {}, 1562262616.0))
    assert asked.all("dpop-nonce")  # all else is right: the simulator wants a nonce too
    for wrong in (request.replace(method="GET"), request.replace(url="https://server.example.com/other")):
        assert Dpop().check(wrong, Signing({}, {}, 1562262616.0)) is False
