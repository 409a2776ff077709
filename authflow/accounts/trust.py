"""Where secrets may go: to declared origins, and only over https or to this machine itself.

    present   base_url's origin, and those of `origins.present`      the token
    send      base_url's origin, those of `origins.send`, and        passwords and refresh tokens, in exchanges
              those that an exchange's absolute URL names

`{_}` in these is one label of a host. `insecure_http` allows plain http within a network of one's own.

A URL that a *setting* holds (a token endpoint, say) was trusted by the user who gave it. A URL that an answer brought
is trusted only if its origin is declared; a base URL that it brought, for the token, and for no password.

Sessions of one vendor mostly differ in who the user is, and few of these URLs hang on that. What was found out is kept
by the settings that it does hang on (`_hinges`), so that the next session need not find it out again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, Final

from authflow.errors import ConfigurationError, Finding, VendorFileError
from authflow.http import Origin, Origins, is_private, origin_of
from authflow.templates import CONVERTERS, Unbound, Unfit, UrlTemplate
from authflow.vendors import Given, Values, Vendor, closure, seconds

Names = Set[str]
#: What is kept for so many vendors, and combinations of settings.
KEPT: Final = 256


def presents_at(vendor: Vendor, given: Given, captured: Mapping[str, Any]) -> Origins:
    """The origins at which the token may be presented."""
    hinges = _hinges(vendor)
    if hinges is None or not hinges.isdisjoint(captured):
        return _presents_at(vendor, given, captured)
    return _presents_at_given(vendor, _pairs(hinges, given))


@lru_cache(maxsize=KEPT)
def _presents_at_given(vendor: Vendor, pairs: tuple[tuple[str, Any], ...]) -> Origins:
    return _presents_at(vendor, Given(dict(pairs)), {})


def _presents_at(vendor: Vendor, given: Given, captured: Mapping[str, Any]) -> Origins:
    values = Values(vendor, given, captured, 0.0)
    return Origins(_base(values) | _rendered(vendor.present_origins, values))


@lru_cache(maxsize=KEPT)
def _hinges(vendor: Vendor) -> frozenset[str] | None:
    """The names on which the trusted URLs hang; None where one is a credential or derived, and may change."""
    urls = [exchange.request.url for exchange in vendor.flow.exchanges.values()]
    trusted = [vendor.base_url, *vendor.send_origins, *vendor.present_origins]
    trusted += [url for url in urls if url is not None and url.starts_with_placeholder]
    trusted += _written_origins(vendor)
    durations = [part for part in (vendor.lifetime, vendor.idle, vendor.ahead) if part is not None]
    names = frozenset(
        {"base_url"}.union(*({placeholder.name for placeholder in part.placeholders()} for part in trusted))
    ).union(*({placeholder.name for placeholder in part.placeholders()} for part in durations))
    return names if names.isdisjoint({*vendor.credentials, *vendor.derive}) else None


def _pairs(hinges: frozenset[str], given: Given) -> tuple[tuple[str, Any], ...]:
    return tuple([(name, given.get(name)) for name in hinges if name in given])


@lru_cache(maxsize=KEPT)
def leads(vendor: Vendor) -> Names:
    """The names on which it hangs, where an answer brings them, where the token may be presented."""
    urls = (vendor.base_url, *vendor.present_origins)
    names = {"base_url", *(placeholder.name for url in urls for placeholder in url.placeholders())}
    return frozenset(closure(vendor, names) - {"access", "refresh"})


def sends_to(
    vendor: Vendor,
    given: Given,
    captured: Mapping[str, Any],
    url: str,
    *,
    carries: bool = False,
    written: UrlTemplate | None = None,
) -> bool:
    """May an exchange be sent to this URL? `carries`: a credential of the user, which no captured base URL gets.
    `written`: as the file has it; a challenge, which anybody may write who answers at the base URL, leads only to
    `origins.send`, where that is given.
    """
    try:
        origin = origin_of(url)
    except ValueError:
        return False
    hinges = _hinges(vendor)
    if vendor.send_origins and written is not None and _is_of_a_challenge(vendor, written):
        trusted = Origins(_rendered(vendor.send_origins, Values(vendor, given, {}, 0.0)))
    elif hinges is None or not hinges.isdisjoint(captured):
        trusted = _sends_at(vendor, given, captured, carries=carries)
    else:
        trusted = _sends_at_given(vendor, _pairs(hinges, given))
    return origin.trusted(vendor.insecure_http) and origin in trusted


@lru_cache(maxsize=KEPT)
def _sends_at_given(vendor: Vendor, pairs: tuple[tuple[str, Any], ...]) -> Origins:
    return _sends_at(vendor, Given(dict(pairs)), {}, carries=True)


def _sends_at(vendor: Vendor, given: Given, captured: Mapping[str, Any], *, carries: bool) -> Origins:
    values, without = Values(vendor, given, captured, 0.0), Values(vendor, given, {}, 0.0)
    trusted = _base(without) | _rendered(vendor.send_origins, values) | _rendered(_own_urls(vendor, given), without)
    return Origins(trusted if carries else trusted | _base(values))


def _is_of_a_challenge(vendor: Vendor, written: UrlTemplate) -> bool:
    texts = [text for _, pattern in vendor.answers for _, text in pattern.challenge]
    brought = {placeholder.name for text in texts for placeholder in text.placeholders()}
    return written.starts_with_placeholder and written.between[0].name in brought - vendor.inputs.keys()


def check_settings(vendor: Vendor, given: Given) -> None:
    """What the file could not prove because it hangs on settings. Raises ConfigurationError where the user's own values
    are at fault, VendorFileError where the file is.
    """
    hinges = _hinges(vendor)
    if hinges is None:
        _check(vendor, given)
    else:
        _check_given(vendor, _pairs(hinges, given))


@lru_cache(maxsize=KEPT)
def _check_given(vendor: Vendor, pairs: tuple[tuple[str, Any], ...]) -> None:
    _check(vendor, Given(dict(pairs)))


def _check(vendor: Vendor, given: Given) -> None:
    findings = []
    for names, finding in _unfit_urls(vendor, given):
        own = sorted(name for name in names if name in given and not _is_default(vendor, name, given.get(name)))
        if own:
            hint = f" ({finding.hint})" if finding.hint else ""
            raise ConfigurationError(f"{vendor.title}: {' and '.join(own)}: {finding.reason}{hint}", vendor=vendor.name)
        findings.append(finding)
    if findings:
        raise VendorFileError(findings=tuple(findings), vendor=vendor.name)


def _is_default(vendor: Vendor, name: str, value: Any) -> bool:
    return name in vendor.inputs and vendor.inputs[name].default == value


def _unfit_urls(vendor: Vendor, given: Given) -> Iterator[tuple[Names, Finding]]:
    """URLs that are none, or where no secret may go; with the names that each hangs on."""
    values = Values(vendor, given, {}, 0.0)
    yield from _unfit_durations(vendor, given, values)
    base: Names = (
        {"base_url"} if given.get("base_url") else {placeholder.name for placeholder in vendor.base_url.placeholders()}
    )
    try:
        yield from _judged(vendor, "base_url", base, values.base_url)
    except Unfit as error:
        yield base, Finding(vendor.file, "base_url", str(error))
    except Unbound:  # an answer will say it
        pass
    places = [("origins.send", url) for url in vendor.send_origins]
    places += [("origins.present", url) for url in vendor.present_origins]
    places += [("exchanges", url) for url in _own_urls(vendor, given)]
    for key, url in places:
        first = url.between[0].name if url.starts_with_placeholder else ""
        whole = given.get(first)
        text = whole if isinstance(whole, str) else _render(url, values)
        if text is not None:
            yield from _judged(
                vendor,
                key,
                {first} if whole is text else {placeholder.name for placeholder in url.placeholders()},
                text,
            )


def _unfit_durations(vendor: Vendor, given: Given, values: Values) -> Iterator[tuple[Names, Finding]]:
    """`[expiry]`, as far as the user gave it: once the vendor has granted a token, that is too late."""
    for name in ("lifetime", "idle", "ahead"):
        template = getattr(vendor, name)
        names = set() if template is None else {placeholder.name for placeholder in template.placeholders()}
        if names and all(entry in given and not callable(given.get(entry)) for entry in names):
            try:
                seconds(template.render(values))
            except ValueError as error:
                yield names, Finding(vendor.file, f"expiry.{name}", str(error))


def _judged(vendor: Vendor, key: str, names: Names, url: str) -> Iterator[tuple[Names, Finding]]:
    try:
        origin = origin_of(url)
    except ValueError as error:
        yield names, Finding(vendor.file, key, str(error))
    else:
        if not origin.trusted(vendor.insecure_http):
            hint = "https, or insecure_http = true in the vendor file"
            hint = hint if is_private(origin.host) else "https, or a loopback address"
            yield names, Finding(vendor.file, key, f"plain http to {origin}", hint)


def _own_urls(vendor: Vendor, given: Given) -> list[UrlTemplate]:
    """The URLs of exchanges that declare themselves: those that the user gave, and the origins of absolute ones."""
    urls = [exchange.request.url for exchange in vendor.flow.exchanges.values()]
    own = [url for url in urls if url is not None and url.starts_with_placeholder and url.between[0].name in given]
    return [*own, *_written_origins(vendor)]


@lru_cache(maxsize=KEPT)
def _written_origins(vendor: Vendor) -> tuple[UrlTemplate, ...]:
    """The origins of absolute URLs, as far as they hang on nothing but settings: none that an answer names."""
    texts = [exchange.request.url.text for exchange in vendor.flow.exchanges.values() if exchange.request.url]
    found = [re.match(r"https?://[^/?#]+", text) for text in dict.fromkeys(texts)]
    origins = [UrlTemplate.compile(f"{part[0]}/", CONVERTERS) for part in found if part is not None]
    return tuple(
        url for url in origins if all(placeholder.name in vendor.settings for placeholder in url.placeholders())
    )


def _base(values: Values) -> set[Origin]:
    text = _base_text(values)
    return _origins([text] if text is not None else [], values.vendor)


def _base_text(values: Values) -> str | None:
    try:
        return values.base_url
    except (Unbound, Unfit):
        return None


def _rendered(urls: Iterable[UrlTemplate], values: Values) -> set[Origin]:
    found: set[Origin] = set()
    for url in urls:
        text = _render(url, values)
        at = _origins([] if text is None else [text], values.vendor)
        if any(placeholder.name == "_" for placeholder in url.between):
            at = {
                origin._replace(host=".".join("*" if label == _LABEL else label for label in origin.host.split(".")))
                for origin in at
            }
        found |= at
    return found


#: What `{_}` is filled with, before it becomes any label.
_LABEL: Final = "any--label"


class _WithLabel:
    def __init__(self, values: Values) -> None:
        self._values = values

    def get(self, name: str, default: Any = None) -> Any:
        return _LABEL if name == "_" else self._values.get(name, default)


def _render(url: UrlTemplate, values: Values) -> str | None:
    base = _base_text(values)
    try:
        return url.render(_WithLabel(values), base or "")
    except (Unbound, Unfit):
        return None


def _origins(urls: Iterable[str], vendor: Vendor) -> set[Origin]:
    found = set()
    for url in urls:
        try:
            origin = origin_of(url)
        except ValueError:
            continue
        if origin.trusted(vendor.insecure_http):
            found.add(origin)
    return found
