"""Fingerprints of secrets: what tells two apart, and is no test for a guess.

    slow     for stores that others may read: a stolen record must not be a fast test for guessed passwords (RFC 7914)
    bound    what of either is stored, made for one purpose: nobody makes that for another one who knows no secret
    quick    for records that never leave the process: keyed with what the process alone knows
    label    an account as logs and people see it, under a random key that lies beside the store

A secret is hashed slowly once in a process, however many sessions have it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from authflow.errors import StoreError
from authflow.stores import Conflict, MemoryStore

if TYPE_CHECKING:
    from authflow.stores import Store

log: Final = logging.getLogger("authflow")

#: The fingerprint of a secret, given the salt.
Fingerprint = Callable[[Any, bytes], str]

#: What no other process knows.
_OWN_KEY: Final = os.urandom(32)
#: Slow fingerprints that this process has made, by quick ones.
_MADE: OrderedDict[str, str] = OrderedDict()
_MOST_MADE: Final = 4096
#: Where the key of labels lies in a store.
LABELS: Final = "authflow-labels"


def quick(secret: Any, salt: bytes) -> str:
    return hmac.digest(_OWN_KEY, msgspec.json.encode([str(secret), salt.hex()]), "sha256").hex()[:32]


def slow(secret: Any, salt: bytes) -> str:
    known = quick(secret, salt)
    found = _MADE.get(known)
    if found is None:
        text = str(secret).encode("utf-8", "replace")
        found = _MADE[known] = hashlib.scrypt(text, salt=salt, n=1 << 13, r=8, p=1, dklen=16).hex()
        while len(_MADE) > _MOST_MADE:
            _MADE.popitem(last=False)
    return found


def bound(fingerprint: str, purpose: Any) -> str:
    return hmac.digest(fingerprint.encode(), msgspec.json.encode(purpose), "sha256").hex()[:32]


def fingerprint_for(store: Store) -> Fingerprint:
    """How secrets are hashed that the records of this store tell apart."""
    return quick if isinstance(store, MemoryStore) else slow


def label_key(store: Store) -> bytes:
    """The random key beside a store; this process's own where the store keeps none."""
    if isinstance(store, MemoryStore):
        return _OWN_KEY
    try:
        stored = store.load(LABELS)
        if stored is None:
            new = os.urandom(32)
            try:
                store.save(LABELS, new, None)
            except Conflict:
                stored = store.load(LABELS)
            else:
                return new
    except StoreError as error:
        log.debug("accounts are shown under this process's own key: %s", error)
        return _OWN_KEY
    return stored.data if stored is not None and len(stored.data) == 32 else _OWN_KEY


def label(key: bytes, account: str) -> str:
    return hmac.digest(key, account.encode(), "sha256").hex()[:16]
