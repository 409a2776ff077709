"""What the README shows, works: its Python runs against a real supplier, its vendor files load and are proved.

The snippets run in their order and share one namespace, as a reader at a prompt would type them. Only two things are
put in the place of what they say: the supplier's addresses are those of a server on this machine. A snippet that cannot
run anywhere else than at its author's says so in a comment above it: `<!-- skip: why -->`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import authflow
from authflow import draw, plugins
from authflow.plugins import find_vendor
from authflow.vendor import load
from tests.servers import PASSWORD, USERNAME, Supplier, running_supplier

README = Path(__file__).parent.parent / "README.md"
BASE_URL = "https://api.supplier.example/api/v1/auth/"
_FENCE = re.compile(
    r"^(?:<!-- skip: (?P<skip>.+?) -->\n)?```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Snippet(NamedTuple):
    """`line` is that of its first line of code in the README."""

    language: str
    line: int
    code: str
    skip: str | None


def snippets(text: str, language: str) -> Iterator[Snippet]:
    for fence in _FENCE.finditer(text):
        if fence["language"] == language:
            line = text.count("\n", 0, fence.start("code")) + 1
            yield Snippet(language, line, fence["code"], fence["skip"])


PYTHON = list(snippets(README.read_text("utf-8"), "python"))
TOML = list(snippets(README.read_text("utf-8"), "toml"))


def supplier_file() -> dict[str, Any]:
    return tomllib.loads((resources.files("authflow_supplier") / "supplier.toml").read_text("utf-8"))


@pytest.fixture
def supplier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supplier]:
    """A supplier on this machine, and its vendor file with that address."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with running_supplier() as supplier:
        here = supplier_file()
        here["base_url"] = supplier.base_url
        here["settings"]["data_origin"]["default"] = supplier.data_url
        installed = plugins.vendors()
        monkeypatch.setattr(plugins, "vendors", lambda: {**installed, "supplier": here})
        yield supplier


def test_every_python_snippet_runs(supplier: Supplier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPPLIER_USERNAME", USERNAME)
    monkeypatch.setenv("SUPPLIER_PASSWORD", PASSWORD)
    namespace: dict[str, Any] = {"__name__": "readme"}
    ran = 0
    for snippet in PYTHON:
        if snippet.skip is None:
            code = "\n" * (snippet.line - 1) + snippet.code.replace(BASE_URL, supplier.base_url)
            exec(compile(code, str(README), "exec"), namespace)
            ran += 1
    if ran:
        assert supplier.counts.get("data"), "the snippets never fetched a delivery"


def test_every_python_snippet_is_python() -> None:
    for snippet in PYTHON:
        compile(snippet.code, f"README.md:{snippet.line}", "exec")


@pytest.mark.parametrize("snippet", TOML, ids=lambda snippet: f"line-{snippet.line}")
def test_every_vendor_file_loads_and_is_proved(snippet: Snippet) -> None:
    if snippet.skip is None:
        vendor = load(tomllib.loads(snippet.code))
        assert [str(finding) for finding in vendor.warnings] == []


def test_the_supplier_shown_is_the_supplier_shipped() -> None:
    shipped = supplier_file()
    del shipped["title"]
    for snippet in TOML:
        shown = tomllib.loads(snippet.code)
        if shown.get("name") == shipped["name"]:
            assert {key: value for key, value in shown.items() if key != "title"} == shipped


def test_every_error_is_named_in_the_table() -> None:
    text = README.read_text("utf-8")
    if "| error |" in text:
        errors = [name for name in authflow.__all__ if isinstance(getattr(authflow, name), type)]
        errors = [name for name in errors if issubclass(getattr(authflow, name), authflow.AuthFlowError)]
        assert [name for name in errors if name != "AuthFlowError" and f"| `{name}` |" not in text] == []


# --- the mechanism itself ---------------------------------------------------------------------------------------------

SAMPLE = """
# A title

```python
one = 1
```

<!-- skip: needs a keyring -->
```python
two = 2
```

```sh
ls
```
"""


def test_snippets_are_found_with_their_lines_and_reasons() -> None:
    first, second = snippets(SAMPLE, "python")
    assert first == Snippet("python", 5, "one = 1\n", None)
    assert second == Snippet("python", 10, "two = 2\n", "needs a keyring")
    assert list(snippets(SAMPLE, "toml")) == []
    assert list(snippets("", "python")) == []


def test_the_diagram_is_the_one_that_is_drawn() -> None:
    shown = [snippet.code.strip() for snippet in snippets(README.read_text("utf-8"), "mermaid")]
    assert shown == [draw.diagram(find_vendor("supplier")).strip()]


def test_every_test_that_the_security_section_names_is_there() -> None:
    section = README.read_text("utf-8").partition("## Security")[2].partition("\n## ")[0]
    file, missing, seen = "", [], 0
    for named, test in re.findall(r"`(…|[\w/]+\.py)(?:::(\w+))?`", section):
        file = file if named == "…" else named
        path = README.parent / "tests" / file
        seen += 1
        if not path.is_file() or (test and f"def {test}(" not in path.read_text("utf-8")):
            missing.append(f"{file}::{test}")
    assert missing == []
    assert seen > 20
