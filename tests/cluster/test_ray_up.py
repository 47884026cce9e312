"""`cluster.yaml` for real, over SSH to this machine: `ray up`, `submit`, `job submit`, `rsync-down`, `down`.

The SSH server lives in namespaces of its own, with another home and its own processes: `ray stop`, which `ray up` and
`ray down` call, ends nothing else on this machine, and no login file of root is touched.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.nodes import RAY, free_port, wait_for_job_agent, wait_until
from tests.runs import ROOT, manifest, run_local
from twin.results.reader import open_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
HOME = Path("/root")
CHANGES = {
    "192.0.2.10 ": "127.0.0.1 ",
    "[192.0.2.11, 192.0.2.12]": "[]",
    "ssh_user: ubuntu": "ssh_user: root",
    "min_workers: 2 ": "min_workers: 0 ",
    "max_workers: 2 ": "max_workers: 0 ",
    "--num-cpus=0": f"--num-cpus=2 --dashboard-agent-listen-port={free_port()}",
    "python3 -m venv": f"{sys._base_executable} -m venv",
}
"""What the file asks its reader to change, the Python that the tests run on, and a port that other Rays do not want."""


def serve_ssh(folder):
    """An SSH server on port 22 that takes the key ``folder/key``; its home of root is ``folder/home``."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    shutil.copy(folder / "key.pub", home / ".ssh" / "authorized_keys")
    (home / ".profile").write_text("")
    subprocess.run(["ssh-keygen", "-A"], check=True, capture_output=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    mounts = []
    needed = [Path(sys.base_prefix), *([ROOT] if HOME in ROOT.parents else [])]
    for path in (path for path in needed if HOME in path.parents):
        inside = home / path.relative_to(HOME)
        inside.mkdir(parents=True)
        mounts.append(f"mount --bind {path} {inside}")
    server = "/usr/sbin/sshd -D -e -p 22 -o ListenAddress=127.0.0.1 -o PermitRootLogin=prohibit-password"
    script = " && ".join([*mounts, f"mount --rbind {home} {HOME}", f"exec {server}"])
    command = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script]
    log = folder / "sshd.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)

    def listening():
        assert process.poll() is None, log.read_text()
        return "listening" in log.read_text()

    wait_until(listening, "the SSH server", 30.0)
    return process


def ray(*args, limit_s=400.0):
    return subprocess.run([*RAY, *args], cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The folder of a cluster that is up; ``cluster.yaml`` in it."""
    folder = tmp_path_factory.mktemp("cluster")
    made = ray("get-auth-token", "--generate")
    assert made.returncode == 0, made.stderr
    server = serve_ssh(folder)
    text = (ROOT / "cluster.yaml").read_text()
    for old, new in CHANGES.items():
        assert old in text, f"cluster.yaml lacks {old}"
        text = text.replace(old, new)
    config = folder / "cluster.yaml"
    config.write_text(text.replace("~/.ssh/id_ed25519", str(folder / "key")))
    try:
        up = ray("up", "-y", "--no-config-cache", str(config))
        assert up.returncode == 0, up.stdout + up.stderr
        yield folder
        down = ray("down", "-y", str(config))
        assert "No nodes remaining" in down.stdout + down.stderr
    finally:
        server.kill()  # it ignores milder signals; its namespace ends with it
        server.wait(timeout=30)


def in_home(folder, path):
    return folder / "home" / path


def test_ray_submit_runs_the_quickstart_and_results_are_fetched(cluster, tmp_path):
    config = str(cluster / "cluster.yaml")
    submit = ["submit", "--no-config-cache", config, "submit.py"]
    done = ray(*submit, "run", "gridtwin/scenarios/quickstart.yaml", "--out", "runs/quickstart")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    fetched = ray("rsync-down", config, "/root/runs/quickstart/", str(tmp_path / "quickstart"))
    assert fetched.returncode == 0, fetched.stderr
    assert manifest(tmp_path / "quickstart")["status"] == "complete"
    assert f"run    {open_run(str(tmp_path / 'quickstart')).digest()}" in said
    assert "</html>" in (tmp_path / "quickstart" / "report.html").read_text()
    # The home is new, so no kernel was there: one of the two shards compiled them, and a later run finds them.
    assert "1 shard waits for the kernels of another" in (tmp_path / "quickstart" / "log.txt").read_text()
    assert len(list(in_home(cluster, ".cache/twin/kernels").glob("compiled-*"))) == 1


def test_a_stopped_job_says_how_to_resume_and_exit_codes_are_kept(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    address = "http://127.0.0.1:8265"
    where = ["--address", address]
    submit = ["job", "submit", *where, "--working-dir", ".", "--submission-id"]
    run = ["--", "python", "-m", "twin", "run"]
    wait_for_job_agent(address)
    wrong = ray(*submit, "wrong", *run, "scenarios/nothing.yaml")
    assert "exit code 2" in wrong.stdout + wrong.stderr
    tiny = [*run, "scenarios/ci_tiny.yaml", "--set", "time.days=2", "--out", "/root/runs/job"]
    assert ray(*submit, "stopped", "--no-wait", *tiny).returncode == 0
    commits = in_home(cluster, "runs/job/commits")
    wait_until(lambda: list(commits.glob("1block-*")), "the job's first block", 300.0)
    ray("job", "stop", *where, "stopped")
    log = ray("job", "logs", *where, "stopped").stdout
    assert "[twin] simulating" in log
    assert "--resume --out /root/runs/job" in log
    stopped = in_home(cluster, "runs/job")
    assert manifest(stopped)["status"] == "interrupted"
    resumed = ray(*submit, "resumed", *tiny, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert manifest(stopped)["attempts"] == 2
    here = run_local(tmp_path / "here", overrides=("time.days=2",))
    assert open_run(str(stopped)).digest() == here.digest()
