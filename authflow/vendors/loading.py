"""A vendor, ready to be used: the file read, laid over its preset, its templates compiled, its flow proved.

    load("supplier.toml")  ->  raw mapping  ->  merged with presets  ->  VendorFile (notation)  ->  Vendor  ->  proofs

Everything that is wrong is found at once and raised as one VendorFileError; a Vendor that exists is a proved one.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from authflow.errors import Finding, VendorFileError
from authflow.templates import CONVERTERS, Converter
from authflow.vendors import inputs
from authflow.vendors import notation as n
from authflow.vendors.compiling import Compiler
from authflow.vendors.derive import FUNCTIONS, Function
from authflow.vendors.extends import extended, preset_names
from authflow.vendors.proofs import prove
from authflow.vendors.reading import read
from authflow.vendors.signers import Signer
from authflow.vendors.vendor import Derived, Vendor, seconds

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["Derived", "Vendor", "examine", "load", "preset_names", "seconds"]


_UNNAMED: Final = "only the file's own: under another name, its tokens are not found"


def load(
    source: str | Path | Traversable | Mapping[str, Any],
    *,
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
    signers: Mapping[str, type[Signer]] = {},
    installed: Mapping[str, Any] = {},
) -> Vendor:
    """Read, compile and prove a vendor file, or the same mapping in Python. Raises VendorFileError with all
    findings. `installed`: vendors that it may extend, by name, as files, mappings or vendors.
    """
    vendor, findings = examine(source, converters, functions, installed, signers)
    if vendor is not None:
        findings = [*findings, *inputs.check(vendor), *prove(vendor)]
    errors = tuple(finding for finding in findings if not finding.warning)
    if errors or vendor is None:
        from authflow.vendors.lines import line_of

        errors = tuple(replace(finding, line=line_of(finding.file, finding.key)) for finding in errors)
        raise VendorFileError(findings=errors, vendor=vendor.name if vendor else "")
    object.__setattr__(vendor, "warnings", tuple(findings))
    return vendor


def examine(
    source: str | Path | Traversable | Mapping[str, Any],
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
    installed: Mapping[str, Any] = {},
    signers: Mapping[str, type[Signer]] = {},
) -> tuple[Vendor | None, list[Finding]]:
    """Read and compile without the proofs: the vendor, or None and every reason why there is none."""
    file, raw, findings = read(source, named=False)
    unnamed = []
    if not isinstance(source, Mapping) and "name" not in raw:
        raw["name"] = Path(file).name.removesuffix(".toml")
        unnamed = [Finding(file, "name", _UNNAMED, f'name = "{raw["name"]}"', warning=True)]
    if findings:
        return None, findings
    dropped = set[str]()
    try:
        raw, findings = extended(file, raw, installed, dropped)
        settings = raw.get("settings", {})
        if "base_url" not in raw and isinstance(settings, Mapping):  # then whoever uses it says where the server is
            raw = {**raw, "base_url": "{base_url}", "settings": {"base_url": {"type": "url"}, **settings}}
        unwise = [finding for finding in findings if finding.warning]
        findings = [finding for finding in findings if not finding.warning]
        findings += [Finding(file, *misfit) for misfit in n.misfits(raw, n.VendorFile)]
    except RecursionError:
        findings = [Finding(file, "", "nested too deeply")]
    if findings:
        return None, findings
    compiler = Compiler(file, raw, msgspec.convert(raw, n.VendorFile, strict=True), converters, functions, signers)
    vendor = compiler.vendor()
    if vendor is not None:
        object.__setattr__(vendor, "dropped", frozenset(dropped))
    return (None if compiler.findings else vendor), [*compiler.findings, *unwise, *unnamed]


def _again(raw: Mapping[str, Any]) -> Vendor:
    return load(raw)


# A vendor travels to another process as its mapping, and is proved again there.
copyreg.pickle(Vendor, lambda vendor: (_again, (dict(vendor.raw),)))
