"""Ray nodes and runs as processes that tests may kill."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.runs import ROOT, TINY

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port() -> int:
    """A port that nobody listens on; others, or what a killed driver left behind, may hold the default ones of Ray."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], object], what: str, limit_s: float = 480.0) -> None:
    """Poll until it is true."""
    limit = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < limit, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.05)


def wait_for_job_agent(address: str) -> None:
    """Submit a job that does nothing until the cluster's job agent takes it: it starts some seconds after the head."""
    probe = [*RAY, "job", "submit", "--address", address, "--no-wait", "--", "true"]

    def taken() -> bool:
        return subprocess.run(probe, cwd=ROOT, capture_output=True, timeout=120, check=False).returncode == 0

    wait_until(taken, "the job agent, which starts after the head")


class Cluster:
    """A head without CPUs and nodes with one each, all on this machine; only its own processes are ever stopped."""

    def __init__(self, logs: Path) -> None:
        self.logs, self.nodes = logs, {}
        self.env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.rpartition(":")[2]
        self._start("head", "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")

    def _start(self, name: str, *flags: str) -> None:
        common = ["--block", "--node-ip-address=127.0.0.1", f"--node-name={name}", "--disable-usage-stats"]
        log = self.logs / f"{name}.log"
        with log.open("w") as out:
            command = [*RAY, "start", *common, *flags]
            self.nodes[name] = subprocess.Popen(command, stdout=out, stderr=out, env=self.env)
        wait_until(lambda: "--block" in log.read_text(), f"the node {name}")

    def add(self, name: str) -> None:
        """A node with one CPU."""
        self._start(name, f"--address={self.address}", "--num-cpus=1")

    def kill(self, name: str) -> None:
        """Kill -9 of a node's raylet, as when a machine goes."""
        mine = self.nodes[name].pid
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "Name:\traylet\n" in text and f"PPid:\t{mine}\n" in text:
                os.kill(int(status.parent.name), signal.SIGKILL)
                return
        raise AssertionError(f"no raylet of node {name}")

    def stop(self) -> None:
        """Stop all nodes, the head last."""
        for process in reversed(self.nodes.values()):
            process.terminate()
            process.wait(timeout=60)


class Driver:
    """``twin run`` of the smallest scenario as a process of its own."""

    def __init__(self, out: Path, *args: str, env: dict[str, str] | None = None) -> None:
        self.out, self.log = out, out.with_suffix(".log")
        command = [sys.executable, "-m", "twin", "run", str(TINY), "--out", str(out), *args]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text()

    def alive(self) -> None:
        """Fail if the run has ended."""
        assert self.process.poll() is None, self.said

    def wait_for_block(self, number: int = 0) -> None:
        """Until that block is committed."""

        def committed() -> bool:
            if list(self.out.glob(f"commits/1block-*-b{number:05d}-*.json")):
                return True
            self.alive()
            return False

        wait_until(committed, f"block {number}")

    def shard_process(self, shard: int) -> int:
        """Process that holds a shard, as the newest attempt's log says."""

        def find() -> list[str]:
            self.alive()
            log = self.out / "log.txt"
            return re.findall(rf"shard {shard} \(process (\d+)", log.read_text()) if log.exists() else []

        wait_until(find, f"shard {shard}")
        return int(find()[-1])

    def end(self, limit_s: float = 400.0) -> int:
        """Exit code."""
        return self.process.wait(timeout=limit_s)
