"""A vendor, ready to be used: the file read, laid over its preset, its templates compiled, its flow proved.

    load("supplier.toml")  ->  raw mapping  ->  merged with presets  ->  VendorFile (notation)  ->  Vendor  ->  proofs

Everything that is wrong is found at once and raised as one VendorFileError; a Vendor that exists is a proved one.
"""

from __future__ import annotations

import copyreg
import re
import tomllib
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import msgspec

from authflow.errors import Finding, VendorFileError
from authflow.templates import CONVERTERS, Converter
from authflow.vendors import notation as n
from authflow.vendors.compiling import Compiler
from authflow.vendors.derive import FUNCTIONS, Function
from authflow.vendors.extends import extended, preset_names
from authflow.vendors.proofs import prove
from authflow.vendors.vendor import Derived, Vendor, seconds

__all__ = ["Derived", "Vendor", "examine", "load", "preset_names", "seconds"]

#: A vendor file larger than this is none, in bytes.
MAX_FILE: Final = 1 << 20
#: A key of this many parts is no key of a vendor file, and reading it takes time that grows with its square.
_ENDLESS_KEY: Final = re.compile(r"(?<![\w'\"-])(?:[\w'\"-]+[ \t]*\.[ \t]*){65}")


_UNNAMED: Final = ("only the file's own: under another name, its tokens are not found", 'name = "supplier"')


def load(
    source: str | Path | Traversable | Mapping[str, Any],
    *,
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Vendor:
    """Read, compile and prove a vendor file, or the same mapping in Python. Raises VendorFileError with all
    findings.
    """
    vendor, findings = examine(source, converters, functions)
    if vendor is not None:
        findings = [*findings, *prove(vendor)]
    errors = tuple(finding for finding in findings if not finding.warning)
    if errors or vendor is None:
        raise VendorFileError(findings=errors, vendor=vendor.name if vendor else "")
    object.__setattr__(vendor, "warnings", tuple(findings))
    return vendor


def examine(
    source: str | Path | Traversable | Mapping[str, Any],
    converters: Mapping[str, Converter] = CONVERTERS,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> tuple[Vendor | None, list[Finding]]:
    """Read and compile without the proofs: the vendor, or None and every reason why there is none."""
    file, raw, findings = _read(source)
    if findings:
        return None, findings
    try:
        raw, findings = extended(file, raw)
        findings += [Finding(file, *misfit) for misfit in n.misfits(raw, n.VendorFile)]
    except RecursionError:
        findings = [Finding(file, "", "nested too deeply")]
    if findings:
        return None, findings
    unnamed = [] if "name" in raw else [Finding(file, "name", *_UNNAMED, warning=True)]
    raw.setdefault("name", Path(file).name.removesuffix(".toml"))
    compiler = Compiler(file, raw, msgspec.convert(raw, n.VendorFile, strict=True), converters, functions)
    vendor = compiler.vendor()
    return (None if compiler.findings else vendor), [*compiler.findings, *unnamed]


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(source: str | Path | Traversable | Mapping[str, Any]) -> tuple[str, dict[str, Any], list[Finding]]:
    if isinstance(source, Mapping):
        name = source.get("name")
        return f"<{name}>" if isinstance(name, str) and name else "<mapping>", dict(source), []
    path = Path(source) if isinstance(source, str) else source
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        return file, {}, [Finding(file, "", f"cannot be read: {getattr(error, 'strerror', None) or error}")]
    if len(data) > MAX_FILE:
        return file, {}, [Finding(file, "", f"larger than {MAX_FILE >> 20} MiB")]
    try:
        text = data.decode("utf-8-sig")
        if _ENDLESS_KEY.search(text):
            return file, {}, [Finding(file, "", "nested too deeply")]
        raw = tomllib.loads(text)
    except UnicodeDecodeError:
        return file, {}, [Finding(file, "", "is not UTF-8 text")]
    except RecursionError:
        return file, {}, [Finding(file, "", "nested too deeply")]
    except ValueError as error:
        return file, {}, [Finding(file, "", f"is not TOML: {' '.join(str(error).split())}")]
    return file, raw, []


def _again(raw: Mapping[str, Any]) -> Vendor:
    return load(raw)


# A vendor travels to another process as its mapping, and is proved again there.
copyreg.pickle(Vendor, lambda vendor: (_again, (dict(vendor.raw),)))
