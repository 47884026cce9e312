"""Checkpoints: everything that decides later bits, written beside the tables and listed in a block's commit."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from twin.results.commits import Commit
from twin.results.storage import DamagedFile, FileRecord, Storage

VOLTAGES, METERS, WALLETS = "voltages", "meters", "wallets"


class CheckpointError(ValueError):
    """A checkpoint cannot be used: a file is damaged or missing, or consumers are. An older one may serve."""


def write_arrays(storage: Storage, path: str, kind: str, arrays: dict[str, NDArray[np.generic]]) -> FileRecord:
    """Write named arrays as one ``.npz`` file."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return storage.write_bytes(f"{path}.npz", buffer.getvalue(), kind)


def read_arrays(storage: Storage, record: FileRecord) -> dict[str, NDArray[np.generic]]:
    """Read named arrays back; CheckpointError if the file is not as recorded."""
    try:
        data = storage.read_checked(record)
    except DamagedFile as error:
        raise CheckpointError(str(error)) from None
    with np.load(io.BytesIO(data), allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def write_voltages(storage: Storage, path: str, v_pss_pu: NDArray[np.float64]) -> FileRecord:
    """The driver's part: PSS voltages of the last block, the next block's first guess. Shape (arms, n_pss, steps)."""
    return write_arrays(storage, path, VOLTAGES, {"v_pss_pu": v_pss_pu})


def read_voltages(storage: Storage, commit: Commit) -> NDArray[np.float64]:
    """The voltages of a commit's checkpoint."""
    record = next((record for record in commit.checkpoint if record.table == VOLTAGES), None)
    if record is None:
        raise CheckpointError(f"the checkpoint of {commit.key.name} lacks the voltages")
    return read_arrays(storage, record)["v_pss_pu"].astype(np.float64)


def write_meters(
    storage: Storage, path: str, consumer_id: NDArray[np.int64], arrays: dict[str, NDArray[np.float64]],
    kind: str = METERS,
) -> FileRecord:  # fmt: skip
    """A shard's part: arrays whose last-but-one axis runs over ``consumer_id``, which rises."""
    return write_arrays(storage, path, kind, {"consumer_id": consumer_id, **arrays})


def read_meters(
    storage: Storage, checkpoint: list[FileRecord], consumer_id: NDArray[np.int64], kind: str = METERS
) -> dict[str, NDArray[np.float64]]:
    """The state of these consumers, gathered from the files of however many shards wrote them.

    Raises
    ------
    CheckpointError
        If a consumer is missing, or a file is damaged.
    """
    gathered: dict[str, NDArray[np.float64]] = {}
    found = np.zeros(len(consumer_id), bool)
    for record in checkpoint:
        if record.table != kind:
            continue
        content = read_arrays(storage, record)
        ids = content.pop("consumer_id")
        place = np.searchsorted(consumer_id, ids)
        mine = place < len(consumer_id)
        mine[mine] = consumer_id[place[mine]] == ids[mine]
        for name, values in content.items():
            shape = (*values.shape[:-2], len(consumer_id), values.shape[-1])
            target = gathered.setdefault(name, np.zeros(shape))
            target[..., place[mine], :] = values[..., mine, :]
        found[place[mine]] = True
    if not found.all():
        raise CheckpointError(f"the checkpoint lacks {int((~found).sum())} of {len(consumer_id)} consumers")
    return gathered
