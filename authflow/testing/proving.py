"""What a file's signers sign, seen from the vendor's side: each request is checked with what the vendor knows.

    who signed it is known          by a token, by credentials in the request         ─▶ checked with theirs
    nothing in the request says it  keys that an answer handed out, say               ─▶ with each one's of late

A signer without a `check` signs the request once more, without what it adds, and both are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from authflow.errors import ConfigurationError
from authflow.http import Answer, Presentation, Request
from authflow.templates import Sign, Unbound, Unfit
from authflow.testing.signatures import carries, without
from authflow.vendors import Given, Signer, Signing, Values, Vendor


class Challenged(Exception):
    """Not yet: the vendor's answer says what it wants in the signature."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("challenged")
        self.answer = answer


class Proving:
    """Checks the signatures of one vendor's requests. `turn` makes its nonces new, as a restart does."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self.turn()

    def turn(self) -> None:
        self._signers = {name: signer() for name, signer in self._vendor.signers.items()}

    def proves(self, sign: Sign, request: Request, known: Mapping[str, Any], bound: dict[str, Any], now: float) -> bool:
        """Is the request rightly signed, with what is `known`? `bound`: what the vendor remembers of the grant. Raises
        Challenged.
        """
        try:
            parameters = sign.parameters.render(Values(self._vendor, Given(dict(known)), {}, now))
        except (Unbound, Unfit):
            return False
        signer, signing = self._signers[sign.name], Signing(parameters, bound, now)
        request = request.replace(body=request.body or b"")
        if type(signer).check is Signer.check:
            return _made_again(signer, request, signing)
        verdict = signer.check(request, signing)
        if isinstance(verdict, Answer):
            raise Challenged(verdict)
        return verdict

    def unproved(self, request: Request, known: Mapping[str, Any], signs: Iterable[Sign], now: float) -> Iterator[str]:
        """The signers whose signatures of a request cannot be told from others'."""
        for sign in signs:
            signer = self._signers[sign.name]
            try:
                parameters = sign.parameters.render(Values(self._vendor, Given(dict(known)), {}, now))
                signing = Signing(parameters, {**signer.keeps({})}, now)
                if type(signer).check is Signer.check and not _steady(signer, request, signing):
                    yield sign.name
            except (Unbound, Unfit, ConfigurationError, ValueError, KeyError, TypeError):
                continue


def _signed(signer: Signer, request: Request, signing: Signing) -> Presentation:
    said: Any = signer.sign(request, signing)
    return said if isinstance(said, Presentation) else Presentation(headers=tuple((said or {}).items()))


def _made_again(signer: Signer, request: Request, signing: Signing) -> bool:
    try:
        whole = _signed(signer, request, signing)
        bare = without(request, whole)
        if bare == request:
            return whole == Presentation()  # it adds nothing, or the request has nothing of it
        ways = [bare.replace(body=bare.body or b""), bare.replace(body=None)]  # of a stream a session has seen nothing
        return any(carries(request, _signed(signer, way, signing)) for way in ways) or not _steady(
            signer, bare, signing
        )
    except (ConfigurationError, ValueError, KeyError, TypeError):
        return False


def _steady(signer: Signer, request: Request, signing: Signing) -> bool:
    """Does the same request get the same signature later on?"""
    return _signed(signer, request, signing) == _signed(signer, request, signing.replace(now=signing.now + 1.5))
