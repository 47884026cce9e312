"""The same shards, each in a Ray actor of its own. The only module of the twin that imports Ray."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from twin.cluster.backend import shard_class
from twin.errors import TwinError
from twin.kernels import source_hash
from twin.simulation.shard import ShardSpec, Shared

LOG = logging.getLogger(__name__)

START_LIMIT_S = 300.0
CALL_LIMIT_S = 6 * 3600.0
REMIND_EVERY_S = 60.0


class ClusterError(TwinError):
    """The cluster cannot be joined, lacks CPUs, or a shard's process died. The run can be resumed."""

    exit_code = 4


def _connect(address: str | None, n_shards: int) -> bool:
    """Join the cluster at ``address`` (or the one a Ray job runs in), else start a local Ray; True if started here."""
    if ray.is_initialized():
        return False
    target = address or os.environ.get("RAY_ADDRESS")
    if target:
        try:
            ray.init(address=target, logging_level=logging.WARNING, log_to_driver=False)
        except ConnectionError as error:
            raise ClusterError(f"cannot join the Ray cluster at {target}: {error}; check --address") from error
        return False
    # Asked for as local, so that a stray cluster on this machine is never joined by accident.
    ray.init(
        address="local",
        num_cpus=max(n_shards, os.cpu_count() or 1),
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    return True


class RayBackend:
    """One actor per shard, one core each. Big constants go to the object store once; calls leave before any wait."""

    def __init__(self, specs: Sequence[ShardSpec], shared: Shared, address: str | None = None) -> None:
        self.n_shards = len(specs)
        self.started_here = _connect(address, self.n_shards)
        free = ray.cluster_resources().get("CPU", 0.0)
        if free < self.n_shards:
            raise ClusterError(
                f"the cluster has {free:.0f} CPUs but {self.n_shards} shards need one each; use --shards {int(free)}"
            )
        actor_class = ray.remote(num_cpus=1, max_restarts=0)(shard_class(shared))
        shared_ref = ray.put(shared)
        self.actors = [
            actor_class.options(name=f"twin-shard-{spec.index}-attempt-{shared.attempt}").remote(spec, shared_ref)
            for spec in specs
        ]
        self._check_workers()

    def _check_workers(self) -> None:
        mine = source_hash()
        for spec_index, (theirs, instruction_set) in enumerate(
            self._gather([actor.identify.remote() for actor in self.actors], "the shards' processes", START_LIMIT_S)
        ):
            if theirs != mine:
                raise ClusterError(f"shard {spec_index} runs other code than the driver; install the same version")
            LOG.debug("shard %d ready, kernels for %s", spec_index, instruction_set)

    def call(self, method: str, args: Sequence[tuple[Any, ...]], what: str) -> list[Any]:
        """Call all shards at once and wait for all answers, saying every minute what is waited for."""
        return self.gather(self.submit(method, args), what)

    def submit(self, method: str, args: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call all shards at once; an actor does its calls in the order of submission."""
        return [getattr(actor, method).remote(*one) for actor, one in zip(self.actors, args, strict=True)]

    def gather(self, handle: list[Any], what: str) -> list[Any]:
        """Wait for all answers of one `submit`."""
        return self._gather(handle, what, CALL_LIMIT_S)

    def _gather(self, refs: list[Any], what: str, limit_s: float) -> list[Any]:
        began = time.monotonic()
        pending = list(refs)
        while pending:
            done, pending = ray.wait(pending, num_returns=len(pending), timeout=REMIND_EVERY_S, fetch_local=False)
            if pending:
                waited = time.monotonic() - began
                LOG.warning("waited %.0f s for %s: %d of %d shards still busy", waited, what, len(pending), len(refs))
                if waited > limit_s:
                    raise ClusterError(f"gave up after {waited:.0f} s of waiting for {what}; resume with --resume")
            elif not done:
                break
        try:
            return list(ray.get(refs, timeout=limit_s))
        except RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except RayActorError as error:
            raise ClusterError(f"a shard's process died during {what}; resume the run with --resume") from error
        except GetTimeoutError as error:
            raise ClusterError(f"the answers of {what} did not arrive within {limit_s:.0f} s") from error

    def close(self) -> None:
        """Kill the actors, and Ray with them if it was started here."""
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []
        if self.started_here:
            ray.shutdown()
