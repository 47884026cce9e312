"""Kill -9 of what a run consists of, at random moments: it goes on, or resumes, to the digest of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.cluster.nodes import Cluster, Driver, free_port, wait_until
from tests.runs import ROOT, TINY, manifest, run_local, twin
from twin.results.reader import open_run

pytestmark = pytest.mark.timeout(900)
THREE_DAYS = ("--set", "time.days=3")


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """Of the same run, undisturbed, in one process."""
    return run_local(tmp_path_factory.mktemp("run") / "whole", overrides=THREE_DAYS[1:]).digest()


def test_a_killed_actor_costs_one_attempt_and_no_bit(digest, tmp_path):
    run = Driver(tmp_path / "run", *THREE_DAYS, "--shards", "2")
    run.wait_for_block()
    os.kill(run.shard_process(1), signal.SIGKILL)
    assert run.end() == 0, run.said
    assert "shard 1 (process" in run.said
    assert "going on from the last checkpoint" in run.said
    assert "Traceback" not in run.said
    assert "goes on from its checkpoint at block" in (run.out / "log.txt").read_text()
    lost = manifest(run.out)["recoveries"]
    assert [(loss["attempt"], loss["shards"]) for loss in lost] == [(2, 2)]
    assert open_run(str(run.out)).digest() == digest


@pytest.mark.cluster
def test_a_killed_node_leaves_a_run_on_the_other(digest, tmp_path):
    cluster = Cluster(tmp_path)
    try:
        cluster.add("first")
        cluster.add("second")
        run = Driver(tmp_path / "run", *THREE_DAYS, "--address", cluster.address, env=cluster.env)
        run.wait_for_block()
        cluster.kill("second")
        assert run.end() == 0, run.said
    finally:
        cluster.stop()
    assert [loss["shards"] for loss in manifest(run.out)["recoveries"]] == [1], run.said
    assert open_run(str(run.out)).digest() == digest


def test_a_stop_signal_leaves_a_run_that_can_be_resumed(digest, tmp_path):
    """As `ray job stop` sends it; Ray's own handling of it would end the process before it can say so."""
    run = Driver(tmp_path / "run", *THREE_DAYS, "--shards", "2")
    run.wait_for_block()
    run.process.send_signal(signal.SIGTERM)
    assert run.end(60.0) == 4, run.said
    assert f"--resume --out {run.out}" in run.said
    assert "SIGTERM" not in run.said
    assert manifest(run.out)["status"] == "interrupted"
    again = ["--resume", "--backend", "local", "--shards", "1"]
    done = twin("run", str(TINY), *THREE_DAYS, "--out", str(run.out), *again)
    assert done.returncode == 0, done.stderr
    assert open_run(str(run.out)).digest() == digest


def test_a_driver_that_comes_back_is_stopped_by_the_newer_attempt(digest, tmp_path):
    old = Driver(tmp_path / "run", *THREE_DAYS, "--backend", "local", "--shards", "1")
    old.wait_for_block()
    os.kill(old.process.pid, signal.SIGSTOP)
    new = twin("run", str(TINY), *THREE_DAYS, "--out", str(old.out), "--resume", "--backend", "local", "--shards", "3")
    assert new.returncode == 0, new.stderr
    os.kill(old.process.pid, signal.SIGCONT)
    assert old.end() == 4, old.said
    assert "attempt 2 has taken over" in old.said
    assert manifest(old.out)["status"] == "complete"
    assert open_run(str(old.out)).digest() == digest


@pytest.mark.cluster
def test_a_shard_that_dies_again_and_again_ends_the_run(tmp_path):
    run = Driver(tmp_path / "run", *THREE_DAYS, "--shards", "1")
    killed = set()
    while len(killed) < 3:
        wait_until(lambda: run.shard_process(0) not in killed, "the next attempt's shard")
        killed.add(run.shard_process(0))
        os.kill(run.shard_process(0), signal.SIGKILL)
    assert run.end() == 4, run.said
    assert "workers died 3 times while nothing was committed" in run.said
    assert f"--resume --out {run.out}" in run.said
    assert manifest(run.out)["status"] == "interrupted"


@pytest.mark.cluster
@pytest.mark.parametrize("seed", [11])
def test_random_kills_change_no_bit(digest, tmp_path, seed):
    """An actor, then the driver with its actors alive, each at a moment drawn from the seed; then other shards."""
    draw = random.Random(seed)
    run = Driver(tmp_path / "run", *THREE_DAYS, "--shards", "2")
    process = run.shard_process(draw.randrange(2))
    time.sleep(draw.uniform(0.0, 8.0))
    os.kill(process, signal.SIGKILL)
    time.sleep(draw.uniform(0.0, 12.0))
    run.process.kill()
    run.process.wait()
    again = ["--resume", "--shards", str(draw.choice([1, 3]))]
    done = twin("run", str(TINY), *THREE_DAYS, "--out", str(run.out), *again)
    assert done.returncode == 0, done.stderr
    assert open_run(str(run.out)).digest() == digest


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on this machine with an empty bucket."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    where = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    from pyarrow import fs

    def listening() -> bool:
        store, path = fs.FileSystem.from_uri(f"s3://runs?{where}")
        try:
            store.create_dir(path)
        except OSError:
            return False
        return True

    wait_until(listening, "the S3 server", 60.0)
    yield lambda name: f"s3://runs/{name}?{where}"
    server.kill()
    server.wait()


def test_a_run_in_an_object_store_is_killed_and_resumed(bucket, digest, tmp_path):
    out = bucket("tiny")
    command = [sys.executable, "-m", "twin", "run", str(TINY), *THREE_DAYS, "--out", out]
    first = subprocess.Popen(
        [*command, "--backend", "local", "--shards", "1"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for line in first.stderr:
        if "[twin] 1/3 blocks" in line:
            break
    first.kill()
    first.wait()
    first.stderr.close()
    done = subprocess.run(
        [*command, "--resume", "--shards", "2"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    run = open_run(out)
    assert run.manifest["attempts"] == 2
    assert run.digest() == digest
