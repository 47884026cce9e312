"""What a death costs: a run with a worker killed, and one with its driver killed and resumed, beside a quiet one.

    python -m benchmarks.recovery [--scenario scenarios/quickstart.yaml] [--days 4]

Real processes on Ray, killed with SIGKILL once the first day is committed. Digests must agree. Also the size of a
checkpoint while it is there, and what checkpoints cost. Run it once before, so that kernels are compiled.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from twin.results.reader import open_run


@dataclass
class Job:
    """``twin run`` as a process of its own."""

    command: list[str]
    out: Path
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        said = self.out.with_suffix(".txt").open("a")
        self.process = subprocess.Popen([*self.command, "--out", str(self.out)], stdout=said, stderr=said)

    def wait_for_first_day(self) -> None:
        """Until a block is committed."""
        while not list(self.out.glob("commits/1block-*.json")):
            if self.process.poll() is not None:
                raise SystemExit(f"the run ended early, see {self.out.with_suffix('.txt')}")
            time.sleep(0.02)

    def shard_process(self) -> int:
        """A process that holds a shard."""
        return int(re.findall(r"shard 0 \(process (\d+)", (self.out / "log.txt").read_text())[-1])

    def end(self) -> float:
        """Wall time to the end. [s]"""
        if self.process.wait() != 0:
            raise SystemExit(f"the run failed, see {self.out.with_suffix('.txt')}")
        return time.monotonic() - self.began


def checkpoint_bytes(out: Path) -> int:
    """Bytes of the newest checkpoint, all shards and the driver; 0 if there is none."""
    stems: dict[str, int] = {}
    for path in (out / "checkpoints").glob("*"):
        stem = re.split(r"-[sa]\d", path.name)[0]
        stems[stem] = stems.get(stem, 0) + path.stat().st_size
    return stems[max(stems)] if stems else 0


def main() -> None:
    """Run the three and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenario", default="scenarios/quickstart.yaml")
    parser.add_argument("--days", type=int, default=4, help="days to simulate, in one replicate")
    asked = parser.parse_args()
    sets = ["--set", f"time.days={asked.days}", "--set", "experiment.replicates=1"]
    command = [sys.executable, "-m", "twin", "run", asked.scenario, *sets]
    with tempfile.TemporaryDirectory() as folder:
        plain = Job(command, Path(folder) / "undisturbed")
        undisturbed_s = plain.end()
        killed = Job(command, Path(folder) / "worker")
        killed.wait_for_first_day()
        stored = checkpoint_bytes(killed.out)
        os.kill(killed.shard_process(), signal.SIGKILL)
        worker_s = killed.end()
        driver = Job(command, Path(folder) / "driver")
        driver.wait_for_first_day()
        driver.process.kill()
        driver.process.wait()
        lost_s = time.monotonic() - driver.began
        resumed_s = Job([*command, "--resume"], driver.out).end()
        runs = {job.out.name: open_run(str(job.out)) for job in (plain, killed, driver)}
        if len({run.digest() for run in runs.values()}) != 1:
            raise SystemExit("digests differ")
        consumers = runs["worker"].manifest["consumers"]
        print(f"{consumers:,} consumers, {asked.days} days; all digests agree")
        print(f"undisturbed                                 {undisturbed_s:6.1f} s")
        print(f"a worker killed after the first day         {worker_s:6.1f} s, {worker_s - undisturbed_s:+.1f}")
        whole_s = lost_s + resumed_s
        print(f"the driver killed after the first day       {lost_s:6.1f} s + resumed {resumed_s:.1f} s,", end=" ")
        print(f"{whole_s - undisturbed_s:+.1f}")
        print(f"a checkpoint                                {stored / 1e6:6.1f} MB, {stored / consumers:.1f} B each")


if __name__ == "__main__":
    main()
