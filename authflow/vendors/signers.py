"""Signers: what proves with each request that its sender holds a key. A vendor file names one, `sign.NAME = {…}`; a
plugin brings it.

    sign    what is added to a request           check   the vendor's side of it: is a request rightly signed?
    heard   what an answer tells a signer        keeps   what lies in the record, beside the grant: a key, say
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from authflow.http import Answer, Presentation, Request
from authflow.sealed import Sealed, sealed_value


@sealed_value
class Signing(Sealed):
    """What a request is signed with: the `parameters` of the file with their values, what the signer `kept` with the
    grant (for `check`: what the vendor remembers of it, which may be changed), and the time in epoch seconds.
    """

    parameters: Mapping[str, Any]
    kept: dict[str, Any]
    now: float


class Signer:
    """The base of all signers. A session makes one for each name that its file uses, and calls it from many threads.

    `takes` are its parameters, those that it must have first with a `!`. What it learns of servers (nonces, how far
    their clocks are off) it may remember in itself.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    #: The statuses of the answers that tell it anything (None: of all), and the headers of those that do whatever their
    #: status is. What is left out costs nothing.
    hears: ClassVar[frozenset[int] | None] = None
    hears_headers: ClassVar[tuple[str, ...]] = ()

    def sign(self, request: Request, signing: Signing) -> Presentation | Mapping[str, str] | None:
        """What is laid over a request: headers, or a `Presentation` where it stands elsewhere. The token is on the
        request already; its body is None where it cannot be seen before it is sent. Raises ConfigurationError.
        """
        raise NotImplementedError

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        """Shall the request, as it was sent, be signed anew and sent once more? Of the answer to a caller's request
        there is no body to see. A request is sent three times at most, whatever else was wrong with it.
        """
        return False

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        """For the simulator: is the request rightly signed, by the vendor's clock and with what the vendor knows? An
        `Answer` is given instead of a verdict: here is a nonce. Where this is left out, the request is signed again
        and compared, so that a signature with a time or a number of its own cannot be told from another.
        """
        raise NotImplementedError

    def keeps(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """What lies beside the grant, as JSON: made here if `stored` is empty, else what of it is good. Raises
        ValueError for what this signer has never kept: a store's word is a claim.
        """
        return {}


def hears(signer: type[Signer]) -> bool:
    """Do answers tell it anything?"""
    return signer.heard is not Signer.heard
