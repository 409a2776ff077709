"""The README, followed to the letter: its files, its keys, and each caller with the lines that stand there.

Salesforce comes as its callouts do, over TLS with a client's certificate through the nginx of the page, where nginx is
installed.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from tests.servers import PASSWORD, Supplier

from .conftest import Gateway, command, running
from .test_operation import CURL, NODE, free_port

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PUBLIC = "https://gateway.example.com"
#: What a callout of Apex sends beside the request's own headers.
SALESFORCE = {
    "User-Agent": "SFDC-Callout/62.0",
    "SFDC_STACK_DEPTH": "1",
    "Accept": "text/html, image/gif, image/jpeg, */*; q=0.2",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Connection": "keep-alive",
}
MASHUP = {"User-Agent": "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.S)


def told(pattern: str, text: str = README) -> tuple[str, ...]:
    found = re.search(pattern, " ".join(text.split()))
    assert found is not None, f"the README does not say {pattern}"
    return found.groups()


@pytest.fixture
def gateway(supplier: Supplier, tmp_path: Path) -> Iterator[Gateway]:
    """By the README's two files: only the supplier is one on this machine, and the port is free."""
    accounts, config = blocks("toml")[:2]
    here = f'base_url = "{supplier.base_url}"\ndata_origin = "{supplier.data_url}"\n'
    routes = config[config.index("[[routes]]") :]
    with running(tmp_path, accounts + here, routes, SUPPLIER_PASSWORD=PASSWORD) as gateway:
        yield gateway


def curl(*words: str, **headers: str) -> str:
    sent = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    line = [str(CURL), "-sS", "--http1.1", "--noproxy", "*", *sent, *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def certificate(folder: Path, name: str) -> Path:
    """A certificate with its key, that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    whose = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    built = x509.CertificateBuilder(whose, whose, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / f"{name}.key").write_bytes(plain)
    return folder / f"{name}.pem"


def in_front(stack: ExitStack, gateway: Gateway) -> list[str]:
    """The README's nginx; what curl needs to come through it as a known client."""
    (site,) = blocks("nginx")
    port, folder = free_port(), gateway.folder
    server, caller = certificate(folder, "gateway.example.com"), certificate(folder, "salesforce.example")
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("http://127.0.0.1:8080", gateway.url)
    site = site.replace("/etc/ssl/gateway.pem", str(server)).replace("/etc/ssl/gateway.key", str(server)[:-3] + "key")
    site = site.replace("/etc/ssl/callers.pem", str(caller))
    assert "/etc/" not in site
    paths = "client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;"
    (folder / "nginx.conf").write_text(
        f"daemon off; pid nginx.pid; error_log stderr crit; events {{}}\nhttp {{ access_log off; {paths}\n{site} }}",
        "utf-8",
    )
    proxy = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    stack.callback(proxy.wait, timeout=20)
    stack.callback(proxy.terminate)
    tls = ["--cacert", str(server), "--cert", str(caller), "--key", str(caller)[:-3] + "key"]
    return [*tls, "--connect-to", f"gateway.example.com:443:127.0.0.1:{port}", "--retry", "9", "--retry-connrefused"]


@pytest.mark.program
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_salesforce_step_by_step(gateway: Gateway, supplier: Supplier) -> None:
    walk = README.partition("## Salesforce, step by step")[2].partition("\n## ")[0]
    header, credential, formula = told(r"custom header `([\w-]+)` = `\{!\$Credential\.(\w+)\.(\w+)\}`", walk)
    (parameter,) = told(r"parameter `(\w+)` = `agw_…`", walk)
    (named,) = told(r"\*\*Named Credential\*\*: URL `([^`]+)`", walk)
    callout, path = told(r"setEndpoint\('callout:(\w+)([^']*)'\)", walk)
    (method,) = told(r"setMethod\('(\w+)'\)", walk)
    (field,) = told(r"\.get\('(\w+)'\)", walk)
    assert (formula, credential, named.startswith(f"{PUBLIC}/")) == (parameter, callout, True)
    sent = {**SALESFORCE, header: gateway.key}
    with ExitStack() as stack:
        plain = named.replace(PUBLIC, gateway.url)
        assert isinstance(json.loads(curl("-X", method, plain + path, **sent))[field], str)
        if NGINX is not None:
            through = in_front(stack, gateway)
            assert isinstance(json.loads(curl(*through, "-X", method, named + path, **sent))[field], str)
            strangers = curl(*through, "-o", os.devnull, "-w", "%{http_code}", named + path, **SALESFORCE)
            assert strangers == "401"
    assert supplier.counts["login"] == 1
    assert '"caller": "salesforce"' in gateway.log()
    assert PASSWORD not in gateway.log()


def row(caller: str) -> str:
    """How, in the README's table of callers."""
    return next(line for line in README.splitlines() if line.startswith(f"| {caller} |")).split("|", 2)[2]


def line_of(caller: str, gateway: Gateway) -> str:
    (line,) = re.findall(r"`([^`]+)`", row(caller))
    return str(line).replace(PUBLIC, gateway.url)


@pytest.mark.program
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_the_line_for_curl(gateway: Gateway) -> None:
    env = {"PATH": os.environ["PATH"], "KEY": gateway.key, "NO_PROXY": "*"}
    done = subprocess.run(["sh", "-c", line_of("curl", gateway)], env=env, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["id"] == "42", done.stderr


@pytest.mark.program
@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_line_for_node(gateway: Gateway) -> None:
    line = line_of("Node", gateway)
    script = f"const key = process.env.KEY; const answer = {line}; console.log(await answer.text());"
    words = [str(NODE), "--input-type=module", "--eval", script]
    env = {"PATH": os.environ["PATH"], "KEY": gateway.key}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["id"] == "42", done.stderr


@pytest.mark.program
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_the_line_for_power_query(gateway: Gateway) -> None:
    line = line_of("Power Query", gateway)
    url, name = told(r'Json\.Document\(Web\.Contents\("([^"]+)", \[Headers = \[#"([\w-]+)" = Key\]\]\)\)', line)
    words = ("--compressed", url)  # Power Query takes gzip and deflate, and asks twice
    for _ in range(2):
        assert json.loads(curl(*words, **MASHUP, **{name: gateway.key}))["id"] == "42"


def test_an_agents_sandbox(gateway: Gateway) -> None:
    """Its program knows a base URL and a key of its own, sent as such programs do; nothing of the supplier."""
    (base,) = told(r"base URL `([^`]+)`", row("an agent's sandbox"))
    made = command(gateway.folder, "key", "add", "run-1", env=gateway.env).stdout.strip()
    path = urlsplit(base).path
    program = (
        "import json, os, urllib.request as r\n"
        "headers = {'Authorization': 'Bearer ' + os.environ['API_KEY']}\n"
        "opener = r.build_opener(r.ProxyHandler({}))\n"
        "said = opener.open(r.Request(os.environ['BASE_URL'] + '/deliveries/42', headers=headers), timeout=60)\n"
        "print(json.dumps([json.load(said)['id'], dict(said.headers), dict(os.environ)]))\n"
    )
    env = {"BASE_URL": gateway.url + path, "API_KEY": made}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)

    assert json.loads(run().stdout)[0] == "42"
    assert PASSWORD not in run().stdout
    assert command(gateway.folder, "key", "revoke", "run-1", env=gateway.env).returncode == 0
    assert "HTTP Error 401" in run().stderr


def test_any_server_takes_the_factory(
    gateway: Gateway, supplier: Supplier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, variable = told(r"takes `([\w:]+)` as a factory; it reads the file that `(\w+)` names")
    module, _, name = where.partition(":")
    monkeypatch.setenv(variable, str(tmp_path / "gateway.toml"))
    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    factory = getattr(importlib.import_module(module), name)
    with TestClient(factory(), headers={"X-Gateway-Key": gateway.key}) as client:
        assert client.get("/supplier/deliveries/42").json()["id"] == "42"
        assert client.get("/supplier/deliveries/42", headers={"X-Gateway-Key": "agw_no"}).status_code == 401


def test_the_health_check_of_the_image(gateway: Gateway) -> None:
    (image,) = blocks("dockerfile")
    ((program, url),) = re.findall(r'HEALTHCHECK CMD python -c "(.*?(http://[\d.:]+).*)"', image)
    words = [sys.executable, "-c", program.replace(url, gateway.url)]
    assert subprocess.run(words, env={"no_proxy": "*"}, timeout=60).returncode == 0
    gone = [sys.executable, "-c", program.replace(url, f"http://127.0.0.1:{free_port()}")]
    assert subprocess.run(gone, env={"no_proxy": "*"}, capture_output=True, timeout=60).returncode == 1
