"""What storage and claims do when something fails: retry, name it, use the file before, stop the older attempt."""

import errno
import shutil
import threading

import pytest

from tests.runs import TINY, run_local
from twin.errors import FencedError, RunInterrupted, StorageError, WorkerLost
from twin.recovery import MOST_WITHOUT_PROGRESS, keep_going
from twin.results import storage as storage_module
from twin.results.commits import BlockKey, Commit, begin_attempt, latest_attempt, read_commits, write_commit
from twin.results.reader import open_run
from twin.results.storage import DamagedFile, Storage
from twin.runner import RunOptions, run_scenario
from twin.scenario import load_scenario
from twin.simulation.engine import Engine
from twin.simulation.runfolder import claim


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(storage_module, "RETRY_AFTER_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr("twin.recovery.FIRST_WAIT_S", 0.0)


class Flaky:
    """A file system of which the first calls of one method fail."""

    def __init__(self, inner, method, failures, code=errno.EIO):
        self.inner, self.method, self.left, self.code = inner, method, failures, code

    def __getattr__(self, name):
        real = getattr(self.inner, name)
        if name != self.method:
            return real

        def call(*args, **kwargs):
            if self.left:
                self.left -= 1
                raise OSError(self.code, "the store stumbles")
            return real(*args, **kwargs)

        return call


METHODS = [("open_output_stream", "write"), ("open_input_stream", "read"), ("get_file_info", "list")]


@pytest.mark.parametrize(("method", "what"), METHODS)
def test_a_call_that_fails_twice_works_and_one_that_always_fails_names_the_file(tmp_path, method, what):
    storage = Storage(str(tmp_path))
    storage.write_bytes("a/b.txt", b"before")

    def use():
        storage.write_bytes("a/b.txt", b"after")
        return storage.read_bytes("a/b.txt"), storage.list("a")

    storage.fs = Flaky(storage.fs, method, 2)
    assert use() == (b"after", ["a/b.txt"])
    assert storage.retries == 2
    storage.fs = Flaky(storage.fs.inner, method, 1000)
    with pytest.raises(StorageError, match=rf"cannot {what} {tmp_path}/a.*stumbles.*resume"):
        use()


def test_a_full_disk_is_not_tried_again(tmp_path):
    storage = Storage(str(tmp_path))
    storage.fs = Flaky(storage.fs, "open_output_stream", 1, errno.ENOSPC)
    with pytest.raises(StorageError, match="make room"):
        storage.write_bytes("a.txt", b"x")


def test_a_damaged_or_missing_file_is_noticed(tmp_path):
    storage = Storage(str(tmp_path))
    record = storage.write_bytes("a.txt", b"content")
    assert storage.is_intact(record)
    for damaged in (b"c0ntent", b"cont"):
        (tmp_path / "a.txt").write_bytes(damaged)
        assert not storage.is_intact(record)
        with pytest.raises(DamagedFile):
            storage.read_checked(record)
    (tmp_path / "a.txt").unlink()
    assert not storage.is_intact(record)
    with pytest.raises(DamagedFile):
        storage.read_checked(record)


def test_an_older_attempt_cannot_commit_once_a_newer_has_begun(tmp_path):
    storage = Storage(str(tmp_path))
    first = begin_attempt(storage, "x", 1)
    write_commit(storage, Commit(BlockKey("1block"), first, ()))
    begin_attempt(storage, "x", 1)
    with pytest.raises(FencedError, match="attempt 2 has taken over"):
        write_commit(storage, Commit(BlockKey("1block", block=1), first, ()))
    assert [commit.key.block for commit in read_commits(storage)] == [0]


def test_attempts_that_begin_at_once_get_numbers_of_their_own(tmp_path):
    numbers = []
    threads = [
        threading.Thread(target=lambda: numbers.append(begin_attempt(Storage(str(tmp_path)), "x", 1))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == len(set(numbers)) == 4
    assert latest_attempt(Storage(str(tmp_path))) >= max(numbers)


def test_records_cut_short_do_not_count(tmp_path):
    folder = claim(str(tmp_path / "run"), "x", resume=False, shards=1)
    for block in range(2):
        write_commit(folder.storage, Commit(BlockKey("1block", block=block), 1, ()))
    for path in ("commits/1block-p0000-r0000-b00001-a000001.json", *folder.storage.list("attempts")):
        (tmp_path / "run" / path).write_text('{"kind": "1bl')
    again = claim(str(tmp_path / "run"), "x", resume=True, shards=1)
    assert [commit.key.block for commit in again.commits] == [0]


def test_losses_with_progress_go_on_and_without_end(tmp_path):
    storage = Storage(str(tmp_path))
    said, losses = [], []

    def attempt(loss):
        losses.append(loss)
        if len(losses) <= 5:
            write_commit(storage, Commit(BlockKey("1block", block=len(losses)), len(losses), ()))
            raise WorkerLost("shard 1 died during block 1: killed")
        return "done"

    assert keep_going(storage, attempt, said.append) == "done"
    assert [loss.number for loss in losses[1:]] == [1] * 5
    assert said[0].startswith("shard 1 died during block 1; going on")
    losses.clear()

    def hopeless(loss):
        losses.append(loss)
        raise WorkerLost("shard 0 died: killed")

    with pytest.raises(WorkerLost, match="3 times while nothing was committed"):
        keep_going(storage, hopeless, said.append)
    assert len(losses) == MOST_WITHOUT_PROGRESS


DAYS = ("time.days=3", "output.tables=[effects]", "output.readings.consumers=0", "grid.resolve.fraction=0.0005")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Digests of the undisturbed run."""
    return run_local(tmp_path_factory.mktemp("run") / "whole", overrides=DAYS).digests()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped after two of three days, with two checkpoints."""
    out = tmp_path_factory.mktemp("run") / "stopped"
    commit = Engine._commit

    def stop_before_the_last(self, lane, point, replicate, block, *args):
        if block == 2:
            raise KeyboardInterrupt
        return commit(self, lane, point, replicate, block, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twin.simulation.engine.CHECKPOINT_SHARE", 1e9)
        patch.setattr(Engine, "_commit", stop_before_the_last)
        with pytest.raises(RunInterrupted, match="--resume"):
            run_scenario(load_scenario(TINY, DAYS), RunOptions(out=str(out), backend="local", shards=1))
    assert len({path.name.split("-b")[1][:5] for path in (out / "checkpoints").iterdir()}) == 2
    return out


@pytest.mark.parametrize(
    ("damaged", "said", "times"),
    [("newest", "is not used", 1), ("all", "is not used", 2), ("table", "is done again", 1)],
)
def test_a_damaged_checkpoint_or_table_costs_work_and_no_bit(stopped, whole, tmp_path, caplog, damaged, said, times):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    spoil(out, damaged)
    run_scenario(load_scenario(TINY, DAYS), RunOptions(out=str(out), backend="local", shards=2, resume=True))
    assert caplog.text.count(said) == times
    assert open_run(str(out)).digests() == whole


def spoil(out, what):
    if what == "table":
        files = [next((out / "tables").rglob("*b00001*.parquet"))]
    else:
        files = sorted((out / "checkpoints").iterdir())
        files = [path for path in files if "b00001" in path.name or what == "all"]
    for path in files:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
