"""The file of accounts: what may stand in it, where secrets come from, and when they are fetched."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from authflow import ConfigurationError, StoreError
from authflow.cli.accounts import Account, Ask, add_account, config_path, find_account, open_account, read_accounts
from authflow.cli.sources import Source

BASIC = """
[accounts.sup]
vendor = "supplier"
username = "demo"
password = { prompt = true }
"""


KEYED = """
base_url = "https://api.example/"
start = "ready"
[credentials]
key = { secret = true }
[states.ready]
present = { headers = { X-Key = "{key}" } }
[answers]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTHFLOW_CONFIG", str(tmp_path / "config.toml"))
    return config_path()


def write(config: Path, text: str) -> None:
    config.write_text(text)
    config.chmod(0o600)


def never(name: str, title: str, hidden: bool) -> str:
    raise AssertionError(f"asked for {title}")


def answering(answers: list[str], asked: list[tuple[str, bool]]) -> Ask:
    def ask(name: str, title: str, hidden: bool) -> str:
        asked.append((title, hidden))
        return answers.pop(0)

    return ask


def opened(config: Path, text: str, ask: Ask = never, **more: Any) -> Any:
    write(config, text)
    return open_account(read_accounts()["sup"], ask, **more)


def test_no_file_is_no_accounts(config: Path) -> None:
    assert read_accounts() == {}


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUTHFLOW_CONFIG", raising=False)
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        assert config_path() == tmp_path / "authflow" / "config.toml"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[accounts.sup", "is not TOML"),
        ("[account.sup]", "account: unknown"),
        ("accounts = 1", "[accounts.NAME]"),
        ("[accounts]\nsup = 1", "accounts.sup"),
        ("[accounts.sup]\nvendor = 1", "accounts.sup.vendor"),
        ("[accounts.sup]\npassword = { pass = true }", "accounts.sup.password"),
        ("[accounts.sup]\npassword = { env = true }", "accounts.sup.password.env"),
        ("[accounts.sup]\npassword = { command = 'pass show x' }", "accounts.sup.password.command"),
        ("[accounts.sup]\npassword = { command = [] }", "accounts.sup.password.command"),
        ("[accounts.sup]\npassword = { keyring = false }", "accounts.sup.password.keyring"),
        ("[accounts.sup]\npassword = { env = 'A', prompt = true }", "accounts.sup.password"),
        ("[accounts.sup]\npassword = []", "accounts.sup.password"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_file_that_is_not_right_says_where(config: Path, text: str, says: str) -> None:
    config.write_bytes(text.encode("latin-1"))
    config.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        read_accounts()
    assert says in str(caught.value)
    assert str(config) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_a_file_that_others_may_write_to_is_refused(config: Path) -> None:
    write(config, BASIC)
    config.chmod(0o622)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_accounts()


def test_a_secret_in_the_file_is_refused_and_not_shown(config: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"accounts\.sup\.password") as caught:
        opened(config, BASIC.replace("{ prompt = true }", '"hunter2"'))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://u:hunter2@h/0", "redis://:hunter2@h/0", "encrypted+redis://u:hunter2@h/0"])
def test_the_password_of_a_store_is_refused_and_not_shown(config: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        opened(config, f'{BASIC}store = "{url}"')
    with pytest.raises(ConfigurationError, match="AUTHFLOW_STORE") as by_hand:
        find_account("sup", store=url)
    assert "hunter2" not in f"{caught.value}{by_hand.value}"


def test_a_store_is_fetched_from_where_the_account_says(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENS", str(tmp_path / "tokens"))
    monkeypatch.setenv("AUTHFLOW_STORE", str(tmp_path / "elsewhere"))
    for source in ('{ env = "TOKENS" }', f'{{ command = ["echo", "{tmp_path}/tokens"] }}'):
        assert opened(config, f"{BASIC}store = {source}").place == str(tmp_path / "tokens")
    assert opened(config, BASIC).place == str(tmp_path / "elsewhere")
    monkeypatch.setenv("TOKENS", "redis://u:hunter2@127.0.0.1:1/0")
    assert opened(config, f'{BASIC}store = {{ env = "TOKENS" }}').place == "redis://127.0.0.1:1"
    with pytest.raises(ConfigurationError, match=r"sup\.store"):
        opened(config, f"{BASIC}store = {{ prompt = true }}")


def test_a_secret_by_hand_is_refused_and_not_shown(config: Path) -> None:
    write(config, BASIC)
    with pytest.raises(ConfigurationError, match="AUTHFLOW_PASSWORD") as caught:
        find_account("sup", {"password": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_an_unknown_value_is_named(config: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'username'"):
        opened(config, BASIC.replace("username", "usrname"))


def test_a_secret_is_fetched_when_it_is_needed_and_once(config: Path) -> None:
    asked: list[tuple[str, bool]] = []
    one = opened(config, BASIC, answering(["hunter2"], asked))
    assert asked == []
    assert (one.given.get("username"), one.place) == ("demo", str(one.store.folder))
    assert [one.given.get("password")(), one.given.get("password")()] == ["hunter2"] * 2
    assert asked == [("password for sup", True)]


def test_what_tells_accounts_apart_is_known_at_once(config: Path) -> None:
    asked: list[tuple[str, bool]] = []
    one = opened(config, '[accounts.sup]\nvendor = "supplier"\n', answering(["demo"], asked))
    assert asked == [("username for sup", False)]
    same = opened(config, BASIC)
    assert one.key == same.key


def test_two_api_keys_are_two_accounts(config: Path, tmp_path: Path) -> None:
    """Nothing but the secret tells them apart, so it is fetched in order to find the record."""
    (tmp_path / "keyed.toml").write_text(KEYED)
    keys = {
        opened(config, '[accounts.sup]\nvendor = "keyed.toml"\n', answering([key], [])).key for key in ("one", "two")
    }
    assert len(keys) == 2


def test_a_secret_from_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = opened(config, BASIC.replace("{ prompt = true }", '{ env = "SUP" }'))
    with pytest.raises(ConfigurationError, match="SUP is not set"):
        one.given.get("password")()
    monkeypatch.setenv("SUP", "hunter2")
    assert one.given.get("password")() == "hunter2"


def test_what_nobody_has_said_is_looked_for_in_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHFLOW_PASSWORD", "hunter2")
    one = opened(config, '[accounts.sup]\nvendor = "supplier"\nusername = "demo"\n')
    assert one.given.get("password") == "hunter2"


def test_the_accounts_own_variable_counts_first(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[accounts.sup]\nvendor = "supplier"\nusername = "demo"\n'
    monkeypatch.setenv("AUTHFLOW_PASSWORD", "for all")
    monkeypatch.setenv("AUTHFLOW_SUP_PASSWORD", "for sup")
    assert opened(config, text).given.get("password") == "for sup"
    monkeypatch.setenv("AUTHFLOW_SUP_PASSWORD", "")
    assert opened(config, text).given.get("password") == "for all"


def test_a_variable_that_means_something_else_is_no_input(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AUTHFLOW_KEY` opens the store: it is sent to no vendor."""
    (tmp_path / "keyed.toml").write_text(KEYED)
    text = '[accounts.my-own]\nvendor = "keyed.toml"\n'
    monkeypatch.setenv("AUTHFLOW_KEY", "the store's")
    write(config, text)
    one = open_account(read_accounts()["my-own"], answering(["typed"], []))
    assert one.given.get("key")() == "typed"
    monkeypatch.setenv("AUTHFLOW_MY_OWN_KEY", "the vendor's")
    assert open_account(read_accounts()["my-own"], never).given.get("key") == "the vendor's"
    monkeypatch.delenv("AUTHFLOW_MY_OWN_KEY")
    with pytest.raises(ConfigurationError, match="set AUTHFLOW_MY_OWN_KEY"):
        find_account("my-own", {"key": "x"})


TWO = """
[accounts."{one}"]
vendor = "{one_vendor}"
username = "u"
[accounts."{other}"]
vendor = "{other_vendor}"
username = "v"
"""


@pytest.mark.parametrize(
    ("one", "other", "variable"),
    [
        ("a-b", "a_b", "AUTHFLOW_A_B_PASSWORD"),
        ("a.b", "a-b", "AUTHFLOW_A_B_PASSWORD"),
        ("Prod", "prod", "AUTHFLOW_PROD_PASSWORD"),
        ("x/prod", "prod", "AUTHFLOW_PROD_PASSWORD"),
        ("é", "ü", "AUTHFLOW___PASSWORD"),
    ],
)
def test_a_variable_of_two_accounts_is_neithers(
    config: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str, variable: str
) -> None:
    write(config, TWO.format(one=one, other=other, one_vendor="supplier", other_vendor="no-such"))
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(ConfigurationError) as error:
        open_account(read_accounts()[one], never)
    assert all(word in str(error.value) for word in (variable, one, other, "rename", str(config)))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("one", "own", "other", "its", "variable"),
    [
        ("a", "b_key", "a_b", "key", "AUTHFLOW_A_B_KEY"),  # both their own
        ("api", "key", "shop", "api_key", "AUTHFLOW_API_KEY"),  # its own, and the other's for all accounts
        ("shop", "api_key", "api", "key", "AUTHFLOW_API_KEY"),
    ],
)
def test_so_is_one_whose_words_are_divided_elsewhere(
    config: Path, monkeypatch: pytest.MonkeyPatch, one: str, own: str, other: str, its: str, variable: str
) -> None:
    for name, key in ((one, own), (other, its)):
        text = KEYED.replace("{key}", f"{{{key}}}").replace("\nkey =", f"\n{key} =")
        (config.parent / f"{name}.toml").write_text(text)
    text = f'[accounts.{one}]\nvendor = "{one}.toml"\n[accounts.{other}]\nvendor = "{other}.toml"\n'
    write(config, text)
    monkeypatch.setenv(variable, "k-1")
    with pytest.raises(ConfigurationError, match=f"{variable} is read for {one}.{own} and for {other}.{its}"):
        open_account(read_accounts()[one], never)
    write(config, text + f'{its} = {{ env = "ITS_OWN" }}\n')
    assert open_account(read_accounts()[one], never).given.get(own) == "k-1"


def test_a_variable_for_all_accounts_is_no_collision(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, TWO.format(one="a-b", other="a_b", one_vendor="supplier", other_vendor="supplier"))
    monkeypatch.setenv("AUTHFLOW_PASSWORD", "for all")
    assert [open_account(one, never).given.get("password") for one in read_accounts().values()] == ["for all"] * 2


def test_a_file_and_its_account_share_a_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, elsewhere = config.parent / "acme.toml", config.parent / "elsewhere" / "acme.toml"
    elsewhere.parent.mkdir()
    for path in (file, elsewhere):
        path.write_text(KEYED)
    write(config, '[accounts.acme]\nvendor = "acme.toml"\n')
    monkeypatch.setenv("AUTHFLOW_ACME_KEY", "k-1")
    assert open_account(find_account(str(file)), never).given.get("key") == "k-1"
    with pytest.raises(ConfigurationError, match=r"is read for .*acme\.toml\.key and for acme\.key"):
        open_account(find_account(str(elsewhere)), never)


def test_no_account_is_added_that_would_read_anothers_variables(config: Path) -> None:
    write(config, TWO.format(one="a-b", other="other", one_vendor="supplier", other_vendor="supplier"))
    with pytest.raises(ConfigurationError, match="'a-b' already, and 'A_b' would read the same variables"):
        add_account(Account("A_b", "supplier"))


def test_an_account_may_say_whose_login_it_is(config: Path) -> None:
    keys = {opened(config, f'{BASIC}identity = "{name}"').key for name in ("alice", "bob")}
    assert len({*keys, opened(config, BASIC).key}) == 3
    with pytest.raises(ConfigurationError, match=r"accounts\.sup\.identity"):
        opened(config, f"{BASIC}identity = 1")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("print('hunter2'); print('login: demo')", None),
        ("raise SystemExit(3)", "ended with status 3"),
        ("", "printed nothing"),
    ],
)
def test_a_secret_from_a_command(config: Path, script: str, says: str | None) -> None:
    words = [sys.executable, "-c", script]
    one = open_account(
        Account("sup", "supplier", "memory", {"username": "demo", "password": Source("command", words)}), never
    )
    if says is None:
        assert one.given.get("password")() == "hunter2"
    else:
        with pytest.raises(ConfigurationError, match=says):
            one.given.get("password")()


def test_a_command_that_is_not_there(config: Path) -> None:
    one = opened(config, BASIC.replace("{ prompt = true }", '{ command = ["no-such-manager"] }'))
    with pytest.raises(ConfigurationError, match="no-such-manager cannot be run"):
        one.given.get("password")()


def test_the_keyring_is_asked_and_remembers_what_was_typed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], str] = {}
    keyring = SimpleNamespace(
        get_password=lambda service, name: kept.get((service, name)),
        set_password=lambda service, name, value: kept.__setitem__((service, name), value),
        get_keyring=object,
    )
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    text = BASIC.replace("{ prompt = true }", "{ keyring = true }")
    first = opened(config, text, answering(["hunter2"], []))
    assert first.remember() == []
    assert first.given.get("password")() == "hunter2"
    assert first.remember() == ["password"]
    entry = "sup.password supplier https://api.supplier.example"
    assert kept == {("authflow accounts", entry): "hunter2"}
    # Another vendor's password is not this one's, though the account is called the same; nor that of another server.
    kept[("authflow accounts", "sup.password")] = "of another"
    elsewhere = opened(config, f'{text}base_url = "https://b.example/"', answering(["of b"], []))
    assert elsewhere.given.get("password")() == "of b"
    assert opened(config, text).given.get("password")() == "hunter2"


TENANTS = """
extends = "relogin"
name = "acme"
base_url = "https://api.acme.example/"
[settings]
tenant = {}
app_key = { secret = true }
token_url = { default = "https://{tenant}.acme.example/token", type = "url" }
[credentials]
tenant_key = { secret = true, optional = true }
[exchanges.login]
request = { url = "{token_url}", json = { u = "{username}", p = "{password}", a = "{app_key}", k = "{tenant_key?}" } }
answers.granted.json = { token = "{access}" }
"""


def of_tenants(config: Path, more: str) -> Any:
    """An account that has its password in the keyring."""
    (config.parent / "acme.toml").write_text(TENANTS)
    text = '[accounts.sup]\nvendor = "acme.toml"\nusername = "demo"\npassword = { keyring = true }\n'
    return opened(config, f"{text}{more}\n")


def test_an_entry_of_the_keyring_bears_each_server(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    keyring = SimpleNamespace(get_password=lambda service, name: asked.append(name) or "open sesame")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    for tenant in ("eu", "us"):
        of_tenants(config, f'tenant = "{tenant}"\napp_key = {{ keyring = true }}').given.get("password")()
    at = "acme https://api.acme.example https://eu.acme.example"
    assert asked[:2] == [f"sup.app_key {at}", f"sup.password {at}"]
    assert asked[2:] == [
        f"sup.{name} acme https://api.acme.example https://us.acme.example" for name in ("app_key", "password")
    ]
    asked.clear()
    of_tenants(config, 'tenant = "eu"\nbase_url = "https://b.example/"\napp_key = { keyring = true }')
    assert asked == ["sup.app_key acme https://b.example https://eu.acme.example"]
    with pytest.raises(ConfigurationError, match="the value of tenant is not a host name"):
        of_tenants(config, 'tenant = "e/u"\napp_key = { keyring = true }')


@pytest.mark.parametrize("way", ['{{ env = "KEY_{}" }}', '{{ command = ["{python}", "-ISc", "print({})"] }}'])
def test_an_added_secret_tells_accounts_apart(config: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    keys = set()
    for number in "12":
        monkeypatch.setenv(f"KEY_{number}", number)
        said = way.format(number, python=sys.executable)
        more = f'tenant = "eu"\napp_key = {{ env = "KEY_1" }}\ntenant_key = {said}\nstore = "memory"'
        keys |= {of_tenants(config, more).key, of_tenants(config, f'{more}\nidentity = "one"').key}
    assert len(keys) == 3
    assert callable(of_tenants(config, f"{more.replace(said, '{ prompt = true }')}").given.get("tenant_key"))


def test_what_is_handed_over_counts_first(config: Path) -> None:
    assert opened(config, BASIC, handed={"password": "hunter2"}).given.get("password") == "hunter2"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(config: Path) -> None:
    """A file that may not grow beyond a few bytes stands for the disk."""
    import resource
    import signal

    write(config, BASIC)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(StoreError, match=r"config\.toml: cannot be written"):
            add_account(Account("new", "supplier"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, heard)
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]
    assert config.read_text() == BASIC


def test_an_account_that_is_added_reads_back_the_same(config: Path) -> None:
    write(config, BASIC)
    odd = 'a "b" \\ \x7f ü 😀\n\t'
    words = ["pass", "show", "x y"]
    account = Account(
        "new", "supplier", "./tokens", {"username": odd, "password": Source("command", words), "host": "h.example"}
    )
    assert add_account(account) == config
    read = read_accounts()
    assert list(read) == ["sup", "new"]
    assert (read["new"].inputs, read["new"].store) == (account.inputs, "./tokens")
    assert config.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match="already"):
        add_account(account)
    with pytest.raises(ConfigurationError, match="letters"):
        add_account(Account("a b", "supplier"))
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]
