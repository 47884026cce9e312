"""A folder in use is refused, never overwritten; the same run may go on."""

import pytest

from twin.errors import FencedError, RunFolderError
from twin.results.commits import begin_attempt, latest_attempt
from twin.results.storage import Storage
from twin.simulation.manifest import Manifest
from twin.simulation.runfolder import claim


def test_a_new_folder_is_claimed_and_resumed(tmp_path):
    first = claim(str(tmp_path / "run"), "abc", resume=False, shards=2)
    again = claim(str(tmp_path / "run"), "abc", resume=True, shards=5)
    assert (first.attempt, again.attempt) == (1, 2)
    assert not again.completed


def test_resume_on_nothing_starts_it(tmp_path):
    assert claim(str(tmp_path / "none"), "abc", resume=True, shards=1).attempt == 1


USED = [("abc", False, "not empty"), ("xyz", True, "another scenario")]


@pytest.mark.parametrize(("identity", "resume", "said"), USED)
def test_a_used_folder_is_refused(tmp_path, identity, resume, said):
    folder = claim(str(tmp_path / "run"), "abc", resume=False, shards=1)
    with pytest.raises(RunFolderError, match=said):
        claim(str(tmp_path / "run"), identity, resume=resume, shards=1)
    assert latest_attempt(folder.storage) == 1


def test_a_folder_of_other_things_is_refused_even_to_resume(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="no run that could be resumed"):
        claim(str(tmp_path), "abc", resume=True, shards=1)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_manifest_of_an_older_attempt_does_not_replace_that_of_a_newer_one(tmp_path):
    """The newer attempt begins while the older one already writes, which is the last moment to see it."""
    storage = Storage(str(tmp_path))
    old, new = (Manifest("name", "identity", 1, "command", attempts=number) for number in (1, 2))
    begin_attempt(storage, "identity", None)
    old.write(storage)
    write_bytes = storage.write_bytes

    def slowly(path, data):
        record = write_bytes(path, data)
        if path.startswith("manifest.json.") and latest_attempt(storage) == 1:
            begin_attempt(storage, "identity", None)
            new.write(storage)
        return record

    storage.write_bytes = slowly
    with pytest.raises(FencedError):
        old.write(storage)
    assert storage.read_json("manifest.json")["attempts"] == 2
    assert [path.name for path in tmp_path.glob("manifest*")] == ["manifest.json"]
