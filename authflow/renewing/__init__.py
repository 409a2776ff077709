"""One renewal, from the lock to the grant that is kept. Bottom to top:

    advice             what to do about what went wrong: the end of a message
    signing            a signature on each request, and what answers say about it
    environment        what it works with beside vendor and store: clock, senders, hooks, the time-out
    jwt_verification   is the token one that the vendor's published keys have signed?
    exchanges          one exchange: rendered, sent to a trusted origin, judged              ← passwords leave here
    people, browser    a person is asked: at this terminal, at a browser
    waiting            for a vendor that is not done yet, and for a person
    watchdog           one thread for all deadlines; Ctrl-C held back for a moment
    refusals           what was refused is not sent again                                   ← no refused password twice
    at_rest            what is kept where a renewal ends
    codes              one-time codes: none is sent twice
    rotation           what is known of a refresh token                                      ← no refresh token twice
    run                the flow, run once: exchange ▸ keep
    renewal            one renewal, under the store's lock                                   ← no refresh token twice

Who may renew, and who waits for whom, is decided a room above.
"""

from authflow.renewing.environment import ClientRaised, Environment, NoAnswer, Sender, TooLarge, pause
from authflow.renewing.exchanges import ExchangeSender, keys_read, masked_reason
from authflow.renewing.jwt_verification import Verifier
from authflow.renewing.people import keep_typed, terminal, typed, without_browser
from authflow.renewing.refusals import Guard, refused
from authflow.renewing.renewal import Renewal
from authflow.renewing.signing import MOST_SENDS, Signers, laid_over, of_request
from authflow.renewing.waiting import asking
from authflow.renewing.watchdog import call_at

__all__ = [
    "MOST_SENDS",
    "ClientRaised",
    "Environment",
    "ExchangeSender",
    "Guard",
    "NoAnswer",
    "Renewal",
    "Sender",
    "Signers",
    "TooLarge",
    "Verifier",
    "asking",
    "call_at",
    "keep_typed",
    "keys_read",
    "laid_over",
    "masked_reason",
    "of_request",
    "pause",
    "refused",
    "terminal",
    "typed",
    "without_browser",
]
