"""AWS Signature Version 4 against botocore, request for request, and against moto, which recomputes each signature."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authflow import AuthSession, CredentialsRefused
from authflow.plugins import Answer, Request, Signing
from authflow_selfhosted.servers.process import free_port, serving
from authflow_signers.sigv4 import SigV4
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Listener, Says, listening

KEYS = {"key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "region": "eu-central-1"}
STAMP = "20150830T123600Z"
#: What may stand in a URL as clients send it.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def botocores(request: Request, parameters: Mapping[str, str], stamp: str) -> str:
    """The line that botocore signs a request with."""
    auth = pytest.importorskip("botocore.auth")
    awsrequest, credentials = pytest.importorskip("botocore.awsrequest"), pytest.importorskip("botocore.credentials")
    kind = auth.S3SigV4Auth if parameters["service"] == "s3" else auth.SigV4Auth
    who = credentials.Credentials(parameters["key"], parameters["secret"], parameters.get("token"))
    theirs = awsrequest.AWSRequest(request.method, request.url, dict(request.headers), request.body)
    signer = kind(who, parameters["service"], parameters["region"])
    theirs.context["timestamp"] = stamp
    theirs.headers["X-Amz-Date"] = stamp
    if parameters.get("token"):
        theirs.headers["X-Amz-Security-Token"] = parameters["token"]
    if parameters["service"] == "s3":
        theirs.headers["X-Amz-Content-SHA256"] = hashlib.sha256(request.body or b"").hexdigest()
        theirs.context["payload_signing_enabled"] = True
    text = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    names = signer.signed_headers(signer.headers_to_sign(theirs))
    signature = signer.signature(text, theirs)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(theirs)}, SignedHeaders={names}, Signature={signature}"


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.lists(TEXT, max_size=4),
    query=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    body=st.binary(max_size=64),
    service=st.sampled_from(["s3", "sts", "execute-api"]),
    token=st.none() | st.just("a-session-token"),
)
def test_botocore_signs_alike(
    method: str, path: list[str], query: list[tuple[str, str]], body: bytes, service: str, token: str | None
) -> None:
    segments = "/".join(quote(part, safe="") for part in path)
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    url = f"https://host.example/{segments}" + (f"?{pairs}" if pairs else "")
    headers = (("Content-Type", "application/json"),) if body else ()
    request = Request(method, url, headers, body)
    parameters = {**KEYS, "service": service, **({"token": token} if token else {})}
    assert SigV4().signed(request, parameters, STAMP)["Authorization"] == botocores(request, parameters, STAMP)


def test_a_blank_of_a_form_in_a_query_is_a_blank() -> None:
    plus, percent = (SigV4().signed(Request("GET", url, (), b""), {**KEYS, "service": "sts"}, STAMP) for url in URLS)
    assert plus == percent


URLS = ("https://host.example/?a=b+c", "https://host.example/?a=b%20c")


# --- moto -------------------------------------------------------------------------------------------------------------

#: moto's server, with signatures checked once the user and its key are there.
MOTO = """
import json, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.core import set_initial_no_auth_action_count
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)
"""
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, dict[str, str]]]:
    """The URL, and the key of a user who may do everything."""
    boto3 = pytest.importorskip("boto3")
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed: pip install 'authflow-signers[test]'")
    with tempfile.TemporaryDirectory(prefix="moto-") as name:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-c", MOTO, str(port)]
        with serving(command, {"INITIAL_NO_AUTH_ACTION_COUNT": "7"}, Path(name) / "log", f"{url}/moto-api/"):
            how = {"endpoint_url": url, "region_name": "eu-central-1"}
            iam = boto3.client("iam", aws_access_key_id="root", aws_secret_access_key="root", **how)
            s3 = boto3.client("s3", aws_access_key_id="root", aws_secret_access_key="root", **how)
            iam.create_user(UserName="alice")
            iam.put_user_policy(UserName="alice", PolicyName="all", PolicyDocument=json.dumps(POLICY))
            iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(POLICY))
            iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=json.dumps(POLICY))
            key = iam.create_access_key(UserName="alice")["AccessKey"]
            s3.create_bucket(Bucket="box", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
            s3.put_object(Bucket="box", Key="first", Body=b"one")  # the last that needs no signature
            yield url, {"key_id": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


def file(url: str, service: str = "s3") -> dict[str, Any]:
    given = {"key": "{key_id}", "secret": "{secret_key}", "region": "eu-central-1", "service": service}
    return {
        "name": "bucket",
        "base_url": f"{url}/",
        "start": "signed_in",
        "identity": ["key_id"],
        "credentials": {"key_id": {}, "secret_key": {"secret": True}},
        "sign": {"aws-sigv4": given},
        "states": {"signed_in": {"present": {}, "rejected": "refused"}, "refused": {"fail": "No."}},
        "answers": {"rejected": {"status": 403}},
    }


@pytest.mark.slow
@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
def test_moto_takes_what_every_client_signs(client: Driver, moto: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    url, keys = moto
    one = AuthSession(file(url), **keys)
    kinds = client.replayable
    for number, body in enumerate(kinds.values()):
        place = f"{url}/box/{client.name} {number}/%C3%A9%2B"
        assert client.call(one, place.replace(" ", "%20"), "PUT", **body(b"0123456789", tmp_path)).status == 200
    assert client.call(one, f"{url}/box?list-type=2&prefix={client.name}%20&max-keys=2").status == 200
    assert client.call(one, f"{url}/box/first", "DELETE").status in (200, 204)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["key_id", "secret_key"])
def test_moto_refuses_another_key(wrong: str, moto: tuple[str, dict[str, str]]) -> None:
    url, keys = moto
    with pytest.raises(CredentialsRefused):
        DRIVERS[0].call(AuthSession(file(url), **{**keys, wrong: "AKIAWRONGWRONGWRONG"}), f"{url}/box?list-type=2")


@pytest.mark.slow
def test_a_service_signs_with_what_another_gave(moto: tuple[str, dict[str, str]]) -> None:
    """The file of cases/notation/sigv4.toml: temporary keys from one service sign for another."""
    url, keys = moto
    sign = {"key": "{key_id}", "secret": "{secret_key}", "region": "eu-central-1", "service": "sts"}
    brought = {
        "AccessKeyId": "{temporary_id}",
        "SecretAccessKey": "{temporary_key}",
        "SessionToken": "{access}",
        "Expiration": "{expires_at:time}",
    }
    told = "".join(f"{{_}}<{name}>{value}</{name}>" for name, value in brought.items()) + "{_}"
    arn = "arn:aws:iam::123456789012:role/reader"
    form = {"Action": "AssumeRole", "RoleArn": arn, "RoleSessionName": "authflow", "Version": "2011-06-15"}
    own = {"key": "{temporary_id}", "secret": "{temporary_key}", "token": "{access}", "region": "eu-central-1"}
    whole = {
        **file(url),
        "start": "signed_out",
        "sign": {},
        "exchanges": {
            "assume": {
                "request": {"url": f"{url}/", "form": form, "headers": {"Accept": "application/json"}},
                "sign": {"aws-sigv4": sign},
                "answers": {
                    "granted": {"status": 200, "text": told},
                    "denied": {"status": 403},
                },
            }
        },
        "states": {
            "signed_out": {"send": "assume", "granted": "signed_in", "denied": "refused"},
            "signed_in": {"present": {"sign": {"aws-sigv4": {**own, "service": "s3"}}}, "expired": "signed_out"},
            "refused": {"fail": "No."},
        },
        "answers": {},
    }
    one = AuthSession(whole, **keys)
    assert [DRIVERS[0].call(one, f"{url}/box?list-type=2").status for _ in range(2)] == [200, 200]


# --- clocks and payloads ----------------------------------------------------------------------------------------------


@pytest.fixture
def skewed() -> Iterator[tuple[Listener, list[Came]]]:
    """A server that refuses what was not signed within five minutes of its own time, as S3 does."""
    came: list[Came] = []

    def says(one: Came) -> Says:
        came.append(one)
        at = datetime.datetime.strptime(one.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        return Says(200 if abs(at.timestamp() - time.time()) < 300 else 403)

    with listening(says) as listener:
        yield listener, came


@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("ahead", [-4000.0, 4000.0])
def test_a_clock_that_is_wrong_costs_one_request(client: Driver, ahead: float, skewed: Any) -> None:
    listener, came = skewed
    one = AuthSession(file(listener.url), key_id="k", secret_key="s", clock=lambda: time.time() + ahead)
    assert [client.call(one, f"{listener.url}/box/a").status for _ in range(2)] == [200, 200]
    assert len(came) == 3


def test_a_refusal_at_the_right_time_is_no_matter_of_clocks() -> None:
    signer, signing = SigV4(), Signing({**KEYS, "service": "s3"}, {}, 1_440_938_160.0)
    request = Request("GET", "https://host.example/", (("X-Amz-Date", STAMP),), b"")
    for date, wrong in (("Sun, 30 Aug 2015 12:39:00 GMT", False), ("Sun, 30 Aug 2015 12:59:00 GMT", True)):
        assert signer.heard(Answer(403, (("Date", date),)), request, signing) is wrong


def test_a_streams_payload_is_not_signed_and_said_to_be_so() -> None:
    for body, parameters in ((None, {}), (b"bytes", {"payload": "unsigned"})):
        request = Request("PUT", "https://host.example/a", (), body)
        headers = SigV4().signed(request, {**KEYS, "service": "s3", **parameters}, STAMP)
        assert headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
