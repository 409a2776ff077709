"""Whose login it is, and what of a record is believed. Bottom to top:

    token              when a token was granted, when it ends, and when it should be renewed
    records            what is kept of a login: a state and its values; what was refused
    clocks             by how much a clock is ahead of the one that the refusals go by
    fingerprints       what tells two secrets apart, and is no test for a guess
    identity           whose login it is: settings and credentials made complete, and the records' keys
    backoff            how long the vendor is left alone after a failure
    trust              to which origins the token, and to which the password, may go
    claims             what a store gives, judged before it is used                         ← another's token stops here
    grants             a record made ready to be laid over requests
    stored             the records in the store: locked, loaded, kept

Nothing here sends anything.
"""

from authflow.accounts.backoff import SLACK, Backoff, by_own_clock, may_cure, with_cure
from authflow.accounts.claims import Claims
from authflow.accounts.clocks import Met, met, when, with_clock
from authflow.accounts.fingerprints import fingerprint_for, label, label_key
from authflow.accounts.grants import ANONYMOUS, EMPTY, NEVER_FRESH, Grant, presented
from authflow.accounts.identity import (
    Identity,
    answered,
    check_identity,
    complete,
    identified,
    identity_of,
    origins,
    proved_by_use,
    secrets,
    servers,
    slot_key,
    unasked,
)
from authflow.accounts.records import (
    FORGOTTEN_AFTER,
    MOST_AN_HOUR,
    MOST_SLOTS,
    Record,
    Refusals,
    same_grant,
    spent_fingerprint,
)
from authflow.accounts.stored import KEPT_FOR, Kept, Overtaken, StoredRecords, Unsaved
from authflow.accounts.token import Freshness, Token, Windows, expiry
from authflow.accounts.trust import check_settings, leads, presents_at, sends_to

__all__ = [
    "ANONYMOUS",
    "EMPTY",
    "FORGOTTEN_AFTER",
    "KEPT_FOR",
    "MOST_AN_HOUR",
    "MOST_SLOTS",
    "NEVER_FRESH",
    "SLACK",
    "Backoff",
    "Claims",
    "Freshness",
    "Grant",
    "Identity",
    "Kept",
    "Met",
    "Overtaken",
    "Record",
    "Refusals",
    "StoredRecords",
    "Token",
    "Unsaved",
    "Windows",
    "answered",
    "by_own_clock",
    "check_identity",
    "check_settings",
    "complete",
    "expiry",
    "fingerprint_for",
    "identified",
    "identity_of",
    "label",
    "label_key",
    "leads",
    "may_cure",
    "met",
    "origins",
    "presented",
    "presents_at",
    "proved_by_use",
    "same_grant",
    "secrets",
    "sends_to",
    "servers",
    "slot_key",
    "spent_fingerprint",
    "unasked",
    "when",
    "with_clock",
    "with_cure",
]
