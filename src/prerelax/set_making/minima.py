"""A set of minima from SMILES: embedded, minimised with MMFF94, relaxed at a level in worker processes.

Each minimum comes with the MMFF94 minimum that it was reached from: what a relaxer will be given, and what it
should make of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prerelax.molecules.status import Status
from prerelax.relaxation.settings import Resources
from prerelax.relaxation.shard import relax_shard
from prerelax.set_making.options import MinimaOptions
from prerelax.set_making.relaxed import collect_relaxed
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard


@dataclass(frozen=True)
class MinimaMade:
    """What became of a list of molecules."""

    n_minima: int
    n_left_out: int
    """rows, i.e. conformers, without a minimum of their own in the set"""
    statuses: Counter[Status]
    """of all rows after the relaxation"""
    molecules_per_hour: float
    """relaxed now, by all workers together; 0 where the journal had them all"""


def make_minima(
    molecules: Path,
    out: Path,
    options: MinimaOptions,
    *,
    unlike: Sequence[Path] = (),
    resources: Resources | None = None,
) -> MinimaMade:
    """Write the set `out` (.npz) of the molecules' minima, with `positions_mmff94` and `graphs`.

    Of several conformers the lowest minimum. `unlike` are shards of test molecules, whose graphs are left
    out. The stages are kept beside `out` as shards (`OUT.rdkit`, `OUT.mmff94`, `OUT.minima`), where rows that
    could not be used say why; a call that was killed goes on from the journal of the last one. Raises
    UserError as the stages do.
    """
    embedded, minimised, relaxed = (
        out.with_name(f"{out.stem}.{stage}.extxyz") for stage in ("rdkit", "mmff94", "minima")
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    embed_shard(molecules, embedded, None, options.conformers, options.seed, unlike=unlike)
    forcefield_shard(embedded, minimised, "mmff94", None, "mmff94")
    began = time.monotonic()
    summary = relax_shard(minimised, relaxed, options.relaxation, resources=resources)
    seconds = time.monotonic() - began
    n_minima, n_left_out = collect_relaxed(out, [relaxed], [minimised])
    per_hour = 3600.0 * summary.n_computed / options.conformers / seconds if summary.n_computed else 0.0
    return MinimaMade(n_minima, n_left_out, summary.statuses, per_hour)
