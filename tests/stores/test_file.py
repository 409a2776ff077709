"""What is the file store's own: whole records, private files, and refusals that say how to mend them."""

from __future__ import annotations

import logging
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from authflow.errors import StoreError
from authflow.stores import Conflict, FileStore, LockTimeout, Stored, file, private, turns

KEY = "vendor-1"
StartChild = Callable[[Callable[[Connection], None]], Any]


@pytest.fixture
def store(file_store: FileStore) -> FileStore:
    return file_store


@pytest.fixture
def record(store: FileStore) -> Path:
    """The file of a record that is there."""
    store.save(KEY, b"s3cr3t", None)
    return store.folder / f"{KEY}.json"


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# Only this user's


@pytest.mark.parametrize("mask", [0, 0o777, 0o077, 0o277])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
    umask(mask)
    store = FileStore(tmp_path / "a" / "b")
    for revision in (None, None):
        with store.lock(KEY, limit=5, wait=5):
            store.delete(KEY)
            store.save(KEY, b"1", revision)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert {mode(path) for path in store.folder.iterdir()} == {0o600}


def test_nothing_is_shared_for_an_instant(
    tmp_path: Path, umask: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made private from the start, not made public and mended: without the mending, rights are the same."""
    umask(0)
    monkeypatch.setattr(os, "chmod", lambda *_, **__: None)
    monkeypatch.setattr(os, "fchmod", lambda *_, **__: None)
    store = FileStore(tmp_path / "a" / "b")
    with store.lock(KEY, limit=5, wait=5):
        store.save(KEY, b"1", None)
    assert [mode(tmp_path / "a"), mode(store.folder)] == [0o700, 0o700]
    assert {mode(path) for path in store.folder.iterdir()} == {0o600}


@contextmanager
def refused(store: FileStore, command: str) -> Iterator[None]:
    """Every verb refuses, without what is in the record, and says `command`; once that has run, all is well."""
    for verb in (lambda: store.load(KEY), lambda: store.save(KEY, b"2", None)):
        with pytest.raises(StoreError) as caught:
            verb()
        assert not isinstance(caught.value, Conflict)
        assert f"'{command}'" in str(caught.value)
        assert "s3cr3t" not in str(caught.value)
    assert [path for path in store.folder.iterdir() if path.suffix == ".tmp"] == []
    yield
    subprocess.run(command, shell=True, check=True)
    store.load(KEY)


@pytest.mark.parametrize("rights", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_record_that_others_may_read_is_refused(store: FileStore, record: Path, rights: int) -> None:
    record.chmod(rights)
    with refused(store, f"chmod 600 {record}"):
        pass
    found = store.load(KEY)
    assert found is not None
    assert found.data == b"s3cr3t"


def test_a_symbolic_link_is_refused(store: FileStore, record: Path, tmp_path: Path) -> None:
    elsewhere = record.rename(tmp_path / "elsewhere")
    record.symlink_to(elsewhere)
    with refused(store, f"rm {record}"):
        assert elsewhere.exists()
    record.symlink_to(tmp_path / "nowhere")
    with refused(store, f"rm {record}"):
        pass


def test_what_is_no_file_is_refused(store: FileStore, record: Path) -> None:
    record.unlink()
    os.mkfifo(record, 0o600)
    with refused(store, f"rm -r {record}"):
        pass


@pytest.mark.parametrize("rights", [0o777, 0o770, 0o702, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(store: FileStore, record: Path, rights: int) -> None:
    store.folder.chmod(rights)
    with pytest.raises(StoreError), store.lock(KEY, limit=1, wait=1):
        pass
    with refused(store, f"chmod 700 {store.folder}"):
        pass


def test_a_folder_that_somebody_else_makes_meanwhile_is_refused(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_by_another(folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o777)

    monkeypatch.setattr(private, "make_folder", made_by_another)
    with pytest.raises(StoreError, match="chmod 700"):
        store.save(KEY, b"1", None)


def test_commands_are_quoted(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "it's mine")
    store.save(KEY, b"1", None)
    (store.folder / f"{KEY}.json").chmod(0o644)
    with pytest.raises(StoreError) as caught:
        store.load(KEY)
    command = str(caught.value).partition("run '")[2].partition("' (and")[0]
    subprocess.run(command, shell=True, check=True)
    assert store.load(KEY) is not None


def test_a_folder_for_all_users_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(StoreError, match=r"a folder of your own in it \(store='.*/name'\)"):
        FileStore(tmp_path).save(KEY, b"1", None)


def test_what_belongs_to_another_user_is_refused(
    store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for verb in (lambda: store.load(KEY), lambda: store.save(KEY, b"2", None)):
        with pytest.raises(StoreError, match=r"The folder .* belongs to another user.*store='/path'"):
            verb()
    monkeypatch.setattr(private, "has_folder", lambda _: True)
    with pytest.raises(StoreError, match="belongs to another user: run 'rm -f "):
        store.load(KEY)


def test_two_users_do_not_share_a_folder(store: FileStore, record: Path, child: StartChild) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")

    def other_user(_: Connection) -> None:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
        for verb in (lambda: store.load(KEY), lambda: store.save(KEY, b"1", None), lambda: store.delete(KEY)):
            with pytest.raises(StoreError, match=r"store='/path'"):
                verb()

    assert child(other_user).wait() == 0


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("")
    with pytest.raises(StoreError, match="is not a folder"):
        FileStore(tmp_path / "tokens").load(KEY)


@pytest.mark.parametrize("key", ["../x", "", "A", "a/b", ".a", "a\n", "é"])
def test_keys_are_names_of_files(store: FileStore, key: str) -> None:
    for verb in (store.load, store.delete, lambda key: store.save(key, b"", None)):
        with pytest.raises(ValueError, match="key"):
            verb(key)
    with pytest.raises(ValueError, match="key"), store.lock(key, limit=1, wait=1):
        pass


# Folders that cannot be written


def test_a_read_only_home(tmp_path: Path, child: StartChild) -> None:
    home = tmp_path / "home"
    home.mkdir(0o755)
    store = FileStore(home / ".local" / "authflow")

    def user(_: Connection) -> None:
        if os.geteuid() == 0:
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        assert store.load(KEY) is None
        for verb in (lambda: store.save(KEY, b"1", None), lambda: store.lock(KEY, limit=1, wait=1).__enter__()):
            with pytest.raises(StoreError, match=r"permission denied.*store='/path'.*store='memory'") as caught:
                verb()
            assert isinstance(caught.value.__cause__, PermissionError)

    for folder in (home, *tmp_path.parents[:3], tmp_path):
        folder.chmod(0o555 if folder == home else 0o755)
    assert child(user).wait() == 0


@pytest.mark.parametrize(("number", "advice"), [(28, "make room"), (30, "store='memory'"), (5, "store='/path'")])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails(
    store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str, step: str
) -> None:
    found = store.load(KEY)
    assert found is not None

    def fail(*_: object) -> None:
        raise OSError(number, "Broken")

    with monkeypatch.context() as broken:
        broken.setattr(os, step, fail)
        with pytest.raises(StoreError, match=advice) as caught:
            store.save(KEY, b"new", found.revision)
    assert isinstance(caught.value.__cause__, OSError)
    assert store.load(KEY) == found
    assert list(store.folder.glob(".*.tmp")) == []


# Whole records


def test_the_order_of_a_save(store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on the disk before it has the record's name, and the name is before the save returns."""
    found, steps = store.load(KEY), []
    fsync, replace = os.fsync, os.replace

    def note_fsync(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"file of {os.fstat(fd).st_size > 100}"
        steps.append(f"sync {kind}")
        fsync(fd)

    def note_replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        steps.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    assert found is not None
    store.save(KEY, b"new", found.revision)
    assert steps == ["sync file of True", f"rename to {KEY}.json", "sync folder"]


@pytest.mark.parametrize("step", range(8))
def test_killed_at_every_step(store: FileStore, record: Path, child: StartChild, step: int) -> None:
    before = store.load(KEY)
    assert before is not None

    def save(_: Connection) -> None:
        passed = 0

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def step_and_call(*given: Any, **named: Any) -> Any:
                nonlocal passed
                passed += 1
                if passed == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **named)

            return step_and_call

        with store.lock(KEY, limit=1000, wait=0):
            for name in ("write_new", "read", "sync_folder"):
                setattr(private, name, dying(getattr(private, name)))
            for name in ("fsync", "replace", "unlink"):
                setattr(os, name, dying(getattr(os, name)))
            store.save(KEY, b"new", before.revision)

    ended = child(save).wait()
    after = store.load(KEY)
    assert after is not None
    assert after == before or after.data == b"new"
    if ended == 0:
        assert after.data == b"new"
        assert step in (0, 7)
    else:
        assert ended == -signal.SIGKILL
    with store.lock(KEY, limit=5, wait=60):  # the kernel gave it back, long before its limit
        store.save(KEY, b"newer", after.revision)


def test_a_damaged_record_is_set_aside(store: FileStore, record: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = record.read_bytes()
    damaged = [whole[:end] for end in range(len(whole) - 2)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(18, len(whole) - 3, 3)]
    damaged += [b"\0" * len(whole), b"[]", b"{}", b"null", b"\xff", b'{"authflow": 1}']
    aside = record.with_name(f"{record.name}.corrupt")
    for content in damaged:
        caplog.clear()
        record.touch(0o600)
        record.write_bytes(content)
        with caplog.at_level(logging.WARNING, "authflow"):
            assert store.load(KEY) is None, content
        assert aside.read_bytes() == content
        assert not record.exists()
        assert [entry.name for entry in caplog.records] == ["authflow"]
        assert "czNjcjN0" not in caplog.text  # s3cr3t, as the file has it
        aside.unlink()
    record.touch(0o600)
    record.write_bytes(whole)
    assert store.load(KEY) is not None


def test_a_save_in_the_place_of_a_damaged_record(
    store: FileStore, record: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = store.load(KEY)
    assert before is not None
    record.write_bytes(b"{")
    with pytest.raises(Conflict):
        store.save(KEY, b"new", before.revision)
    assert "is set aside as" in caplog.text
    record.with_name(f"{record.name}.corrupt").replace(record)
    store.save(KEY, b"new", None)
    assert record.with_name(f"{record.name}.corrupt").read_bytes() == b"{"


def test_a_record_that_was_repaired_meanwhile_is_not_set_aside(
    store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, guarded = record.read_bytes(), turns.guarded

    @contextmanager
    def late(folder: Path, key: str) -> Iterator[None]:
        record.write_bytes(whole)  # somebody saves between our look at it and the guard
        with guarded(folder, key):
            yield

    record.write_bytes(b"{")
    monkeypatch.setattr(turns, "guarded", late)
    found = store.load(KEY)
    assert found is not None
    assert found.data == b"s3cr3t"


def test_what_a_dead_process_left_is_removed(store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once an hour, and each folder's at its first save."""
    found = store.load(KEY)
    old, young, other = (store.folder / f".{key}.{'0' * 15}{n}.tmp" for n, key in enumerate([KEY, KEY, "vendor-2"]))
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 7200,) * 2)
    assert found is not None
    revision = store.save(KEY, b"new", found.revision)
    assert [old.exists(), young.exists(), other.exists()] == [True, True, True]  # the folder was searched before
    monkeypatch.setitem(file._looked, store.folder, time.monotonic() - 3601)
    store.save(KEY, b"newer", revision)
    assert [old.exists(), young.exists(), other.exists()] == [False, True, False]


def test_a_save_whose_temporary_file_was_removed_writes_another(
    store: FileStore, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, replace = store.load(KEY), os.replace

    def removed_first(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        source.unlink()
        replace(source, target)

    monkeypatch.setattr(os, "replace", removed_first)
    assert found is not None
    revision = store.save(KEY, b"new", found.revision)
    assert store.load(KEY) == Stored(b"new", revision)


# The lock


def test_the_lock_of_a_dead_process_is_free_at_once(store: FileStore, child: StartChild) -> None:
    def hold(talk: Connection) -> None:
        store.lock(KEY, limit=100_000, wait=0).__enter__()
        talk.send("inside")
        talk.recv()

    holder = child(hold)
    assert holder.hear() == "inside"
    holder.kill()
    with store.lock(KEY, limit=5, wait=60):
        pass


def test_a_turn_that_cannot_be_read_stops_nobody(store: FileStore) -> None:
    for content in (b"", b"0", b"x y", b"\0" * 34):
        with store.lock(KEY, limit=0.01, wait=0):
            (store.folder / f"{KEY}.turn").write_bytes(content)
            with store.lock(KEY, limit=60, wait=60), pytest.raises(LockTimeout), store.lock(KEY, limit=1, wait=0):
                pass


def test_no_files_are_left_of_generations_that_were_passed_over(store: FileStore) -> None:
    for _ in range(5):
        with store.lock(KEY, limit=0.01, wait=0), store.lock(KEY, limit=60, wait=60):
            pass
    assert len(list(store.folder.glob("*.lock"))) <= 1


def test_one_who_was_stopped_inside_the_guard(store: FileStore, record: Path, child: StartChild) -> None:
    """The one case in which the others cannot go on: they say so, in time, and go on when he does."""

    def save(talk: Connection) -> None:
        with turns.guarded(store.folder, KEY):
            talk.send("inside")
            talk.recv()

    stopped = child(save)
    assert stopped.hear() == "inside"
    stopped.stop()
    with pytest.raises(LockTimeout, match="fuser -v"), store.lock(KEY, limit=5, wait=0.1):
        pass
    assert store.load(KEY) is not None
    stopped.go_on()
    stopped.tell("leave")
    with store.lock(KEY, limit=5, wait=60):
        pass


def test_leaving_in_another_thread_gives_the_file_back(store: FileStore) -> None:
    lock = store.lock(KEY, limit=60, wait=0)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
        one.submit(lock.__enter__).result(60)
        another.submit(lock.__exit__, None, None, None).result(60)
        with store.lock(KEY, limit=60, wait=0):
            assert [path.name for path in store.folder.glob("*.lock")] == [f"{KEY}.0.lock"]
