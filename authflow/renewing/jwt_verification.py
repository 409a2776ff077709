"""`[verify]`: a JWT is checked against the vendor's published keys before it is kept (RFC 7515, RFC 7517, RFC 7519
§7.2).

Without `[verify]` a token is opaque, and its `exp` a hint for scheduling. With it, a token that does not verify is an
error and is never used. Only public-key algorithms count: `none` and shared secrets prove nothing against published
keys. The keys are fetched through the session's own client, kept for five minutes, and fetched anew when an unknown
one signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from authflow.clock import monotonic
from authflow.errors import ConfigurationError, UntrustedOrigin, VendorAnswerError, VendorUnavailable
from authflow.http import Request, origin_of, without_query
from authflow.renewing.environment import NoAnswer, Sender, TooLarge
from authflow.templates import number
from authflow.vendors import Values

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEYS_LIVE: Final = 300.0
#: By how many seconds the vendor's clock may differ from this one's.
LEEWAY: Final = 60.0


class Verifier:
    """Checks the tokens of one session. Thread-safe."""

    def __init__(self, sender: Callable[[], Sender], clock: Callable[[], float]) -> None:
        self._sender, self._clock = sender, clock
        self._keys: dict[str, Any] = {}

    def verify(self, token: Any, values: Values, deadline: float) -> None:
        """Raises VendorAnswerError if the token does not verify, VendorUnavailable if the keys cannot be had."""
        wanted = values.vendor.verify
        if wanted is None:
            return
        try:
            import cryptography  # noqa: F401
        except ImportError:
            raise ConfigurationError("[verify] needs cryptography: pip install 'authflow-http[encrypted]'") from None
        import jwt

        vendor = values.vendor
        keys = self._client(wanted.jwks_url.render(values, values.given_base_url), values, deadline)
        issuer = None if wanted.issuer is None else wanted.issuer.render(values)
        audience = None if wanted.audience is None else wanted.audience.render(values)
        # The clock is the session's, not PyJWT's, so the times are compared here.
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]}
        options["verify_aud"] = audience is not None
        try:
            key = keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=issuer,
                audience=audience,
                options=options,
            )
            self._check_times(claims)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            message = f"{vendor.title}: the token does not verify: {type(error).__name__}: {error}"
            raise VendorAnswerError(message, vendor=vendor.name) from None

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        if number(claims["exp"]) + LEEWAY <= now:  # `number` takes nothing that is not finite
            raise ValueError("it has expired")
        if number(claims.get("nbf", 0)) - LEEWAY > now:
            raise ValueError("it is not valid yet")

    def _client(self, url: str, values: Values, deadline: float) -> Any:
        if url not in self._keys:
            try:
                secure = origin_of(url).trusted(values.vendor.insecure_http)
            except ValueError:
                secure = False
            if not secure:
                message = f"{values.vendor.title}: keys are fetched over https, not from {without_query(url)}"
                raise UntrustedOrigin(message, vendor=values.vendor.name)
            self._keys[url] = _client_class()(url, self._sender)
        client = self._keys[url]
        client.where = values.vendor.name, deadline
        return client


def _client_class() -> Any:
    import jwt

    class Keys(jwt.PyJWKClient):
        """PyJWT's client, which keeps and picks keys, fetching through the session's own."""

        where: tuple[str, float] = ("", 0.0)

        def __init__(self, url: str, sender: Callable[[], Sender]) -> None:
            super().__init__(url, lifespan=KEYS_LIVE, cooldown_duration=0)
            self._fetches = sender

        def fetch_data(self) -> Any:
            vendor, deadline = self.where
            try:
                answer = self._fetches().exchange(Request("GET", self.uri), max(0.1, deadline - monotonic()))
            except (NoAnswer, TooLarge) as error:
                raise VendorUnavailable(f"the keys of {vendor} cannot be fetched: {error}", vendor=vendor) from error
            if answer.status != 200:
                message = f"the keys of {vendor} cannot be fetched: status {answer.status}"
                raise VendorUnavailable(message, vendor=vendor, status=answer.status)
            try:
                document = answer.json
            except ValueError:
                document = None
            if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
                message = f"the keys of {vendor} cannot be read: they are no JSON Web Key Set"
                raise VendorUnavailable(message, vendor=vendor)
            return document

    return Keys
