"""The JSON Schema of the vendor file, for editors: made from the very classes that read it.

It says what may stand where. What must hold between the parts (the proofs) it cannot say, and a file that extends a
preset leaves out what the preset has; so it asks for no more than every file needs.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from authflow.vendors.extends import preset_names
from authflow.vendors.notation import VendorFile

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: Tables that a preset may have begun: what they lack may stand there.
_BEGUN: Final = frozenset({"Exchange"})


def schema() -> dict[str, Any]:
    """The schema as a document."""
    (top,), definitions = msgspec.json.schema_components([VendorFile], ref_template="#/$defs/{name}")
    definitions = {name: _for_toml(definition) for name, definition in definitions.items()}
    for name in _BEGUN:
        del definitions[name]["required"]
    for definition in definitions.values():
        for part in definition["properties"].values():
            _leave_open(part)
    definitions["State"]["additionalProperties"] = {"type": "string", "description": "The state that follows"}
    definitions["VendorFile"]["properties"]["extends"]["enum"] = preset_names()
    definitions["Anything"] = {"additionalProperties": {"$ref": "#/$defs/Anything"}}
    return {"$schema": DIALECT, "title": "An authflow vendor file", "$ref": top["$ref"], "$defs": definitions}


def schema_text() -> str:
    """The schema as it is shipped: `vendor.schema.json`."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode() + "\n"


def _leave_open(part: dict[str, Any]) -> None:
    """A table in which anything may stand says so: a strict editor takes silence for a no."""
    if not part.keys() & {"$ref", "anyOf", "enum", "type"} or part.get("type") == "object":
        inner = part.setdefault("additionalProperties", {"$ref": "#/$defs/Anything"})
        if isinstance(inner, dict):
            _leave_open(inner)


def _for_toml(part: Any) -> Any:
    """TOML has no null: where a key may be left out, it is left out."""
    if isinstance(part, list):
        return [_for_toml(item) for item in part]
    if not isinstance(part, dict):
        return part
    plain = {key: _for_toml(value) for key, value in part.items() if not (key == "default" and value is None)}
    arms = [arm for arm in plain.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) == 1:
        del plain["anyOf"]
        return {**arms[0], **plain}
    return {**plain, "anyOf": arms} if arms else plain
