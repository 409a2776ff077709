"""Derived values, seen from the vendor's side: read back where that can be done, computed anew and compared elsewhere.

base64, basic, …       two-way: taken back, and the values inside are read by the argument's own template
hmac, sha256, md5, …   computed from what the vendor knows of the account
jwt                    the signature and the claims are verified
rsa                    decrypted with the key that the simulated vendor has
totp                   computed for this period and its neighbours
now, uuid4, random     fit whatever is sent
a plugin's volatile    cannot be checked (`provable`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from authflow.http import Request
from authflow.templates import ABSENT, Mismatch, Unbound, Unfit
from authflow.testing import samples
from authflow.vendors import Derived, Given, Values, Vendor, decoded

_FREE: Final = frozenset({"now", "uuid4", "random"})
#: Volatile, and yet they can be checked.
_CHECKED: Final = _FREE | {"jwt", "rsa", "totp"}
_ADDED_CLAIMS: Final = frozenset({"iat", "exp", "jti", "nbf"})


def unfold(vendor: Vendor, found: Mapping[str, Any]) -> dict[str, Any]:
    """`found`, and whatever can be read out of the derived values in it. Raises Mismatch."""
    whole = dict(found)
    todo = [name for name in whole if name in vendor.derive]
    while todo:
        row = vendor.derive[todo.pop()]
        before = set(whole)
        _read_back(row, whole[row.name], whole)
        todo += [name for name in whole if name not in before and name in vendor.derive]
    return whole


def _read_back(row: Derived, value: Any, found: dict[str, Any]) -> None:
    if row.function.inverse is None:
        return
    try:
        argument = row.function.inverse(value)
    except (ValueError, TypeError, KeyError):
        raise Mismatch(f"{row.name} is not what {row.function_name} gives") from None
    row.argument.match(argument, found)


def provable(row: Derived) -> bool:
    """Can a value be checked, by reading it back, by computing it again, or as a signature?"""
    return row.function_name in _CHECKED or row.function.inverse is not None or not row.function.volatile


def fits(
    vendor: Vendor,
    name: str,
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    now: float,
    request: Request | None = None,
) -> bool:
    """Is `values[name]` what the vendor would compute from the other values, from what it knows (`given`), and from the
    request?
    """
    row = vendor.derive[name]
    if row.function_name in _FREE or not provable(row):
        return True
    known = Values(vendor, Given(dict(given)), {key: value for key, value in values.items() if key != name}, now)
    known.of(request)
    try:
        argument = row.argument.render(known)
        if argument is ABSENT:
            return False
        if row.function_name == "rsa":
            return samples.decrypted(str(values[name]), argument) == str(argument["message"])
        if row.function_name == "jwt":
            return _signed(str(values[name]), argument)
        period = float(argument.get("period", 30)) if isinstance(argument, Mapping) else 30.0
        instants = (now, now - period, now + period) if row.function_name == "totp" else (now,)
        return any(str(row.function.compute(argument, instant)) == str(values[name]) for instant in instants)
    except (Unbound, Unfit, ValueError, TypeError, KeyError):
        return False


def _signed(token: str, argument: Mapping[str, Any]) -> bool:
    """Does this assertion carry the argument's claims, and a signature by its key?"""
    import jwt

    algorithm = str(argument.get("algorithm", "HS256"))
    key: Any = argument["key"]
    if "key_encoding" in argument:
        key = decoded(str(key), argument["key_encoding"])
    elif not algorithm.startswith("HS"):
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        private = load_pem_private_key(str(key).encode(), None)
        key = private.public_key()
    try:
        claims = jwt.decode(token, key, [algorithm], options={"verify_exp": False, "verify_aud": False})
    except jwt.PyJWTError:
        return False
    said = argument.get("claims", {})
    return all(claims.get(name) == value for name, value in said.items() if name not in _ADDED_CLAIMS)
