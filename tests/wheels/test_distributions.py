"""What is published: one wheel from the tree and from the sdist, tests in the one and not in the other, one version."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import authflow
from tests.wheels.distributions import build, contents, unpack
from tests.wheels.interpreters import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PLUGINS = ("supplier", "selfhosted", "otel", "in-code")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that it makes."""
    sdist, wheel = build(ROOT, tmp_path_factory.mktemp("sdist"))
    return sdist, wheel


def test_the_sdist_makes_the_wheel_that_the_tree_makes(
    archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    (from_tree,) = build(ROOT, tmp_path_factory.mktemp("wheel"), "--wheel")
    assert from_tree.name == archives[1].name == f"authflow_http-{PROJECT['version']}-py3-none-any.whl"
    assert contents(from_tree) == contents(archives[1])


def test_the_wheel_is_the_package_whole_and_nothing_else(archives: tuple[Path, Path]) -> None:
    shipped = {name for name in contents(archives[1]) if ".dist-info/" not in name}
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "authflow").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert shipped == there
    there = {"authflow/py.typed", "authflow/vendors/presets/password.toml", "authflow/vendors/vendor.schema.json"}
    assert there <= shipped


def test_the_sdist_holds_the_tests_and_no_more_than_the_tree(
    archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = unpack(archives[0], tmp_path_factory.mktemp("unpacked"))
    packed = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")} <= packed
    assert packed - {"PKG-INFO"} <= {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()}


def test_the_metadata_is_valid_and_shows_the_readme(archives: tuple[Path, Path]) -> None:
    (text,) = [data for name, data in contents(archives[1]).items() if name.endswith("/METADATA")]
    metadata = Metadata.from_email(text, validate=True)
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description is not None
    address = PROJECT["urls"]["Homepage"]
    shown = metadata.description.replace(f"]({address}/", "](")
    assert shown.strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert set(metadata.project_urls or {}) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.summary


def test_an_index_shows_no_link_that_leads_nowhere(archives: tuple[Path, Path]) -> None:
    """An index has no files beside the page: each link is absolute, and those of ours lead to a file that is there."""
    (text,) = [data for name, data in contents(archives[1]).items() if name.endswith("/METADATA")]
    address = PROJECT["urls"]["Homepage"]
    links = re.findall(r"\]\(([^)]+)\)", Metadata.from_email(text, validate=True).description or "")
    ours = [link.removeprefix(f"{address}/") for link in links if link.startswith(f"{address}/")]
    assert "SECURITY.md" in ours
    assert [link for link in ours if not (ROOT / link.partition("#")[0]).is_file()] == []
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert all(url == address or url.startswith(f"{address}/") for url in PROJECT["urls"].values())
    assert address in (ROOT / "pyproject.toml").read_text("utf-8").partition("fancy-pypi-readme]")[2]


# --- what comes with it -----------------------------------------------------------------------------------------------

CORE = {"authflow-http", "filelock", "msgspec", "platformdirs", "pluggy", "pyjwt"}


def resolved(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """All that an installer must bring for it, by what is installed here."""
    for extra in ("", *requirement.extras):
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name
        for line in distribution(name).requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                yield from resolved(needed, seen)


@pytest.mark.parametrize("extra", ["requests", "httpx", "httpx2", "aiohttp"])
def test_an_extra_brings_its_client_and_nothing_that_is_not_needed(extra: str) -> None:
    ours, theirs = (set(resolved(Requirement(name), set())) for name in (f"authflow-http[{extra}]", extra))
    assert ours - theirs == CORE
    assert theirs < ours


def test_each_client_is_an_extra_of_its_name() -> None:
    from authflow.clients import ADAPTERS

    extras = PROJECT["optional-dependencies"]
    for library in ADAPTERS:
        assert [Requirement(line).name for line in extras[library]] == [library]


# --- versions ---------------------------------------------------------------------------------------------------------


def test_there_is_one_version() -> None:
    command = [str(Path(sys.executable).with_name("authflow")), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == f"authflow {PROJECT['version']}\n"
    assert authflow.__version__ == distribution("authflow-http").version == PROJECT["version"]


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert re.fullmatch(rf"\[{re.escape(PROJECT['version'])}\] - (unreleased|\d{{4}}-\d\d-\d\d)", headings[0])


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_asks_for_this_version_or_later(plugin: str) -> None:
    project = tomllib.loads((ROOT / "plugins" / plugin / "pyproject.toml").read_text("utf-8"))["project"]
    (needed,) = [line for line in map(Requirement, project["dependencies"]) if line.name == "authflow-http"]
    assert needed.specifier.contains(PROJECT["version"])
    assert not needed.specifier.contains("0.0.9")
