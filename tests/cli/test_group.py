"""The verbs of vendor authors: what they print, on which stream, and how they end."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from authflow import plugins
from authflow.cli import group as cli
from authflow.vendors import schema
from authflow.vendors.extends import preset_names

ROOT = Path(__file__).parents[2]
GOOD = 'extends = "api-key"\nbase_url = "https://a.example/"\n'


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli._commands(), [str(argument) for argument in arguments], prog_name="authflow")


def write(folder: Path, text: str, name: str = "vendor.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "authflow", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == run("--version").output


# --- check ------------------------------------------------------------------------------------------------------------


def test_a_good_file_is_said_to_be_good(tmp_path: Path) -> None:
    done = run("check", write(tmp_path, f'name = "good"\n{GOOD}'))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "1 file checked, nothing wrong\n", "")


def test_all_findings_of_all_files_come_at_once(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD.replace("https", "http"), "first.toml")
    second = write(tmp_path, 'extends = "api-kee"\nbase_ulr = "x"\n', "second.toml")
    done = run("check", first, second, "supplier", tmp_path / "none.toml")
    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert [line.partition(": ")[0] for line in lines] == [
        f"{first}:2:base_url",
        f"{second}:1:extends",
        f"{second}:2:base_ulr",
        str(tmp_path / "none.toml"),
    ]
    assert "did you mean 'api-key'?" in lines[1]
    assert "did you mean 'base_url'?" in lines[2]
    assert done.stderr == "authflow: 4 errors in 3 files\n"


def test_a_warning_is_marked_and_no_error(tmp_path: Path) -> None:
    done = run("check", write(tmp_path, f'name = "good"\n{GOOD}insecure_url = true\n'))
    assert done.exit_code == 0
    assert re.match(r"warning: .*vendor\.toml:\d+:insecure_url: ", done.stdout)


def test_findings_as_json(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("api-key", "api-kee"))
    done = run("check", "--json", path)
    (finding,) = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (finding["file"], finding["key"], finding["warning"]) == (str(path), "extends", False)


def test_each_finding_says_its_line(tmp_path: Path) -> None:
    text = (
        'name = "a"\nextends = "bearer"\nbase_url = "https://a.example/"\n[settings]\nhost = {}\n'
        '[[rewrites]]\nfrom = "a"\nto = "b"\n[[rewrites]]\nfrom = "c"\nto = "{nobody}"\n'
    )
    done = run("check", "--json", write(tmp_path, text))
    assert [(item["line"], item["key"]) for item in json.loads(done.stdout)] == [(11, "rewrites.1.to")]


def test_a_table_has_the_line_of_the_first_thing_in_it(tmp_path: Path) -> None:
    text = 'extends = "bearer"\nsigns.dpop = {}\n[[keeps]]\nheaders = {}\n'
    done = run("check", "--json", write(tmp_path, text))
    assert [(item["line"], item["key"]) for item in json.loads(done.stdout)] == [(2, "signs"), (3, "keeps")]


def test_settings_are_checked_too(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a"\nextends = "bearer"\nbase_url = "{site}"\nsettings.site = {}\n')
    assert run("check", path, "--set", "site=https://a.example/").exit_code == 0
    done = run("check", path, "--set", "site=http://a.example/")
    assert (done.exit_code, "plain http" in done.stdout) == (1, True)


def test_a_plugin_that_is_not_installed_yet_is_used(tmp_path: Path) -> None:
    module = tmp_path / "mine_for_check.py"
    module.write_text(
        "from authflow.plugins import Function, hookimpl\n"
        "@hookimpl\ndef authflow_functions():\n    return {'shout': Function(lambda text, now: text.upper())}\n"
    )
    path = write(
        tmp_path,
        'name = "a"\nextends = "bearer"\nbase_url = "https://a.example/"\nderive.loud.shout = "{token}"\n'
        'states.signed_in.present = { headers = { X = "{loud}" } }\n',
    )
    assert run("check", path).exit_code == 1
    assert run("check", path, "--plugin", module).exit_code == 0


def test_what_a_plugin_prints_is_no_answer(tmp_path: Path) -> None:
    """One that is installed, and one that is not: what asks for JSON reads JSON."""
    printing = "import authflow\nprint('hello')\n\n\n@authflow.hookimpl\ndef authflow_functions():\n    return {}\n"
    for name in ("chatty", "noisy"):
        (tmp_path / f"{name}.py").write_text(printing)
    info = tmp_path / "chatty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chatty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[authflow]\nchatty = chatty\n")
    path = write(tmp_path, 'name = "a"\nextends = "bearer"\nbase_url = "https://a.example/"\n')
    command = [sys.executable, "-m", "authflow", "check", path, "--json", "--plugin", tmp_path / "noisy.py"]
    there = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=there)
    assert json.loads(done.stdout) == []
    assert done.stderr.count("hello") == 2


def test_nor_is_what_one_prints_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud.py").write_text("print('hello')\n")
    path = write(tmp_path, 'name = "a"\nextends = "bearer"\nbase_url = "https://a.example/"\n')
    assert run("check", path, "--json", "--plugin", tmp_path / "loud.py").stdout == ""  # it holds no hook
    own = plugins.manager
    monkeypatch.setattr(plugins, "manager", lambda: print("hello") or own())
    assert json.loads(run("check", path, "--json").stdout) == []


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("mine.toml", "", "no file of Python"),
        ("nothing.py", "", "holds no hook"),
        ("broken.py", "import no_such_module", "No module named 'no_such_module'"),
        ("absent.py", None, "No such file"),
    ],
)
def test_a_plugin_that_is_none_says_why(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    path = write(tmp_path, 'name = "a"\nextends = "bearer"\nbase_url = "https://a.example/"\n')
    plugin = tmp_path / name
    if text is not None:
        plugin.write_text(text)
    before = plugins.manager().get_plugins()
    done = run("check", path, "--plugin", str(plugin))
    assert (done.exit_code, why in done.stderr, plugins.manager().get_plugins()) == (2, True, before)


def test_a_name_that_no_plugin_brings_is_a_finding() -> None:
    done = run("check", "suplier")
    assert (done.exit_code, "did you mean 'supplier'?" in done.stdout) == (1, True)


def test_what_only_a_plugins_code_uses_is_used(tmp_path: Path) -> None:
    file = tmp_path / "signed.toml"
    file.write_text(
        'name = "signed"\nextends = "signed"\nbase_url = "https://a.example/"\nidentity = ["key_id"]\n'
        "[credentials]\nkey_id = {}\nkey = { secret = true }\n"
    )
    module = tmp_path / "signing.py"
    module.write_text(
        "import authflow\n\n\n@authflow.hookimpl\ndef authflow_sign(vendor, request, values):\n    return None\n"
    )
    assert "no request uses it" in run("check", str(file)).stdout
    try:
        assert "no request uses it" not in run("check", str(file), "--plugin", str(module)).stdout
    finally:
        plugins.manager().unregister(name=str(module))


def test_a_finding_below_a_name_with_a_dot_has_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "dots.toml"
    file.write_text(
        'name = "dots"\nextends = "relogin"\nbase_url = "https://a.example/"\n'
        '[exchanges.login]\nrequest.url = "x"\n[exchanges.login.request.json]\n'
        '"a.b" = "{username}"\n"a.c" = "{passwrod}"\n[exchanges.login.answers.granted.json]\nt = "{access}"\n'
    )
    assert f"{file}:8:exchanges.login.request.json.a.c: unknown value 'passwrod'" in run("check", str(file)).stdout


# --- schema -----------------------------------------------------------------------------------------------------------

FILES = sorted([*ROOT.glob("plugins/*/*/*.toml"), *ROOT.glob("authflow/vendors/presets/*.toml")])


def validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads(run("schema").stdout))


def test_the_shipped_schema_is_what_the_classes_say() -> None:
    shipped = resources.files("authflow").joinpath("vendors/vendor.schema.json").read_text("utf-8")
    assert shipped == schema.schema_text() == run("schema").stdout, (
        "authflow schema > authflow/vendors/vendor.schema.json"
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def test_the_schema_describes_every_property_and_says_what_else_may_stand_there() -> None:
    silent = []

    def walk(part: Any, path: str) -> None:
        if isinstance(part, dict):
            silent.extend(
                f"{path}.{name}" for name, each in part.get("properties", {}).items() if not each.get("description")
            )
            if part.get("type") == "object" and "additionalProperties" not in part:
                silent.append(path)
            for key, inner in part.items():
                walk(inner, f"{path}.{key}")

    walk(schema.schema(), "")
    assert silent == []


def test_a_strict_editor_warns_of_nothing_in_a_right_file(tmp_path: Path) -> None:
    tombi = shutil.which("tombi", path=str(Path(sys.executable).parent)) or shutil.which("tombi")
    if tombi is None:
        pytest.skip("tombi, an editor's language server for TOML, is not installed")
    (tmp_path / "vendor.schema.json").write_text(schema.schema_text())
    settings = (
        "schema = { strict = true, catalog = { paths = [] } }\n"
        'schemas = [{ path = "vendor.schema.json", include = ["*.toml"] }]\n'
    )
    (tmp_path / "tombi.toml").write_text(settings)
    right = [*FILES, *ROOT.glob("tests/testing/vendors/*.toml")]
    for number, path in enumerate(right):
        (tmp_path / f"{number}-{path.name}").write_bytes(path.read_bytes())
    (tmp_path / "wrong.toml").write_text('base_ulr = "https://a.example/"\n')

    def lint(*files: str) -> subprocess.CompletedProcess[str]:
        command = [tombi, "lint", "--offline", "--error-on-warnings", *files]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    done = lint(*sorted(path.name for path in tmp_path.glob("[0-9]*.toml")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert lint("wrong.toml").returncode != 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_preset_and_vendor_file_fits_the_schema(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(tomllib.loads(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        'base_ulr = "x"',
        'extends = "passwrd"',
        "states.a.granted = 1",
        'states.a.present.header.X = "y"',
        "exchanges.login.request.method = 'GET'",
        'exchanges.login.answers.granted.status = "200"',
        'settings.host.type = "float"',
        'rewrites = [{ from = "a" }]',
        "vary = 'scope'",
    ],
)
def test_the_schema_refuses_what_check_refuses(text: str, tmp_path: Path) -> None:
    assert list(validator().iter_errors(tomllib.loads(text))) != []
    assert run("check", write(tmp_path, text)).exit_code == 1


def test_no_preset_is_left_out() -> None:
    assert schema.schema()["$defs"]["VendorFile"]["properties"]["extends"]["enum"] == preset_names()


# --- show, vendors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ([], "supplier: Delivery status"),
        (["--format", "mermaid"], "stateDiagram-v2\n"),
        (["--format", "svg"], "<svg "),
        (["--sequence"], "your code → authflow"),
        (["--format", "mermaid", "--sequence"], "sequenceDiagram\n"),
    ],
)
def test_show_draws(options: list[str], begins: str) -> None:
    done = run("show", "supplier", *options)
    assert (done.exit_code, done.stdout.startswith(begins), done.stderr) == (0, True, "")


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_is_drawn_too(preset: str) -> None:
    done = run("show", preset)
    assert (done.exit_code, done.stdout.partition("\n")[0]) == (0, preset)


def test_a_drawing_is_a_file_of_its_own() -> None:
    drawn = ElementTree.fromstring(run("show", "supplier", "--format", "svg").stdout)
    states = [part.get("data-state") for part in drawn.iter("{http://www.w3.org/2000/svg}g") if part.get("data-state")]
    assert states == ["signed_out", "signed_in", "refused", "stale"]
    assert "var(--ink)" in drawn[0].text


def test_an_unknown_vendor_is_one_line_on_standard_error() -> None:
    done = run("show", "suplier")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "did you mean 'supplier'?" in done.stderr


def test_vendors_lists_what_is_installed() -> None:
    assert "supplier: Delivery status from the supplier (username, password)" in run("vendors").stdout.splitlines()
    rows = {row["name"]: row for row in json.loads(run("vendors", "--json").stdout)}
    assert rows["supplier"]["needs"] == ["username", "password"]


# --- new --------------------------------------------------------------------------------------------------------------


def test_a_new_plugin_passes_check_and_its_own_tests_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "authflow-acme-cloud"
    done = run("new", "acme-cloud", "--into", folder)
    assert done.exit_code == 0
    written = sorted(line.removeprefix(f"{folder}/") for line in done.stdout.splitlines())
    assert written == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert run("check", folder / "authflow_acme_cloud" / "acme-cloud.toml").exit_code == 0
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["authflow"] == {"acme-cloud": "authflow_acme_cloud"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    code = "import authflow_acme_cloud as plugin; print(*plugin.authflow_vendors())"
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(folder / "authflow_acme_cloud" / "acme-cloud.toml")


def test_a_new_plugin_on_each_preset_passes_check_and_its_own_tests(tmp_path: Path) -> None:
    for preset in preset_names():
        assert run("new", f"on-{preset}", "--preset", preset, "--into", tmp_path / preset).exit_code == 0
        done = run("check", *(tmp_path / preset).glob("authflow_*/*.toml"))
        assert (done.exit_code, "warning" in done.stdout) == (0, False), done.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    tested = subprocess.run([*command, *preset_names()], cwd=tmp_path, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    assert run("new", "acme", "--preset", "nope", "--into", tmp_path / "nope").exit_code == 2


@pytest.mark.parametrize("name", ["Acme", "acme cloud", "../acme", "1acme", "acme-", "", "acmé"])
def test_a_name_that_no_package_can_have_is_refused(name: str, tmp_path: Path) -> None:
    done = run("new", name, "--into", tmp_path / "new")
    assert (done.exit_code, done.stderr.count("\n"), (tmp_path / "new").exists()) == (2, 1, False)


@pytest.mark.parametrize("there", [False, True])
def test_what_cannot_be_written_whole_is_not_begun(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the third file; with room again, the same command works."""
    folder = tmp_path / "plugin"
    if there:
        folder.mkdir()
    written: list[Path] = []
    real = Path.write_text

    def until_full(path: Path, *args: Any) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *args)

    monkeypatch.setattr(Path, "write_text", until_full)
    done = run("new", "acme", "--into", folder)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert f"{written[2]} cannot be written: No space left on device" in done.stderr
    assert [*tmp_path.rglob("*")] == []
    assert run("new", "acme", "--into", folder).exit_code == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path, "mine", "pyproject.toml")
    assert run("new", "acme", "--into", tmp_path).exit_code == 2
    assert (tmp_path / "pyproject.toml").read_text("utf-8") == "mine"


# --- all --------------------------------------------------------------------------------------------------------------


def test_every_verb_says_what_it_does_in_a_line() -> None:
    group = cli._commands()
    for name, command in group.commands.items():
        assert command.get_short_help_str(200).endswith("."), name
    assert isinstance(group, click.Group)
    assert "..." not in run("--help").stdout.partition("Commands:")[2], "a line is cut off"
