"""What plugins bring, and how a vendor is found: by name, path, mapping, or as it is."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow import plugins
from authflow.stores.memory import MemoryStore
from authflow.templates.converters import Converter
from authflow.vendors.derive import Function
from authflow.vendors.loading import load
from authflow.vendors.vendor import Vendor
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, body_of


@pytest.fixture
def install() -> Iterator[Callable[[Any], None]]:
    """Install an object as a plugin, until the test ends."""
    installed: list[Any] = []

    def register(plugin: Any) -> None:
        plugins.manager().register(plugin)
        installed.append(plugin)

    yield register
    for plugin in installed:
        plugins.manager().unregister(plugin)


TOML = """
extends = "relogin"
base_url = "https://{name}.example/api/"
[exchanges.login]
request = {{ url = "login", json = {{ user = "{{username}}", password = "{{password}}" }} }}
answers = {{ granted = {{ status = 200, json = {{ access = "{{access}}" }} }} }}
"""


def test_the_supplier_is_found_by_its_entry_point() -> None:
    vendor = plugins.find_vendor("supplier")
    assert (vendor.name, vendor.title) == ("supplier", "Delivery status from the supplier")
    assert plugins.find_vendor("supplier") is vendor


def test_a_vendor_object_that_was_pickled_finds_the_plugins_again(install: Callable[[Any], None]) -> None:
    class Plugin:
        @authflow.hookimpl
        def authflow_converters(self) -> Mapping[str, Converter]:
            return {"shout": Converter(str.upper, str.lower)}

    install(Plugin())
    login = {
        **LADDER["exchanges"]["login"],
        "answers": {"granted": {"json": {"access": "{access:shout}", "refresh": "{refresh}"}}},
    }
    vendor = plugins.find_vendor({**LADDER, "exchanges": {**LADDER["exchanges"], "login": login}})
    assert pickle.loads(pickle.dumps(vendor)).raw == vendor.raw


def test_an_unknown_vendor_is_told_which_there_are() -> None:
    with pytest.raises(authflow.ConfigurationError) as caught:
        authflow.AuthSession("suplier", username="u", password="p")
    assert "unknown vendor 'suplier': did you mean 'supplier'?" in str(caught.value)
    with pytest.raises(
        authflow.ConfigurationError, match=r"installed are .*supplier.*; give a vendor file by its path"
    ):
        plugins.find_vendor("zzz")


def test_a_vendor_may_be_a_path_a_mapping_or_itself(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(TOML.format(name="acme"))
    found = [plugins.find_vendor(source) for source in (path, str(path), LADDER, load(LADDER))]
    assert [vendor.name for vendor in found] == ["acme", "acme", "ladder", "ladder"]
    assert plugins.find_vendor(found[0]) is found[0]


def test_a_path_to_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(authflow.VendorFileError, match=r"missing\.toml: cannot be read"):
        plugins.find_vendor(str(tmp_path / "missing.toml"))


def test_a_plugin_brings_vendors(install: Callable[[Any], None], tmp_path: Path) -> None:
    path = tmp_path / "filed.toml"
    path.write_text(TOML.format(name="filed"))

    class Plugin:
        @authflow.hookimpl
        def authflow_vendors(self) -> list[Any]:
            return [path, {**LADDER, "name": "mapped"}, load({**LADDER, "name": "made"})]

    install(Plugin())
    assert [plugins.find_vendor(name).name for name in ("filed", "mapped", "made")] == ["filed", "mapped", "made"]


def test_a_plugin_brings_converters_and_functions(install: Callable[[Any], None]) -> None:
    class Plugin:
        @authflow.hookimpl
        def authflow_converters(self) -> Mapping[str, Converter]:
            return {"reversed": Converter(lambda text: str(text)[::-1], lambda value: str(value)[::-1])}

        @authflow.hookimpl
        def authflow_functions(self) -> Mapping[str, Function]:
            return {"shout": Function(lambda argument, now: str(argument).upper())}

    install(Plugin())
    vendor = ScriptedVendor()
    login = {
        "request": {"url": "login", "json": {"user": "{username:reversed}", "loud": "{loud}", "p": "{password}"}},
        "answers": {"granted": {"status": 200, "json": {"access": "{access:reversed}"}}},
    }
    session = vendor.session(
        {
            **LADDER,
            "extends": "relogin",
            "states": {},
            "exchanges": {"login": login},
            "derive": {"loud": {"shout": "{username}"}},
        }
    )
    assert session.token().access == "1-ssecca"
    assert body_of(vendor.sent[0]) == {"user": "resu", "loud": "USER", "p": "pass-word"}


def test_a_plugin_brings_stores(install: Callable[[Any], None]) -> None:
    opened: list[str] = []

    def open_shelf(url: str) -> MemoryStore:
        opened.append(url)
        return MemoryStore()

    class Plugin:
        @authflow.hookimpl
        def authflow_stores(self) -> Mapping[str, Callable[[str], Any]]:
            return {"shelf": open_shelf}

    install(Plugin())
    session = ScriptedVendor().session(store="shelf://top/left")
    assert session.token().access
    assert opened == ["shelf://top/left"]


def test_a_plugin_rewrites_urls_after_the_file_and_the_first_answer_counts(install: Callable[[Any], None]) -> None:
    asked: list[tuple[str, str]] = []

    class Silent:
        @authflow.hookimpl(tryfirst=True)
        def authflow_rewrite_url(self, vendor: Vendor, url: str) -> str | None:
            asked.append((vendor.name, url))
            return None

    class Rewriting:
        @authflow.hookimpl
        def authflow_rewrite_url(self, url: str) -> str | None:
            return url.replace("/v1/", "/v2/")

    install(Rewriting())
    install(Silent())
    session = ScriptedVendor().session({**LADDER, "rewrites": [{"from": "old/{id}", "to": "v1/{id}"}]})
    session.token()
    assert session._manager.authorize("https://vendor.example/api/old/7").url == "https://vendor.example/api/v2/7"
    assert asked == [("ladder", "https://vendor.example/api/v1/7")]


def test_a_plugin_may_not_rewrite_to_an_undeclared_origin(install: Callable[[Any], None]) -> None:
    class Rewriting:
        @authflow.hookimpl
        def authflow_rewrite_url(self, url: str) -> str | None:
            return "https://elsewhere.example/"

    install(Rewriting())
    with pytest.raises(authflow.UntrustedOrigin, match=r"elsewhere\.example"):
        ScriptedVendor().session()._manager.authorize(URL)


def test_an_observer_hears_of_each_transition(install: Callable[[Any], None]) -> None:
    heard: list[tuple[str, str, str, str]] = []

    class Plugin:
        @authflow.hookimpl
        def authflow_transition(self, vendor: Vendor, before: str, event: str, after: str) -> None:
            heard.append((vendor.name, before, event, after))

    install(Plugin())
    vendor = ScriptedVendor()
    session = vendor.session()
    session.token()
    vendor.says("refresh", 503, {})
    vendor.clock.now += 2000
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    assert heard == [
        ("ladder", "signed_out", "granted", "signed_in"),
        ("ladder", "signed_in", "expired", "stale"),
        ("ladder", "stale", "unavailable", "stale"),
    ]


def test_a_hook_that_nobody_has_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled when the session is made: afterwards the plugin manager is not even asked."""
    vendor = ScriptedVendor()
    session = vendor.session()

    def manager() -> None:
        raise AssertionError("the plugin manager was asked")

    monkeypatch.setattr(plugins, "manager", manager)
    session.token()
    vendor.clock.now += LIFETIME + 1
    session.token()
    assert session._manager.authorize(URL).grant is not None


@pytest.mark.parametrize("vendor", [None, 5, b"supplier"], ids=ascii)
def test_what_is_no_vendor_is_said_to_be_none(vendor: Any) -> None:
    with pytest.raises(authflow.ConfigurationError, match=r"a vendor is a plugin's name, a path, .* not "):
        authflow.AuthSession(vendor, username="u", password="p")


#: A package's entry_points.txt, its module, and what is said of it. Each plugin is one that harms nobody else.
HARMFUL = {
    "no module": ("remains = no_such_module", "", "the plugin remains of leftover cannot be imported (ModuleNotFound"),
    "a list that cannot be parsed": ("remains", "", "the entry_points.txt of leftover cannot be read"),
    "an entry that is none": ("remains = a b c", "", "the plugin remains of leftover cannot be imported"),
    "a program that ends": ("remains = leftover_vendor", "raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
    "half a plugin": (
        "remains = leftover_vendor",
        "authflow_vendors = hookimpl(lambda: 5)\nauthflow_stores = hookimpl(lambda nobody: {})",
        "the plugin remains of leftover cannot be imported (PluginValidationError",
    ),
    **{
        f"{hook}: {given}": (
            "remains = leftover_vendor",
            f"authflow_{hook} = hookimpl(lambda: {given})",
            f"the plugin remains brings no {hook} (",
        )
        for hook, gives in {
            "vendors": ("{'acme': {}}", "5", "[5]", "['acme.toml']", "'acme.toml'", "[{}]", "[{'name': 5}]", "1 / 0"),
            "converters": ("['x']", "{'x': 5}", "{5: None}", "1 / 0"),
            "functions": ("['x']", "{'x': len}", "5"),
            "signers": ("['x']", "{'x': 'aws'}"),
            "stores": ("['x']", "{'x': None}", "{5: len}", "1 / 0"),
        }.items()
        for given in gives
    },
}


@pytest.mark.parametrize("title", HARMFUL)
def test_a_plugin_that_is_not_right_is_named_and_harms_nobody_else(title: str, tmp_path: Path) -> None:
    entry, module, reason = HARMFUL[title]
    info = tmp_path / "leftover-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leftover\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[authflow]\n{entry}\n")
    (tmp_path / "leftover_vendor.py").write_text(f"from authflow.plugins import hookimpl\n{module}\n")
    code = (
        "import authflow, authflow.plugins as p; "
        "authflow.AuthSession({'name': 'a', 'extends': 'bearer'}, token='t', base_url='https://a.example/'); "
        "authflow.AuthSession('supplier', username='u', password='p', store='memory'); "
        "print(*p.broken_plugins())"
    )
    path = os.pathsep.join([str(Path(authflow.__file__).parents[1]), str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for text in (done.stdout, done.stderr):
        assert reason in text
    assert done.stderr.count(reason) == 1


def test_a_plugins_file_that_is_not_right_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "mine.py").write_text("raise SystemExit(3)")
    with pytest.raises(authflow.ConfigurationError, match=r"mine\.py cannot be imported: SystemExit: 3"):
        plugins.register_file(str(path))
    path.write_text("from authflow import hookimpl\n@hookimpl\ndef authflow_vendors(nobody): ...\n")
    with pytest.raises(authflow.ConfigurationError, match=r"mine\.py cannot be imported: PluginValidationError"):
        plugins.register_file(str(path))


def test_a_vendor_that_is_given_alone_is_a_list_of_one(install: Callable[[Any], None]) -> None:
    class Plugin:
        @authflow.hookimpl
        def authflow_vendors(self) -> Any:
            return {**LADDER, "name": "alone"}

    install(Plugin())
    assert plugins.find_vendor("alone").name == "alone"
