"""A vendor behind a private CA that asks for a client certificate: `client=` brings both, for every library."""

from __future__ import annotations

import datetime
import importlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import authflow
from tests.clients.drivers import GIVEN
from tests.trust.wire import ladder_at


@dataclass(frozen=True)
class Papers:
    """Files of certificates, in PEM: the CA's own, and another's; the server's and the client's, each with its key."""

    ca: Path
    stranger: Path
    server: Path
    client: Path


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _named("A private CA")

    def sign(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> x509.Certificate:
        built = x509.CertificateBuilder(ca_name, name, key.public_key(), x509.random_serial_number())
        built = built.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        built = built.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": is_ca, "digital_signature": not is_ca}
        built = built.add_extension(x509.KeyUsage(**usage), critical=True)
        built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        built = built.add_extension(issuer, critical=False)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (built if is_ca else built.add_extension(here, critical=False)).sign(ca_key, hashes.SHA256())

    def write(name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> Path:
        path = folder / f"{name}.pem"
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            pem += key.private_bytes(*form)
        path.write_bytes(pem)
        return path

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("server", "client")}
    return Papers(
        write("ca", sign(ca_name, ca_key, is_ca=True), None),
        write("stranger", sign(ca_name, ec.generate_private_key(ec.SECP256R1()), is_ca=True), None),
        *(write(name, sign(_named(name), key, is_ca=False), key) for name, key in keys.items()),
    )


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


@pytest.fixture
def vendor(papers: Papers) -> Iterator[str]:
    """The URL of a vendor that grants to who shows a certificate of this CA."""
    with serving(papers, ssl.CERT_REQUIRED) as url:
        yield url


@contextmanager
def serving(papers: Papers, asks: ssl.VerifyMode) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"access": "a-token", "in": 1000}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: Any) -> None:
            """A client without a certificate is none of ours."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=papers.ca)
    context.verify_mode = asks
    context.load_cert_chain(papers.server)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def client_of(library: str, papers: Papers, *, with_certificate: bool) -> Any:
    """A client as its library's users make one."""
    lib = importlib.import_module(library)
    if library.startswith("httpx"):
        context = ssl.create_default_context(cafile=papers.ca)
        if with_certificate:
            context.load_cert_chain(papers.client)
        return lib.Client(verify=context)
    client = lib.Session()
    client.verify = str(papers.ca)
    client.cert = str(papers.client) if with_certificate else None
    return client


@pytest.mark.parametrize("library", GIVEN)
def test_exchanges_show_the_clients_certificate_to_a_vendor_of_a_private_ca(
    library: str, papers: Papers, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests prefers these to a session's own
        monkeypatch.delenv(name, raising=False)
    for with_certificate in (True, False):
        with client_of(library, papers, with_certificate=with_certificate) as client:
            session = authflow.AuthSession(ladder_at(vendor), username="u", password="p", client=client)
            if with_certificate:
                assert session.token().access == "a-token"
            else:
                with pytest.raises(authflow.VendorUnavailable):
                    session.token()


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_environments_certificates_are_heeded_as_it_is_when_an_exchange_begins(
    library: str, papers: Papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    def logged_in(url: str) -> authflow.Token:
        session = authflow.AuthSession(ladder_at(url), username="u", password="p")
        assert getattr(session, library)
        return session.token()

    bundle = tmp_path / "bundle.pem"
    with serving(papers, ssl.CERT_NONE) as url:
        with pytest.raises(authflow.VendorUnavailable, match="certificate"):
            logged_in(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        with pytest.raises(authflow.VendorUnavailable, match="FileNotFoundError"):
            logged_in(url)
        bundle.write_bytes(papers.ca.read_bytes())
        assert logged_in(url).access == "a-token"
        bundle.write_bytes(papers.stranger.read_bytes())
        with pytest.raises(authflow.VendorUnavailable, match="certificate"):
            logged_in(url)
