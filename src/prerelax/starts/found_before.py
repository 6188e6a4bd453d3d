"""Molecules whose minimum was found before, when a denoiser learned its level from them.

Their start is that minimum, and what it took stands in the row, so that nothing is computed twice and nothing
is saved that was spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prerelax.records.record import NOT_DENOISED, Record
from prerelax.records.shard import read_shard

LEARNED_FROM = "the denoiser learned from its minimum; what that took is counted here"


def minima_known(records: Sequence[Record], shards: Sequence[Path], start: str) -> dict[int, Record]:
    """The rows of a start for those of `records` that have a converged minimum in the relaxed `shards`."""
    minima = {
        (row.id, row.conformer): row
        for shard in shards
        for row in read_shard(shard)
        if row.converged and row.is_same_molecule
    }
    return {
        i: _at(minima[record.id, record.conformer], record, start)
        for i, record in enumerate(records)
        if record.proceeds and (record.id, record.conformer) in minima
    }


def _at(minimum: Record, record: Record, start: str) -> Record:
    return replace(
        record,
        positions=minimum.positions,
        start=start,
        status="ok",
        message=LEARNED_FROM,
        wall_s=minimum.wall_s,
        stages_s=minimum.stages_s,
        n_gradients_cheap=minimum.n_gradients_cheap,
        gradients_of_levels=minimum.as_start().gradients_of_levels,
        settings=minimum.settings,
        **NOT_DENOISED,
    )
