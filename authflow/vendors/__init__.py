"""From a vendor file to a vendor: read, laid over its preset, compiled, proved. Pure but for reading the file.

    notation    the vendor file as it is written                                    ┐
    extends     laid over its preset (`presets/`)                                   │ in this order a file
    compiling   every template compiled                                             │ becomes a vendor
    proofs/     what must hold before it may run, and what is unwise                │
    loading     all of these in turn: `load`        lines    where a key stands     ┘
    vendor      the vendor as it runs
    flow        its states, the events and outcomes between them, and the run       ← the heart
    oauth       what the error codes of OAuth mean
    derive      the functions of `[derive]`             asked    `{request.*}`, which they may look at
    signers     what proves with each request that its sender holds a key
    inputs      what the user gives, with its defaults and types
    values      the named values that templates are filled from
    drawing     the flow as text and diagrams            schema   the JSON Schema of the vendor file

Sends nothing, reads no clock, and knows nothing of stores and clients.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from authflow.vendors.derive import FUNCTIONS, Function, decoded
from authflow.vendors.flow import (
    AGAIN,
    EXPIRED,
    FROM_BROWSER,
    INTO_BROWSER,
    LONGEST,
    LOST,
    UNAVAILABLE,
    Failing,
    Flow,
    Pause,
    Presenting,
    Rest,
    Sending,
    State,
    Step,
    Transition,
    absorb,
    needs,
    needs_a_person,
    next_step,
    refusals,
    rotates,
    run,
    spends_refresh,
)
from authflow.vendors.inputs import filled, only_for_base_url, typed
from authflow.vendors.loading import examine, load
from authflow.vendors.notation import Input
from authflow.vendors.oauth import FAULTY, classified
from authflow.vendors.proofs import UNUSED, closure, made_of
from authflow.vendors.signers import Signer, Signing, hears
from authflow.vendors.values import Given, Values, ask_for, unfit
from authflow.vendors.vendor import Derived, Vendor, seconds

if TYPE_CHECKING:
    from authflow.vendors import drawing
    from authflow.vendors.lines import line_of
    from authflow.vendors.schema import schema_text

__all__ = [
    "AGAIN",
    "EXPIRED",
    "FAULTY",
    "FROM_BROWSER",
    "FUNCTIONS",
    "INTO_BROWSER",
    "LONGEST",
    "LOST",
    "UNAVAILABLE",
    "UNUSED",
    "Derived",
    "Failing",
    "Flow",
    "Function",
    "Given",
    "Input",
    "Pause",
    "Presenting",
    "Rest",
    "Sending",
    "Signer",
    "Signing",
    "State",
    "Step",
    "Transition",
    "Values",
    "Vendor",
    "absorb",
    "ask_for",
    "classified",
    "closure",
    "decoded",
    "drawing",
    "examine",
    "filled",
    "hears",
    "line_of",
    "load",
    "made_of",
    "needs",
    "needs_a_person",
    "next_step",
    "only_for_base_url",
    "refusals",
    "rotates",
    "run",
    "schema_text",
    "seconds",
    "spends_refresh",
    "typed",
    "unfit",
]


def __getattr__(name: str) -> Any:
    if name == "drawing":  # pictures are for people who ask for them
        return importlib.import_module(f"{__name__}.drawing")
    if module := {"schema_text": "schema", "line_of": "lines"}.get(name):
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
