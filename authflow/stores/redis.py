"""Records of a fleet, in Redis.

    PREFIX + KEY             a hash: revision, data (base64, so that clients that decode what they read serve too)
    PREFIX + KEY + ":lock"   redis-py's lock, which expires after its limit whatever becomes of its holder

Every command touches one key only, so one server, Sentinel and Cluster are alike. Comparing the revision and
replacing the record is one script: a holder that was paused past its limit gets `Conflict`. The script also knows its
own revision again, so that a repeat after a lost reply does not conflict with itself.

Redis acknowledges before replicas have a write: a failover may lose the last record or a lock. Then the revision
protects what is newer, and at worst a login is done again.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from authflow.errors import ConfigurationError, StoreError, forget_locals
from authflow.sealed import Held, sealed_call
from authflow.stores.base import Conflict, LockTimeout, Stored

__all__ = ["RedisStore"]

_log = logging.getLogger("authflow")
_TIMEOUT = 5.0
_POLL = 0.03
_LONGEST_LIFETIME = 10 * 365 * 86400.0

_COMPARE_AND_SET = """
local present = redis.call('HGET', KEYS[1], 'revision')
if present ~= ARGV[2] then
    if (present or '') ~= ARGV[1] then return 0 end
    redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'data', ARGV[3])
end
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""


def open_url(url: str) -> RedisStore:
    """The store that `store="redis"`, or a URL with that scheme, stands for."""
    if "://" not in url:
        raise ConfigurationError(
            f"{re.split('[?:]', url)[0]!r} needs its address: redis://host:6379/0, rediss://… or unix:///path/to/socket."
        )
    return RedisStore(url)


class RedisStore:
    """Keeps records under keys that begin with `prefix`; one whose `lifetime` has passed is dropped by Redis.

    `source` is a URL (`redis://`, `rediss://`, `unix://`), a client of redis-py (also Sentinel's `master_for(…)` and
    `RedisCluster`), or a function that makes one. The connections of a client made from a URL answer within 5 seconds
    or fail, unless the URL says otherwise (`?socket_timeout=2`). A store that was given a client cannot be pickled.
    """

    #: Several users may reach it.
    shared = True

    @sealed_call
    def __init__(self, source: str | Any | Callable[[], Any], *, prefix: str = "authflow:") -> None:
        if type(source).__module__.startswith("redis.asyncio"):
            raise ConfigurationError(
                "Give a client of redis, not of redis.asyncio: a store is synchronous, and blocks no event loop."
            )
        self._source = Held(source)
        self._prefix = prefix
        self._client = Held(_client(source) if isinstance(source, str) else None)

    def load(self, key: str) -> Stored | None:
        """The record under `key`, or None. Raises `StoreError`."""
        with self._failing("read"):
            revision, data = self._redis().hmget(self._prefix + key, ["revision", "data"])
        if revision is None or data is None:
            return None
        try:
            return Stored(
                base64.b64decode(data, validate=True), revision if isinstance(revision, str) else revision.decode()
            )
        except ValueError:
            raise StoreError(f"{self._prefix}{key} in {self!r} is not a record of authflow: delete it.") from None

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Replace the record whose revision is `revision`; return the new one. Raises `Conflict`, `StoreError`."""
        new = secrets.token_hex(8)
        expiry = "" if lifetime is None else max(1, int(min(lifetime, _LONGEST_LIFETIME) * 1000))
        with self._failing("written"):
            done = self._redis().eval(
                _COMPARE_AND_SET, 1, self._prefix + key, revision or "", new, base64.b64encode(data), expiry
            )
        if not done:
            raise Conflict(f"The record {self._prefix}{key} has changed meanwhile: load it again.")
        return new

    def delete(self, key: str) -> None:
        """Remove the record under `key`, if there is one. Raises `StoreError`."""
        with self._failing("written"):
            self._redis().delete(self._prefix + key)

    @contextmanager
    def lock(self, key: str, *, limit: float, wait: float) -> Iterator[None]:
        """Keep the whole fleet out of `key`, for `limit` seconds at most.

        Raises `LockTimeout` after `wait` seconds, `StoreError` when Redis cannot be reached.
        """
        name, owner = f"{self._prefix}{key}:lock", os.getpid()
        with self._failing("locked"):
            lock = self._redis().lock(
                name, timeout=max(limit, 0.001), blocking_timeout=max(wait, 0.0), sleep=_POLL, thread_local=False
            )
            if not lock.acquire():
                raise LockTimeout(f"Others kept the lock {name} for longer than {wait:g} s: try again later.")
        try:
            yield
        finally:
            if os.getpid() == owner:
                _release(lock)

    def __getstate__(self) -> Held:
        source = self._source.it
        if not (isinstance(source, str) or callable(source)):
            raise TypeError(
                "A RedisStore that was given a client cannot be pickled: give a URL, or a function that makes one."
            )
        return Held((source, self._prefix))

    def __setstate__(self, state: Held) -> None:
        self.__init__(state.it[0], prefix=state.it[1])  # type: ignore[misc]

    def __repr__(self) -> str:
        source = self._source.it
        where = type(source).__name__
        if isinstance(source, str):
            parts = urlsplit(source)
            where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return f"RedisStore({where}, prefix={self._prefix!r})"

    def _redis(self) -> Any:
        if self._client.it is None:
            self._client = Held(self._source.it() if callable(self._source.it) else self._source.it)
        return self._client.it

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except (RedisError, OSError) as error:
            forget_locals(error)  # those of redis know its password
            raise StoreError(
                f"Tokens cannot be {what} in {self!r} ({type(error).__name__}): see that Redis runs, "
                "can be reached from here, and accepts this user."
            ) from error


def _client(url: str) -> Any:
    try:
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigurationError("A Redis store needs redis: pip install 'authflow-http[redis]'.") from error
    try:
        # One repeat, at once: a broken connection is often found out only when it is used.
        return redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(ConstantBackoff(0.05), 1, supported_errors=(redis.ConnectionError,)),
            retry_on_error=[redis.ConnectionError],
        )
    except ValueError:
        # The cause is left out: it quotes the URL, password and all.
        raise ConfigurationError(
            "This is not the URL of a Redis: redis://user:password@host:6379/0, rediss://… or unix:///path/to/socket; "
            "characters such as '/', '@' and '#' in a password are written %2F, %40, %23."
        ) from None


def _release(lock: Any) -> None:
    # How the holder's work ended must not be hidden by this: the lock expires by itself.
    from redis.exceptions import LockError, RedisError

    try:
        lock.release()
    except LockError:
        _log.warning("The lock %s had expired before its holder was done.", lock.name)
    except (RedisError, OSError) as error:
        _log.warning("The lock %s could not be released (%s) and will expire.", lock.name, type(error).__name__)
