"""The body of a request or an answer: JSON, a form, or text, written and read back by the same template."""

from __future__ import annotations

from typing import Any

import msgspec

from authflow.http import Answer, encode_form
from authflow.templates import documents as t
from authflow.templates.documents import Template, Text
from authflow.templates.fields import Fields, by_name, match_fields, render_fields
from authflow.templates.placeholders import Lookup, Mismatch


def render_body(
    values: Lookup, json: Template | None, form: Fields | None, text: Template | None
) -> tuple[bytes | None, str]:
    """A body and its content type; None where there is none. Raises Unbound, Unfit."""
    if json is not None:
        document = json.render(values)
        return (None, "") if document is t.ABSENT else (msgspec.json.encode(document), "application/json")
    if form is not None:
        return encode_form(render_fields(form, values)), "application/x-www-form-urlencoded"
    if text is not None:
        rendered = text.render(values)
        return (None, "") if rendered is t.ABSENT else (str(rendered).encode(), "text/plain; charset=utf-8")
    return None, ""


def match_body(
    message: Answer, json: Template | None, form: Fields | None, text: Template | None, found: dict[str, Any]
) -> None:
    """Read a body, whatever its content type says. One that is a value whole loses the line breaks at its end. Raises
    Mismatch.
    """
    if json is not None:
        try:
            document = message.json if message.content or not json.optional else t.ABSENT
        except ValueError as error:
            raise Mismatch(str(error)) from None
        json.match(document, found)
    if form is not None:
        match_fields(form, by_name(message.form), found)
    if text is not None:
        whole = isinstance(text, Text) and text.literals == ("", "")
        text.match(message.text.rstrip("\r\n") if whole else message.text, found)
