"""The session manager: what a session holds, when it is renewed, and what a request carries. Bottom to top:

    token              when a token was granted, when it ends, and when it should be renewed
    records            what is kept of a login: a state and its values; what was refused
    fingerprints       what tells two secrets apart, and is no test for a guess
    identity           whose login it is: settings and credentials made complete, and the records' keys
    claims             what a store gives, judged before it is used                         ← another's token stops here
    trust              to which origins the token, and to which the password, may go
    grants             a record made ready to be laid over requests
    jwt_verification   is the token one that the vendor's published keys have signed?
    signing            a signature on each request, and what answers say about it
    advice             what to do about what went wrong: the end of a message
    environment        what it works with beside vendor and store: clock, senders, hooks, the time-out
    exchanges          one exchange: rendered, sent to a trusted origin, judged              ← passwords leave here
    people, browser    a person is asked: at this terminal, at a browser
    waiting            for a vendor that is not done yet, and for a person
    stored             the records in the store: locked, loaded, kept
    refusals           what was refused is not sent again                                   ← no refused password twice
    at_rest            what is kept where a renewal ends
    codes              one-time codes: none is sent twice
    rotation           what is known of a refresh token            ← no refresh token twice
    run                the flow, run once: exchange ▸ keep
    renewal            one renewal, under the store's lock                                   ← no refresh token twice
    watchdog           one thread for all deadlines; Ctrl-C held back for a moment
    workers            a few threads, for those who may not block and for what is renewed ahead
    single_flight      of many who want the same work done, one does it
    backoff            how long the vendor is left alone after a failure
    behind             what good answers bring anew, stored behind those who use it
    observers          who hears of renewals
    cache              the grants of a session: fresh, renewed ahead, waited for
    manager            what adapters ask: `authorize`, `on_response`                         ← a 401 is judged here

No lock is held while anybody waits for the network. Nothing here knows an HTTP library.
"""

from authflow.manager.claims import Claims
from authflow.manager.environment import Environment, NoAnswer, Sender, TooLarge, pause
from authflow.manager.exchanges import keys_read
from authflow.manager.fingerprints import fingerprint_for
from authflow.manager.grants import ANONYMOUS, NEVER_FRESH, Grant
from authflow.manager.identity import answered, check_identity, complete, identity_of, origins, servers
from authflow.manager.manager import Authorization, SessionManager
from authflow.manager.people import Ask, terminal, without_browser
from authflow.manager.records import Record
from authflow.manager.signing import MOST_SENDS, Signers, laid_over
from authflow.manager.single_flight import Flight, Flights
from authflow.manager.token import ADVISORY_PART, Token
from authflow.manager.trust import check_settings, presents_at, sends_to
from authflow.manager.waiting import asking
from authflow.manager.watchdog import call_at

__all__ = [
    "ADVISORY_PART",
    "ANONYMOUS",
    "MOST_SENDS",
    "NEVER_FRESH",
    "Ask",
    "Authorization",
    "Claims",
    "Environment",
    "Flight",
    "Flights",
    "Grant",
    "NoAnswer",
    "Record",
    "Sender",
    "SessionManager",
    "Signers",
    "Token",
    "TooLarge",
    "answered",
    "asking",
    "call_at",
    "check_identity",
    "check_settings",
    "complete",
    "fingerprint_for",
    "identity_of",
    "keys_read",
    "laid_over",
    "origins",
    "pause",
    "presents_at",
    "sends_to",
    "servers",
    "terminal",
    "without_browser",
]
