"""A vendor file, read: TOML from a path, or the same mapping in Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authflow.errors import Finding

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: A vendor file larger than this is none, in bytes.
MAX_FILE: Final = 1 << 20
#: A key of this many parts is no key of a vendor file, and reading it takes time that grows with its square.
_ENDLESS_KEY: Final = re.compile(r"(?<![\w'\"-])(?:[\w'\"-]+[ \t]*\.[ \t]*){65}")


def read(
    source: str | Path | Traversable | Mapping[str, Any], *, named: bool = True
) -> tuple[str, dict[str, Any], list[Finding]]:
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
    if named:
        raw.setdefault("name", path.name.removesuffix(".toml"))
    return file, raw, []
