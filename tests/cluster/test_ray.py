"""The same run on real Ray: equal digests, a killed driver, a joined cluster, a submitted job."""

import os
import secrets
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.nodes import RAY, free_port, wait_for_job_agent
from tests.runs import ROOT, TINY, manifest, run_local, twin
from twin.results.reader import open_run

pytestmark = pytest.mark.timeout(900)
TWO_DAYS = ("time.days=2",)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two days, so that there is something to resume."""
    return run_local(tmp_path_factory.mktemp("run") / "whole", overrides=TWO_DAYS)


def test_ray_gives_the_digest_of_one_process(undisturbed, tmp_path):
    out = tmp_path / "ray"
    done = twin("run", str(TINY), "--set", TWO_DAYS[0], "--out", str(out), "--shards", "2")
    assert done.returncode in (0, 3), done.stderr
    assert open_run(str(out)).digests() == undisturbed.digests()
    assert manifest(out)["backend"] == "ray"


def test_a_killed_driver_resumes_with_other_shards_to_the_same_digest(undisturbed, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "twin", "run", str(TINY), "--set", TWO_DAYS[0], "--out", str(out), "--shards", "2"]
    log = (tmp_path / "log.txt").open("w")
    driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    wait_for_block(out, driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    log.close()
    assert manifest(out)["status"] == "running"
    done = twin(
        "run", str(TINY), "--set", TWO_DAYS[0], "--out", str(out), "--resume", "--shards", "1", "--backend", "local"
    )
    assert done.returncode in (0, 3), done.stderr
    assert manifest(out)["attempts"] == 2
    assert open_run(str(out)).digests() == undisturbed.digests()
    assert not list((out / "checkpoints").glob("*")) if (out / "checkpoints").exists() else True


def test_two_fleets_work_on_two_replicates_at_once_to_the_same_digest(tmp_path):
    """Killed in the middle, with blocks of both replicates committed, and resumed by fewer fleets."""
    many = ("time.days=2", "time.step_minutes=60", "experiment.replicates=3", "experiment.arms={flat: {}}")
    alone = run_local(tmp_path / "alone", overrides=many)
    out = tmp_path / "fleets"
    sets = [word for one in many for word in ("--set", one)]
    command = [sys.executable, "-m", "twin", "run", str(TINY), *sets, "--out", str(out), "--shards", "2"]
    with (tmp_path / "log.txt").open("w") as log:
        driver = subprocess.Popen([*command, "--fleets", "2"], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        wait_for_block(out, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert "1 shards in each of 2 fleets" in (tmp_path / "log.txt").read_text()
    done = twin(*command[3:], "--fleets", "2", "--resume")
    assert done.returncode == 0, done.stderr
    assert manifest(out)["fleets"] == 2
    assert open_run(str(out)).digests() == alone.digests()
    began = {}
    for commit in open_run(str(out)).commits:
        if commit.key.kind == "1block" and commit.attempt == 2:
            began.setdefault(commit.key.replicate, []).extend(span[3:5] for span in commit.extra["spans"])
    ranges = sorted((min(begin for begin, _ in spans), max(end for _, end in spans)) for spans in began.values())
    assert any(first[1] > second[0] for first, second in pairwise(ranges)), "replicates overlap in time"


def wait_for_block(out: Path, driver: subprocess.Popen) -> None:
    """Wait until the first simulated block is committed and the next is under way."""
    limit = time.monotonic() + 600
    while time.monotonic() < limit:
        if list(out.glob("commits/1block-*.json")):
            return
        assert driver.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError("no block was committed within 600 s")


def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path):
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "twin", "run", str(TINY), "--out", str(out), "--shards", "1", "--backend", "local"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 300
    while not (out / "manifest.json").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 4, err
    assert "--resume" in err
    assert "Traceback" not in err
    assert manifest(out)["status"] == "interrupted"


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster on this machine with its job server, its clients told its token."""
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(secret)
    gcs, port = free_port(), free_port()
    flags = f"--head --port={gcs} --num-cpus=2 --node-ip-address=127.0.0.1 --disable-usage-stats"
    board = f"--include-dashboard=true --dashboard-host=127.0.0.1 --dashboard-port={port}"
    board += f" --dashboard-agent-listen-port={free_port()}"
    start = [*RAY, "start", *flags.split(), *board.split()]
    begun = subprocess.run(start, capture_output=True, text=True, timeout=180, check=False)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    address = f"http://127.0.0.1:{port}"
    wait_for_job_agent(address)
    yield address
    subprocess.run([*RAY, "stop", "--force"], capture_output=True, timeout=120, check=False)
    for name in secret:
        del os.environ[name]


def test_joins_a_cluster_as_a_submitted_job(cluster, undisturbed, tmp_path):
    """Joined by `--address` it is in the test of a killed node."""
    out = tmp_path / "job"
    submit = [*RAY, "job", "submit", "--address", cluster, "--", sys.executable,
              "-m", "twin", "run", str(TINY), "--set", TWO_DAYS[0], "--out", str(out), "--shards", "2"]  # fmt: skip
    done = subprocess.run(submit, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[twin] simulating" in done.stdout
    assert open_run(str(out)).digests() == undisturbed.digests()


def test_a_network_of_ones_own_is_one_actor_with_the_same_digest(tmp_path):
    scenario = ROOT / "scenarios" / "own_grid_json.yaml"
    done = twin("run", str(scenario), "--out", str(tmp_path / "ray"), "--shards", "2")
    assert done.returncode == 0, done.stderr
    assert "is one shard" in done.stderr
    local = run_local(tmp_path / "local", scenario=scenario)
    assert open_run(str(tmp_path / "ray")).digests() == local.digests()
