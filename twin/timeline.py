"""``twin timeline``: who worked when in a run's blocks, as text; shards beside the grid above, arm by arm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twin.errors import InputError, Problem
from twin.results.commits import BlockKey, Commit
from twin.results.reader import Run
from twin.simulation.spans import Span, idle_s, overlap_s, spans_of

WIDTH = 72
"""Characters of a block's whole time."""
MARKS = {"shards": "#", "accept": "v", "commit": "w", "above": "="}


def timeline(run: Run, *, point: int = 0, replicate: int = 0, block: int = 0) -> list[str]:
    """Lines that show one block, and how much of the grid above was overlapped in it and in all blocks.

    Raises
    ------
    InputError
        If the run has no such block, or was made by a version that kept no times.
    """
    blocks = [commit for commit in run.commits if commit.key.kind == "1block" and commit.extra.get("spans")]
    wanted = BlockKey("1block", point, replicate, block)
    chosen = [commit for commit in blocks if commit.key == wanted]
    if not chosen:
        what = f"no block {block} of replicate {replicate}, sweep point {point}, among {len(blocks)} with times"
        raise InputError([Problem(str(run.path), "", what, "give numbers from 0, of blocks that are committed")])
    arms = [str(row["arm"]) for row in run.table("cases", ["arm"]).to_pylist()]
    return [*_block_lines(chosen[0], list(dict.fromkeys(arms))), "", *_overlap_lines(chosen[0], blocks)]


def _block_lines(commit: Commit, arms: list[str]) -> Iterator[str]:
    spans = spans_of(commit.extra["spans"])
    began = min(span.began_s for span in spans)
    length_s = max(max(span.ended_s for span in spans) - began, 1e-3)
    yield f"# shards settle feeders   v verify   w write   = grid above   ({length_s:.2f} s in all)"
    for arm, name in enumerate(arms):
        own = [span for span in spans if span.arm == arm]
        yield f"{name[:16]:16s} shards |{_row([span for span in own if span.part != 'above'], began, length_s)}|"
        yield f"{'':16s} above  |{_row([span for span in own if span.part == 'above'], began, length_s)}|"


def _row(spans: list[Span], began_s: float, length_s: float) -> str:
    cells = [" "] * WIDTH
    for span in spans:
        first = int((span.began_s - began_s) / length_s * WIDTH)
        last = max(int((span.ended_s - began_s) / length_s * WIDTH), first + 1)
        for cell in range(first, min(last, WIDTH)):
            cells[cell] = MARKS[span.part]
    return "".join(cells)


def _overlap_lines(commit: Commit, blocks: list[Commit]) -> Iterator[str]:
    yield from _sums("this block", [commit])
    yield from _sums(f"all {len(blocks)} blocks", blocks)


def _sums(what: str, commits: list[Commit]) -> Iterator[str]:
    spans = [spans_of(commit.extra["spans"]) for commit in commits]
    above, both = np.sum([overlap_s(one) for one in spans], axis=0)
    length, idle = np.sum([idle_s(one) for one in spans], axis=0)
    yield f"{what}: grid above {above:.2f} s, of which {both:.2f} s ({_percent(both, above)} %) while shards worked"
    yield f"{what}: nobody worked (messages, waiting) in {idle:.2f} s of {length:.2f} ({_percent(idle, length)} %)"


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.1f}" if whole else "0.0"
