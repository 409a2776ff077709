"""The proofs: what must hold of a vendor file before it may run.

    names   one name, one thing, and every {name} is one that exists
    total   every outcome leads somewhere, every state is reached and none is a dead end
    ends    the sending states form no cycle, so one renewal sends each exchange at most once
    bound   every value that a state needs is there on every path to it, or `missing` says otherwise
    waits   what is repeated ends, and what good answers bring anew is read without asking again
    safe    no plain http beyond this machine, no secret in a URL, no exchange to an undeclared origin

Each gives its findings, all of them; warnings are for what is legal but unwise.
"""

from __future__ import annotations

from authflow.errors import Finding
from authflow.vendors.proofs import bound, names, paths, safe, unwise, waits
from authflow.vendors.proofs.places import closure, made_of
from authflow.vendors.proofs.unwise import UNUSED
from authflow.vendors.vendor import Vendor

__all__ = ["UNUSED", "closure", "made_of", "prove"]


def prove(vendor: Vendor) -> list[Finding]:
    """All findings about a compiled vendor, errors before warnings."""
    found = list(names.check(vendor))
    loose = list(paths.total(vendor))
    found += loose or [*paths.ends(vendor), *bound.check(vendor)]  # these walk the flow
    found += [*waits.check(vendor), *safe.check(vendor)] if not loose else safe.check(vendor)
    if not any(not finding.warning for finding in found):
        found += [*unwise.check(vendor), *waits.unwise(vendor)]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.warning)
