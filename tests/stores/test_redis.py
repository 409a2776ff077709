"""What is the Redis store's own, against a real server: expiry, clients of all kinds, and servers that fail."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from typing import Any

import pytest

from authflow.errors import ConfigurationError, StoreError
from authflow.stores import Conflict, EncryptedStore, LockTimeout, RedisStore, Stored, new_key

redis = pytest.importorskip("redis", reason="redis-py is not installed")
KEY = "vendor-1"


def test_keys_have_the_prefix(redis_store: RedisStore, redis_server: Any, redis_client: Any) -> None:
    other = RedisStore(redis_server.url, prefix="mine:")
    redis_store.save(KEY, b"1", None)
    other.save(KEY, b"2", None)
    with other.lock(KEY, limit=5, wait=0), redis_store.lock(KEY, limit=5, wait=0):
        names = sorted(redis_client.keys())
    assert names == [b"authflow:vendor-1", b"authflow:vendor-1:lock", b"mine:vendor-1", b"mine:vendor-1:lock"]


def test_dead_records_expire(redis_store: RedisStore, redis_client: Any) -> None:
    revision = redis_store.save(KEY, b"1", None, lifetime=1000.0)
    assert 999_000 < redis_client.pttl(f"authflow:{KEY}") <= 1_000_000
    revision = redis_store.save(KEY, b"2", revision, lifetime=500.5)
    assert 499_000 < redis_client.pttl(f"authflow:{KEY}") <= 500_500
    revision = redis_store.save(KEY, b"3", revision)
    assert redis_client.pttl(f"authflow:{KEY}") == -1
    redis_store.save(KEY, b"4", revision, lifetime=0.0)
    give_up = time.monotonic() + 30
    while redis_store.load(KEY) is not None:
        assert time.monotonic() < give_up
        time.sleep(0.001)
    redis_store.save(KEY, b"5", None)


def test_a_lock_expires_in_the_server_by_its_limit(redis_store: RedisStore, redis_client: Any) -> None:
    with redis_store.lock(KEY, limit=7.5, wait=0):
        assert 0 < redis_client.pttl(f"authflow:{KEY}:lock") <= 7500
    assert redis_client.exists(f"authflow:{KEY}:lock") == 0


def test_one_who_was_late_is_told_so(redis_store: RedisStore, caplog: pytest.LogCaptureFixture) -> None:
    with redis_store.lock(KEY, limit=0.01, wait=0), redis_store.lock(KEY, limit=60, wait=60):
        pass
    assert "had expired" in caplog.text


def test_a_conflict_leaves_the_expiry_as_it_was(redis_store: RedisStore, redis_client: Any) -> None:
    redis_store.save(KEY, b"1", None, lifetime=1000.0)
    with pytest.raises(Conflict):
        redis_store.save(KEY, b"2", "another")
    assert redis_client.pttl(f"authflow:{KEY}") > 0


@pytest.mark.parametrize("decode", [False, True])
def test_a_ready_client(redis_server: Any, redis_client: Any, decode: bool) -> None:
    with redis.Redis.from_url(redis_server.socket_url, decode_responses=decode) as client:
        store = RedisStore(client)
        revision = store.save(KEY, data := bytes(range(256)), None)
        assert store.load(KEY) == Stored(data, revision)
        store.save(KEY, b"2", revision)
        with store.lock(KEY, limit=5, wait=0), pytest.raises(LockTimeout), store.lock(KEY, limit=5, wait=0):
            pass
        with store.lock(KEY, limit=5, wait=0):
            pass
        with pytest.raises(TypeError, match="give a URL"):
            pickle.dumps(store)


def test_a_socket(redis_server: Any, redis_store: RedisStore) -> None:
    revision = redis_store.save(KEY, b"1", None)
    assert RedisStore(redis_server.socket_url).load(KEY) == Stored(b"1", revision)


def test_a_client_for_event_loops_is_refused() -> None:
    import redis.asyncio

    with pytest.raises(ConfigurationError, match="synchronous"):
        RedisStore(redis.asyncio.Redis())


def test_a_save_whose_reply_was_lost_does_not_conflict_with_itself(redis_server: Any, redis_client: Any) -> None:
    class Repeating(redis.Redis):  # type: ignore[misc, name-defined]
        def eval(self, *given: Any) -> Any:
            super().eval(*given)
            return super().eval(*given)

    store = RedisStore(Repeating.from_url(redis_server.url))
    revision = store.save(KEY, b"1", None)
    revision = store.save(KEY, b"2", revision)
    assert store.load(KEY) == Stored(b"2", revision)
    with pytest.raises(Conflict):
        store.save(KEY, b"3", None)


def test_encryption(redis_store: RedisStore, redis_client: Any) -> None:
    EncryptedStore(redis_store, [new_key()]).save(KEY, b"s3cr3t" * 10, None)
    raw = redis_store.load(KEY)
    assert raw is not None
    assert b"s3cr3t" not in raw.data


@pytest.mark.parametrize("content", [b"!", "é".encode(), b"a"])
def test_what_is_no_record(redis_store: RedisStore, redis_client: Any, content: bytes) -> None:
    redis_client.hset(f"authflow:{KEY}", mapping={"revision": "1", "data": content})
    with pytest.raises(StoreError, match="delete it"):
        redis_store.load(KEY)
    redis_client.delete(f"authflow:{KEY}")
    redis_client.set(f"authflow:{KEY}", "text")
    for verb in (lambda: redis_store.load(KEY), lambda: redis_store.save(KEY, b"1", None)):
        with pytest.raises(StoreError):
            verb()


# Servers that fail


def everything_fails(store: RedisStore) -> list[StoreError]:
    errors = []
    for verb in (
        lambda: store.load(KEY),
        lambda: store.save(KEY, b"s3cr3t", None),
        lambda: store.delete(KEY),
        lambda: store.lock(KEY, limit=5, wait=30).__enter__(),
    ):
        with pytest.raises(StoreError) as caught:
            verb()
        assert not isinstance(caught.value, Conflict | LockTimeout)
        assert isinstance(caught.value.__cause__, redis.RedisError)
        errors.append(caught.value)
    return errors


def test_a_redis_that_is_down(own_redis: Any) -> None:
    store = RedisStore(own_redis.url.replace("://", "://user:s3cr3t@"))
    own_redis.process.kill()
    own_redis.process.wait()
    began = time.monotonic()
    for error in everything_fails(store):
        assert "see that Redis runs" in str(error)
        assert "s3cr3t" not in f"{error} {error.__cause__}"
    assert time.monotonic() - began < 4.0  # each at once, though one retries and would wait 5 s for an answer


def test_a_redis_that_comes_back(own_redis: Any) -> None:
    store = RedisStore(own_redis.url)
    revision = store.save(KEY, b"1", None)
    with redis.Redis.from_url(own_redis.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert store.load(KEY) == Stored(b"1", revision)


def test_a_connection_that_breaks_is_replaced(redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = redis_store.save(KEY, b"1", None)
    [connection] = redis_store._redis().connection_pool._available_connections
    monkeypatch.setattr(redis.Connection, "can_read", lambda *_, **__: False)  # nobody notices before it is used
    connection._sock.shutdown(socket.SHUT_RDWR)
    assert redis_store.load(KEY) == Stored(b"1", revision)


def test_a_redis_that_refuses_the_password(own_redis: Any) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", "right")
    for error in everything_fails(RedisStore(own_redis.url.replace("://", "://:s3cr3t@"))):
        assert "s3cr3t" not in f"{error} {error.__cause__}"


def test_a_redis_that_hangs() -> None:
    """It takes connections and says nothing: the time that the URL allows is kept."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = RedisStore(f"redis://127.0.0.1:{server.getsockname()[1]}?socket_timeout=0.1")
        done = threading.Event()

        def work() -> None:
            everything_fails(store)
            done.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert done.wait(60)


def test_time_limits_are_finite_unless_the_url_says_otherwise() -> None:
    for url, limit in (("redis://localhost", 5.0), ("unix:///run/x", 5.0), ("redis://localhost?socket_timeout=2", 2.0)):
        settings = RedisStore(url)._redis().connection_pool.connection_kwargs
        assert settings["socket_timeout"] == limit
        assert settings["socket_connect_timeout"] == 5.0


def test_a_redis_that_ends_while_one_holds_the_lock(own_redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    """How the holder's work ended is what comes out, not that the lock could not be given back."""
    store = RedisStore(own_redis.url)

    def fail_inside() -> None:
        with store.lock(KEY, limit=60, wait=0):
            own_redis.process.kill()
            own_redis.process.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert "will expire" in caplog.text


def test_urls_that_are_none() -> None:
    for url in ("redis://:pa/s3cr3t@host", "redis://user:s3cr3t@host:port", "redis://host:99999999/s3cr3t"):
        with pytest.raises(ConfigurationError, match="%2F") as caught:
            RedisStore(url)
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_its_repr_shows_no_password() -> None:
    shown = repr(RedisStore("rediss://user:s3cr3t@host:1/2?password=s3cr3t"))
    assert shown == "RedisStore(rediss://host:1/2, prefix='authflow:')"
