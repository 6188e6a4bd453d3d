"""Rows of the input drawn at random: a campaign's molecules, or those that are also relaxed the usual way."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

from prerelax.molecules.status import PROCEED

NOT_SAMPLED = "not in the sample that is also relaxed the usual way (compare)"


def drawn_rows(n_rows: int, n_drawn: int, seed: int) -> list[int]:
    """Rows of the input that are drawn, in random order; all where there are no more.

    Each row has its place in a random order that depends on seed and row alone, so that rows appended later
    change few of those drawn before.
    """

    def place(row: int) -> bytes:
        return hashlib.sha256(f"{seed}:{row}".encode()).digest()

    return sorted(range(n_rows), key=place)[:n_drawn]


@cache
def sampled_rows(n_rows: int, n_sampled: int, seed: int) -> frozenset[int]:
    """The rows of `drawn_rows`, kept for the next call: the workflow asks for every shard."""
    return frozenset(drawn_rows(n_rows, n_sampled, seed))


def mark_sample(
    shard: Path, out: Path, rows: Collection[int], n_rows: int, message: str = NOT_SAMPLED
) -> None:
    """Copy a shard of `n_rows` input rows to `out`; rows but `rows`, counted within it, become `skipped`.

    They say why by `message`. A row stands for as many frames as any other: its conformers, or whatever was
    made of it.
    """
    from prerelax.records.shard import read_shard, write_shard

    records = read_shard(shard)
    frames_each = max(len(records) // n_rows, 1)
    marked = [
        record
        if frame // frames_each in rows or record.status not in PROCEED
        else replace(record, status="skipped", message=message)
        for frame, record in enumerate(records)
    ]
    write_shard(out, marked)
