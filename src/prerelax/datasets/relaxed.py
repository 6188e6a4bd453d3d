"""A training set of the minima that relaxations ended in: denoisers of any level that can be evaluated."""

from collections.abc import Sequence
from pathlib import Path

from prerelax.datasets.structures import collect, write_npz
from prerelax.errors import UserError
from prerelax.records import Record, read_shard


def collect_relaxed(out: Path, shards: Sequence[Path]) -> tuple[int, int]:
    """Write the converged minima of relaxed shards, their bonds kept, as the set `out` (.npz).

    Ids that are numbers stay what they are, others become the molecule's place in the shards, from 0.
    Returns how many molecules are in the set and how many are left out. Raises UserError where none is left,
    where two have one id, and for broken shards.
    """
    rows = [row for shard in shards for row in read_shard(shard)]
    kept = [(place, row) for place, row in enumerate(rows) if _is_minimum(row)]
    if not kept:
        raise UserError(f"{shards[0]}: none of {len(rows)} rows is a converged minimum with its bonds kept")
    numbers = [int(row.id) if row.id.isdecimal() else place for place, row in kept]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{shards[0]}: two of the molecules have one id; name each shard once")
    write_npz(
        out,
        collect((number, row.numbers, row.positions) for number, (_, row) in zip(numbers, kept, strict=True)),
    )
    return len(kept), len(rows) - len(kept)


def _is_minimum(row: Record) -> bool:
    return bool(row.converged) and row.connectivity_unchanged is not False and len(row.numbers) > 0
