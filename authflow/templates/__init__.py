"""Two-way templates: what `render` writes, `match` reads back. Pure: no I/O, no clock, no threads.

    placeholders   {name}, {name:converter}, {name?}: cut out of a string, filled, read back        ┐ read these two
    converters     how a value is spelled in a document, in both directions                         ┘ first
    documents      whole JSON-like documents: texts, tables, lists
    fields         named texts: headers, cookies, query parameters, forms
    urls           URLs, and the rewriting of a caller's URL
    bodies         JSON, form or text
    requests       what an exchange sends, and what a state presents on a caller's request
    hints          what an answer says beside the point: it never refuses a grant
    answers        the patterns of an answer; the first that fits names the outcome
    exchange       a request and its answers' patterns

Knows requests and answers (`authflow.http`), and nothing of vendors, states or sessions.
"""

from authflow.templates.answers import AnswerPattern, Answers, Outcome, Wait, is_token, judge
from authflow.templates.converters import CONVERTERS, PLAIN, Converter, jwt_claims, number
from authflow.templates.documents import List, Literal, Missing, Object, Template, Text, compile, compile_text, render
from authflow.templates.exchange import Exchange
from authflow.templates.fields import compile_fields
from authflow.templates.hints import JWTS, token_exp, unusable
from authflow.templates.placeholders import (
    ABSENT,
    RESERVED,
    Lookup,
    Mismatch,
    Placeholder,
    TemplateError,
    Unbound,
    Unfit,
)
from authflow.templates.requests import Present, RequestTemplate, Sign, apart, without_body
from authflow.templates.urls import Rewrite, UrlTemplate

__all__ = [
    "ABSENT",
    "CONVERTERS",
    "JWTS",
    "PLAIN",
    "RESERVED",
    "AnswerPattern",
    "Answers",
    "Converter",
    "Exchange",
    "List",
    "Literal",
    "Lookup",
    "Mismatch",
    "Missing",
    "Object",
    "Outcome",
    "Placeholder",
    "Present",
    "RequestTemplate",
    "Rewrite",
    "Sign",
    "Template",
    "TemplateError",
    "Text",
    "Unbound",
    "Unfit",
    "UrlTemplate",
    "Wait",
    "apart",
    "compile",
    "compile_fields",
    "compile_text",
    "is_token",
    "judge",
    "jwt_claims",
    "number",
    "render",
    "token_exp",
    "unusable",
    "without_body",
]
