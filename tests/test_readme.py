"""What the README shows, works: its Python runs against a real supplier, its vendor files load and are proved.

The snippets run in their order and share one namespace, as a reader at a prompt would type them, with the addresses of
a server on this machine for the supplier's. Recipes and replacements of other libraries run in `tests/readme`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests

import authflow
from authflow.plugins.discovery import find_vendor
from authflow.vendors import drawing as draw
from authflow.vendors.loading import load
from tests.readme.conftest import home, supplier
from tests.readme.snippets import README, SUPPLIER, TEXT, Snippet, run, snippets
from tests.servers import PASSWORD, USERNAME, Supplier

__all__ = ["home", "supplier"]

PYTHON = list(snippets(TEXT, "python"))
TOML = list(snippets(TEXT, "toml"))
MOST_LINES = 250


def test_every_python_snippet_runs(supplier: Supplier, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPPLIER_USERNAME", USERNAME)
    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for snippet in PYTHON:
        if snippet.skip is None:
            run(snippet, namespace, {SUPPLIER: supplier.base_url.removesuffix("auth/")})
    assert supplier.counts["data"] >= 3, "the snippets hardly fetched a delivery"
    for backend in ("asyncio", "trio"):
        answers = anyio.run(namespace["deliveries"], (42, 43), backend=backend)
        assert [answer["id"] for answer in answers] == ["42", "43"]
    assert supplier.counts["data"] == 4


def test_nothing_is_skipped() -> None:
    assert [snippet for snippet in PYTHON + TOML if snippet.skip] == []


@pytest.mark.parametrize("snippet", TOML, ids=lambda snippet: f"line-{snippet.line}")
def test_every_vendor_file_loads_and_is_proved(snippet: Snippet) -> None:
    if snippet.skip is None:
        vendor = load(tomllib.loads(snippet.code))
        assert [str(finding) for finding in vendor.warnings] == []


def test_it_is_read_in_ten_minutes() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES


def test_every_link_leads_somewhere() -> None:
    pages = [README, *(README.parent / "plugins").rglob("*.md"), *README.parent.glob("*.md")]
    dead = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / link).exists()
    ]
    assert dead == []


def test_every_error_is_named_in_the_table() -> None:
    errors = [name for name in authflow.__all__ if isinstance(getattr(authflow, name), type)]
    errors = [name for name in errors if issubclass(getattr(authflow, name), authflow.AuthFlowError)]
    assert len(errors) > 5
    assert [name for name in errors if name != "AuthFlowError" and f"| `{name}` |" not in TEXT] == []


def test_the_contents_name_every_section_in_its_order() -> None:
    contents = re.findall(r"\]\(#([\w-]+)\)", TEXT.partition("\n## ")[0])
    sections = re.findall(r"^## (.+)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    assert contents == [re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in sections]


# --- the mechanism itself ---------------------------------------------------------------------------------------------

SAMPLE = """
# A title

```python
one = 1
```

## A section

### A recipe

<!-- skip: needs a keyring -->
```python
two = 2
## no heading
```

```sh
ls
```
"""


def test_snippets_are_found_with_their_lines_headings_and_reasons() -> None:
    first, second = snippets(SAMPLE, "python")
    assert first == Snippet("python", 5, "one = 1\n", None)
    assert second == Snippet(
        "python", 14, "two = 2\n## no heading\n", "needs a keyring", section="A section", title="A recipe"
    )
    assert [snippet.title for snippet in snippets(SAMPLE, "sh")] == ["A recipe"]
    assert list(snippets(SAMPLE, "toml")) == []
    assert list(snippets("", "python")) == []


def test_the_diagram_is_the_one_that_is_drawn() -> None:
    shown = [snippet.code.strip() for snippet in snippets(TEXT, "mermaid")]
    assert shown == [draw.diagram(find_vendor("supplier")).strip()]


def test_the_picture_is_what_is_recorded(supplier: Supplier) -> None:
    """Each arrow and note of the drawing, in its order, with the reasons and the ends."""
    supplier.fresh()
    session = supplier.session()
    with session.record() as seen, requests.Session() as client:
        client.trust_env = False
        for _ in range(2):
            client.get(supplier.delivery(42), auth=session.requests, timeout=30)
            supplier.advance(12 * 3600 + 1)
    rows = seen.html().partition("<ol>")[2].partition("</ol>")[0].split("<li ")[1:]
    rows = [
        re.sub(r"<pre>.*?</pre>|<small>.*?</small>|<span class=.unseen.*?</span>", "", row, flags=re.S) for row in rows
    ]
    told = [re.sub(r"<[^>]+>", "", row.partition(">")[2]).split() for row in rows]
    (drawn,) = (snippet.code for snippet in snippets(TEXT, "text") if "your code" in snippet.code)
    shown = re.sub(r"[│├┤┼─▶◀]|redirected.*", " ", drawn.partition("\n")[2]).split()
    assert len(shown) > 30
    assert shown == [word for words in told for word in words][: len(shown)]


def test_every_test_that_the_security_section_names_is_there() -> None:
    section = TEXT.partition("## Security")[2].partition("\n## ")[0]
    file, missing, seen = "", [], 0
    for named, test in re.findall(r"`(…|[\w/]+\.py)(?:::(\w+))?`", section):
        file = file if named == "…" else named
        path = README.parent / "tests" / file
        seen += 1
        if not path.is_file() or (test and f"def {test}(" not in path.read_text("utf-8")):
            missing.append(f"{file}::{test}")
    assert missing == []
    assert seen > 20
