"""status and doctor: what they see, and that they ask nobody."""

from __future__ import annotations

import os
import re
import socketserver
import threading
import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from authflow.accounts import Record
from authflow.cli.accounts import Account
from authflow.cli.doctor import _kept, examine
from authflow.cli.exits import as_typed
from authflow.cli.sources import Source
from authflow.cli.spans import bar, span
from authflow.cli.status import Line, _left
from authflow.errors import StoreError
from authflow.stores import FileStore
from tests.cli.conftest import Shell
from tests.servers import PASSWORD, Supplier


def test_status_shows_what_the_store_knows(account: Shell, supplier: Supplier) -> None:
    (before,) = account("status", "--json").json
    account("token", "sup")
    (after,) = account("status", "--json").json
    assert (before["state"], before["expires_at"]) == ("signed_out", None)
    assert (after["state"], after["vendor"], after["problem"]) == ("signed_in", "supplier", "")
    assert after["store"] == str(account.home / "state" / "authflow")
    assert after["expires_at"] - after["issued_at"] == pytest.approx(12 * 3600, abs=5)
    shown = account("status").out
    assert "████████████ 11 h 59 min" in shown
    assert PASSWORD not in shown
    assert supplier.counts == {"login": 1}


@pytest.mark.skipif(os.name != "posix", reason="there is no pty on Windows")
def test_a_terminal_sees_a_table(account: Shell) -> None:
    account("token", "sup")
    code, shown = account.on_a_terminal("status")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert code == 0
    assert re.search(r"account +vendor +state +time left +kept in", plain)
    assert re.search(r"sup +supplier +signed_in +████████████ 11 h 59 min", plain)
    code, shown = account.on_a_terminal("status", COLUMNS="62")
    assert (code, "████████████ 11 h 59 min" in shown) == (0, True)
    code, shown = account.on_a_terminal("doctor", "--offline")
    assert code == 0
    assert "sup: store" in shown


def test_status_tells_of_a_refusal(account: Shell) -> None:
    account("token", "sup", SUP_PASSWORD="open-barley")
    heading, line = account("status").out.splitlines()
    assert heading.startswith("ACCOUNT  VENDOR    STATE")
    assert heading.index("KEPT IN") == line.index(str(account.home))
    assert "refused, not tried again for 5" in line


def test_monitoring_hears_of_what_a_person_must_mend(account: Shell) -> None:
    assert account("status", "--check").code == 0, "nothing is wrong before the first login"
    account("token", "sup", SUP_PASSWORD="open-barley")
    assert [account("status", "--check").code, account("status").code] == [1, 0]


def test_a_login_that_was_not_saved_can_be_shown(shell: Shell, supplier: Supplier) -> None:
    assert "authflow status VENDOR --set" in shell("status").err


def test_the_log_is_shown_when_it_is_asked_for(account: Shell) -> None:
    said = account("-v", "token", "sup").err
    assert "signed_out" in said
    assert "signed_in" in said
    assert PASSWORD not in said
    assert account("token", "sup").err == ""


def test_status_of_an_account_that_cannot_be_opened_says_why_and_shows_the_rest(account: Shell) -> None:
    account.write(account.config.read_text() + '\n[accounts.gone]\nvendor = "no-such-vendor"\n')
    lines = account("status", "--json").json
    assert [line["account"] for line in lines] == ["sup", "gone"]
    assert "unknown vendor 'no-such-vendor'" in lines[1]["problem"]


def test_status_shows_no_password_of_a_url(account: Shell) -> None:
    for words in ([], ["--json"]):
        shown = account("status", *words, AUTHFLOW_STORE="redis://user:hunter2@127.0.0.1:1/0")
        assert "redis://127.0.0.1:1" in shown.out
        assert "hunter2" not in shown.out + shown.err
    by_hand = account("status", "sup", "--store", "redis://user:hunter2@127.0.0.1:1/0")
    assert (by_hand.code, by_hand.out) == (2, "")
    assert "AUTHFLOW_STORE" in by_hand.err
    assert "hunter2" not in by_hand.err


def test_status_without_accounts_says_how_to_add_one(shell: Shell) -> None:
    done = shell("status")
    assert (done.code, done.out) == (0, "")
    assert "--save" in done.err


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (42.9, "42 s"), (60, "1 min"), (61, "1 min 1 s"), (86400 * 2 + 7200, "2 d 2 h")],
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(("part", "full"), [(0, 0), (0.001, 1), (0.5, 6), (1, 12), (2, 12)])
def test_bars(part: float, full: int) -> None:
    assert bar(part) == "█" * full + "░" * (12 - full)


GIVEN = {"username": "demo", "password": Source("env", "SUP_PASSWORD")}


# --- doctor -----------------------------------------------------------------------------------------------------------


def checks(shell: Shell, *words: str, **env: str) -> tuple[int, dict[str, tuple[str, str]]]:
    done = shell("doctor", "--json", *words, **env)
    return done.code, {check["what"]: (check["result"], check["says"]) for check in done.json}


def test_doctor_finds_nothing_wrong(account: Shell, supplier: Supplier) -> None:
    code, found = checks(account)
    assert code == 0
    assert "BAD" not in {result for result, _ in found.values()}
    assert {"python", "authflow", "clients", "config", "keyring", "sup: store", "sup: clock"} <= found.keys()
    assert found["config"] == ("ok", f"{account.config}: sup")
    assert found["sup: clock"][0] == "ok"
    assert supplier.counts == {"other": 1}


def test_doctor_tells_a_newcomer_what_is_not_there_yet_and_how_to_get_it(shell: Shell) -> None:
    code, found = checks(shell)
    assert code == 0
    assert found["config"][0] == "note"
    assert f"{shell.config} is not there yet: authflow login VENDOR --save NAME" in found["config"][1]
    assert found["store"] == ("ok", str(shell.home / "state" / "authflow"))
    shell.write("")
    assert "no accounts yet" in checks(shell)[1]["config"][1]
    code, found = checks(shell, AUTHFLOW_STORE="redis://:hunter2@127.0.0.1:1/0")
    assert (code, found["store"][0], "hunter2" in found["store"][1]) == (1, "BAD", False)


def test_doctor_tries_to_write() -> None:
    class ReadOnly:
        def load(self, key: str) -> None:
            return None

        def save(self, *arguments: object, **more: object) -> str:
            raise StoreError("No room (store='/path').")

    check = _kept("store", ReadOnly(), "there", "0" * 32)  # type: ignore[arg-type]
    assert (check.result, check.says) == ("BAD", "there cannot be written to: No room (store='/path').")
    assert as_typed(check.says).endswith("(--store /path).")


def test_doctor_finds_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    looked: list[Path] = []

    def full(path: Path) -> SimpleNamespace:
        looked.append(path)
        return SimpleNamespace(total=1 << 30, free=4096)

    monkeypatch.setenv("AUTHFLOW_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr("shutil.disk_usage", full)
    account = Account("sup", "supplier", str(folder), GIVEN)
    (found,) = (check for check in examine(lambda: [account], offline=True) if check.what == "sup: store")
    assert (found.result, "its disk is full" in found.says, str(folder) in found.says) == ("BAD", True, True)
    assert looked == [tmp_path]


def test_doctor_used_wrongly_looks_at_nothing(account: Shell) -> None:
    done = account("doctor", "sup", "--set", "x")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(("ahead", "result"), [(0.0, "ok"), (-600.0, "BAD"), (600.0, "BAD"), (12.0, "note")])
def test_doctor_compares_clocks_and_sends_no_secret(account: Shell, ahead: float, result: str) -> None:
    sent: list[bytes] = []

    class Clock(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sent.append(self.request.recv(1 << 16))
            date = formatdate(time.time() + ahead, usegmt=True)
            self.request.sendall(f"HTTP/1.1 404 No\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Clock) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        _, found = checks(account, "sup", "--set", f"base_url=http://127.0.0.1:{server.server_address[1]}/api/")
        thread.join()
    assert sent[0].startswith(b"HEAD /api/ ")
    assert PASSWORD.encode() not in sent[0]
    assert b"authorization" not in sent[0].lower()
    assert found["sup: clock"][0] == result, found["sup: clock"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_doctor_finds_a_folder_that_others_may_write_to(account: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    code, found = checks(account, "sup", "--store", str(folder), "--offline")
    assert (code, found["sup: store"][0]) == (1, "BAD")
    assert "chmod 700" in found["sup: store"][1]


def test_doctor_finds_redis_unreachable(account: Shell) -> None:
    code, found = checks(account, "sup", "--store", "redis://127.0.0.1:1/0", "--offline")
    assert (code, found["sup: store"][0]) == (1, "BAD")


def test_doctor_finds_a_vendor_that_does_not_answer(account: Shell) -> None:
    code, found = checks(account, "sup", "--set", "base_url=http://127.0.0.1:9/")
    assert (code, found["sup: clock"][0]) == (1, "BAD")


def test_doctor_names_a_config_that_cannot_be_read_and_a_command_that_is_not_there(account: Shell) -> None:
    text = account.config.read_text()
    account.write(text.replace('{ env = "SUP_PASSWORD" }', '{ command = ["no-such-manager"] }'))
    code, found = checks(account, "--offline")
    assert (code, found["sup: password"]) == (1, ("BAD", "the command no-such-manager is not installed"))
    account.write("accounts = 3")
    code, found = checks(account, "--offline")
    assert (code, found["config"][0]) == (1, "BAD")


def test_doctor_wants_a_keyring_where_an_account_does(account: Shell) -> None:
    backend = "keyring.backends.fail.Keyring"
    assert checks(account, "--offline", PYTHON_KEYRING_BACKEND=backend)[1]["keyring"][0] == "note"
    account.write(account.config.read_text().replace('{ env = "SUP_PASSWORD" }', "{ keyring = true }"))
    code, found = checks(account, "--offline", PYTHON_KEYRING_BACKEND=backend)
    assert (code, found["keyring"][0]) == (1, "BAD")


def test_status_and_doctor_say_of_an_end_that_could_not_be_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save("a" * 32, Record("signed_in", {"access": "t"}, 1.0, unread_end="expires_in").to_bytes(), None)
    check = _kept("store", store, "here", "a" * 32)
    assert (check.result, "expires_in" in check.says) == ("note", True)
    assert "its expires_in could not be read" in _left(Line("a", "v", "s", issued_at=1.0, unread_end="expires_in"), 2.0)
