"""The same shards, each in a Ray actor of its own. The only module of the twin that imports Ray."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NoReturn

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from twin.cluster.backend import shard_class
from twin.errors import ClusterError, TwinError, WorkerLost
from twin.kernels import source_hash
from twin.simulation.checkpoint import CheckpointError
from twin.simulation.shard import ShardSpec, Shared

LOG = logging.getLogger(__name__)

START_LIMIT_S = 300.0
"""Longest wait for the shards' processes, code and imports included."""
CPU_LIMIT_S = 60.0
"""Longest wait for CPUs that other work, or a fleet that was just let go, still holds."""
CALL_LIMIT_S = 2 * 3600.0
"""Longest wait for one round of a block."""
REMIND_EVERY_S = 60.0
POLL_S = 0.005
"""How long to look whether a fleet has answered before looking at the next."""
BEFORE_KERNELS = {"identify", "whereabouts", "usage"}
"""Methods that need no kernel."""
LOOK_EVERY_S = 2.0
"""A death is seen after this time at most, even while other shards are busy."""
DEAD = (RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError, OutOfMemoryError)


@contextmanager
def _stop_signal_kept() -> Iterator[None]:
    """Keep the handling of SIGTERM, which Ray replaces by one that ends the process at once, with a stack trace."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class RayPlace:
    """A Ray cluster that a run uses: joined, or started for it on this machine."""

    def __init__(self, address: str | None) -> None:
        self.address, self.started_here = address, False

    def n_shards(self, asked: int | None) -> int:
        """Shards there are CPUs for, at most those asked for; waits a while for CPUs that are not free yet.

        Raises
        ------
        ClusterError
            If there is no free CPU.
        """
        self._join(asked)
        began = time.monotonic()
        while True:
            in_all = int(ray.cluster_resources().get("CPU", 0.0))
            free = int(ray.available_resources().get("CPU", 0.0))
            wanted = min(asked or in_all, in_all)
            waited = time.monotonic() - began
            if wanted and free >= wanted:
                return wanted
            if waited > CPU_LIMIT_S:
                break
            LOG.info("waiting for CPUs: %d of %d are free, %d are wanted", free, in_all, wanted)
            time.sleep(LOOK_EVERY_S)
        if free:
            return free
        text = f"no CPU became free within {waited:.0f} s: the cluster has {in_all}, all taken or none alive; "
        raise ClusterError(text + "add workers or stop other work (see `ray status`), then resume the run")

    def _join(self, asked: int | None) -> None:
        """Join the cluster at the address (or the one a Ray job runs in), else start a local Ray."""
        if ray.is_initialized():
            return
        target = self.address or os.environ.get("RAY_ADDRESS")
        try:
            with _stop_signal_kept():
                self._start(target, asked)
        except (ConnectionError, RuntimeError, OSError, RayError) as error:
            where = f"join the Ray cluster at {target}" if target else "start Ray on this machine"
            raise ClusterError(f"cannot {where}: {error}; check --address and `ray status`") from error

    def _start(self, target: str | None, asked: int | None) -> None:
        if target:
            ray.init(address=target, logging_level=logging.WARNING, log_to_driver=False)
            return
        # Asked for as local, so that a stray cluster on this machine is never joined by accident.
        ray.init(
            address="local",
            num_cpus=max(asked or 1, os.cpu_count() or 1),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
        self.started_here = True

    def open(self, specs: Sequence[ShardSpec], shared: Shared) -> RayBackend:
        """Start a fleet."""
        return RayBackend(specs, shared)

    def leave(self) -> None:
        """Stop the Ray that was started for the run."""
        if self.started_here:
            ray.shutdown()
            self.started_here = False


class RayBackend:
    """One actor per shard, one core each. Big constants go to the object store once; calls leave before any wait."""

    def __init__(self, specs: Sequence[ShardSpec], shared: Shared) -> None:
        self.n_shards = len(specs)
        fleet = f"fleet {shared.fleet}, " if shared.fleet else ""
        self.names = [f"{fleet}shard {spec.index}" for spec in specs]
        self.where = list(self.names)
        self.leader: list[int] = []
        self.led: set[str] = set()
        actor_class = ray.remote(num_cpus=1, max_restarts=0)(shard_class(shared))
        shared_ref = ray.put(shared)
        run, token = PurePosixPath(shared.storage.uri).name, secrets.token_hex(2)
        part = f"fleet {shared.fleet} " if shared.fleet else ""
        which = f"of {self.n_shards} attempt {shared.attempt} {token}"
        names = [f"{run} {part}shard {spec.index} {which}" for spec in specs]
        self.actors = [
            actor_class.options(name=name).remote(spec, shared_ref) for spec, name in zip(specs, names, strict=True)
        ]
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def _check_workers(self) -> None:
        theirs = [actor.identify.remote() for actor in self.actors]
        places = [actor.whereabouts.remote() for actor in self.actors]
        what = "the shards' processes to start (each needs a free CPU, see `ray status`)"
        sources = self._gather(theirs, what, START_LIMIT_S)
        hosts = self._gather(places, what, START_LIMIT_S)
        first = {host: index for index, (host, _, _) in reversed(list(enumerate(hosts)))}
        self.leader = [
            index if compiled else first[host]
            for index, ((host, _, _), (_, _, compiled)) in enumerate(zip(hosts, sources, strict=True))
        ]
        waiting = sum(leader != index for index, leader in enumerate(self.leader))
        if waiting:
            LOG.info("%d shard%s for the kernels of another", waiting, " waits" if waiting == 1 else "s wait")
        for index, (host, process, sees_folder) in enumerate(hosts):
            self.where[index] = f"{self.names[index]} (process {process} on {host})"
            LOG.info("%s is ready, kernels for %s", self.where[index], sources[index][1])
            if sources[index][0] != source_hash():
                raise ClusterError(f"{self.where[index]} runs other code than the driver; install the same version")
            if not sees_folder:
                fix = "give --out on a disk that all machines share, or an object store"
                raise ClusterError(f"{self.where[index]} does not see the run's folder; {fix}")

    def call(self, method: str, args: Sequence[tuple[Any, ...]], what: str) -> list[Any]:
        """Call all shards at once and wait for all answers, saying every minute what is waited for."""
        return self.gather(self.submit(method, args), what)

    def submit(self, method: str, args: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call all shards at once; an actor does its calls in the order of submission.

        Where a machine has no kernels yet, its first shard does the first call of a method alone, and compiles what
        that needs; the others then find it in the cache. Side by side all of them would compile the same.
        """
        if method in self.led or method in BEFORE_KERNELS:
            return [getattr(actor, method).remote(*one) for actor, one in zip(self.actors, args, strict=True)]
        self.led.add(method)
        refs: list[Any] = []
        for index, (actor, one) in enumerate(zip(self.actors, args, strict=True)):
            leader = self.leader[index]
            if leader == index:
                refs.append(getattr(actor, method).remote(*one))
            else:
                refs.append(actor.__ray_call__.remote(_after, [refs[leader]], method, one))
        return refs

    def is_answered(self, handle: list[Any]) -> bool:
        """Whether all shards have answered, or died; looks for `POLL_S`."""
        _, pending = ray.wait(handle, num_returns=len(handle), timeout=POLL_S, fetch_local=False)
        return not pending

    def gather(self, handle: list[Any], what: str) -> list[Any]:
        """Wait for all answers of one `submit`.

        Raises
        ------
        WorkerLost
            If a shard's process or machine died; the answers that are there are let go.
        ClusterError
            If the answers do not come within the limit.
        """
        return self._gather(handle, what, CALL_LIMIT_S)

    def _gather(self, refs: list[Any], what: str, limit_s: float) -> list[Any]:
        began = reminded = time.monotonic()
        answers: dict[Any, Any] = {}
        pending = list(refs)
        while pending:
            done, pending = ray.wait(pending, num_returns=len(pending), timeout=LOOK_EVERY_S, fetch_local=False)
            for ref in done:
                answers[ref] = self._answer(ref, refs.index(ref), what, limit_s)
            now = time.monotonic()
            if pending and now - reminded >= REMIND_EVERY_S:
                reminded = now
                missing = ", ".join(self.where[refs.index(ref)] for ref in pending[:5])
                LOG.warning("waited %.0f s for %s: %d not there: %s", now - began, what, len(pending), missing)
            if pending and now - began > limit_s:
                missing = ", ".join(self.where[refs.index(ref)] for ref in pending[:5])
                raise ClusterError(f"gave up after {limit_s:.0f} s of waiting for {what}; not there: {missing}")
        return [answers[ref] for ref in refs]

    def _answer(self, ref: Any, index: int, what: str, limit_s: float) -> Any:
        try:
            return ray.get(ref, timeout=limit_s)
        except RayTaskError as error:
            _raise_cause(error)
        except DEAD as error:
            reason = " ".join(str(error).split())[:300]
            raise WorkerLost(f"{self.where[index]} died during {what}: {reason}") from error
        except RayError as error:
            raise ClusterError(f"no answer of {self.where[index]} during {what}: {error}") from error

    def close(self) -> None:
        """Kill the actors."""
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []


def _after(shard: Any, refs: list[Any], method: str, args: tuple[Any, ...]) -> Any:
    """Call a method of a shard when other calls have ended, well or not."""
    ray.wait(refs, num_returns=len(refs), timeout=CALL_LIMIT_S, fetch_local=False)
    return getattr(shard, method)(*args)


def _raise_cause(error: RayTaskError) -> NoReturn:
    """Raise what a shard raised: errors of ours as they are, others with the shard's traceback."""
    cause = error.cause
    if isinstance(cause, TwinError | CheckpointError):
        raise cause from None
    raise error.as_instanceof_cause() from None
