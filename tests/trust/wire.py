"""Servers that write bytes as a test says: for answers that no honest server gives."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from authflow.clients import default_sender
from authflow.http import Answer, Request
from tests.scripted import LADDER

Writes = Callable[[socket.socket], object]


@contextlib.contextmanager
def writing(writes: Writes, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that reads a request and lets `writes` answer; then it closes the connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.settimeout(0.05)
        ended = threading.Event()

        def answer(connection: socket.socket) -> None:
            connection.settimeout(20)
            with contextlib.suppress(OSError), tls.wrap_socket(connection, True) if tls else connection as stream:
                _read_request(stream)
                writes(stream)

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int((sizes or [b"0"])[0]):
        body += _some(connection)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the client has gone")
    return data


def saying(*parts: bytes) -> Writes:
    """Writes these bytes, and no more."""
    return lambda connection: connection.sendall(b"".join(parts))


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode()


class Asking:
    """A library's own sender that counts what it sends, for sessions with `client=`."""

    def __init__(self, library: str) -> None:
        self._sender = default_sender(library)
        self.sent: list[Request] = []

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.sent.append(request)
        return self._sender.exchange(request, timeout)


def ladder_at(url: str, **more: Any) -> dict[str, Any]:
    """The ladder of `scripted`, at this server."""
    return {**LADDER, "base_url": f"{url}/", **more}


def signed(path: Path, host: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> Path:
    """A certificate that signed itself, of this host, good from and until so many days from now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "acme")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    begins, ends = (now + datetime.timedelta(days=day) for day in days)
    built = built.not_valid_before(begins).not_valid_after(ends)
    here: x509.GeneralName = x509.DNSName(host)
    if host[0].isdigit():
        here = x509.IPAddress(ipaddress.ip_address(host))
    built = built.add_extension(x509.SubjectAlternativeName([here]), critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(built.sign(key, hashes.SHA256()).public_bytes(form[0]) + key.private_bytes(*form))
    return path
