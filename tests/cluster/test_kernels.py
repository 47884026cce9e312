"""On a machine without kernels one shard compiles; the others find what they need in the cache."""

import pytest

from tests.runs import TINY, manifest, twin
from twin.results.reader import open_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.xdist_group("ray")]


def test_two_shards_compile_no_kernel_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    runs = {}
    for name in ("cold", "warm"):
        done = twin("run", str(TINY), "--out", str(tmp_path / name), "--shards", "2")
        assert done.returncode == 0, done.stderr
        runs[name] = manifest(tmp_path / name)
    assert len(list((tmp_path / "cache" / "twin" / "kernels").glob("compiled-*"))) == 1
    assert open_run(str(tmp_path / "cold")).digest() == open_run(str(tmp_path / "warm")).digest()
    assert runs["warm"]["wall_s"]["compile"] < 0.05 * runs["cold"]["wall_s"]["compile"]
    logs = {name: (tmp_path / name / "log.txt").read_text() for name in runs}
    assert "1 shard waits for the kernels of another" in logs["cold"]
    assert "kernels of another" not in logs["warm"]
