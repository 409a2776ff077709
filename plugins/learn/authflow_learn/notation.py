"""How the notation and TOML write a value."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_UPPER: Final = {word: word.upper() for word in ("csrf", "xsrf", "cst", "sid", "id", "jwt")}


def header(name: str) -> str:
    return "-".join(_UPPER.get(part, part.capitalize()) for part in name.split("-"))


def hole(name: str, converter: str = "") -> str:
    return "{" + name + (f":{converter}" if converter else "") + "}"


def literal(text: str) -> str:
    """As the notation writes text that is no placeholder."""
    return text.replace("{", "{{").replace("}", "}}")


def inline(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_name(str(key))} = {inline(item)}" for key, item in value.items())
        return "{ " + inner + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else quoted(value)


def _name(key: str) -> str:
    return key if _KEY.fullmatch(key) else quoted(key)


def quoted(value: str) -> str:
    if '"' in value and "'" not in value and "\\" not in value and value.isprintable():
        return f"'{value}'"
    # What acts on a terminal, or cannot be seen, is spelled out.
    text = json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
