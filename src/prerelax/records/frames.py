"""The geometries of a shard alone, for a table that needs no more of its frames."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.records.seal import ShardError, refused
from prerelax.records.shard import read_shard, whole_content

Geometry = NDArray[np.float64]
"""[n_atoms, 3] Å"""

_OURS = "Properties=species:S:1:pos:R:3"


def read_geometries(path: Path) -> list[Geometry]:
    """Positions of each row of a shard, in order; ten times as quick as `read_shard`, and as strict.

    Raises ShardError where the file is missing or cut short, or is not what its table says.
    """
    content, n_rows = whole_content(path)
    words: list[str] = []
    sizes: list[int] = []
    at = 0
    try:
        lines = content.decode().split("\n")
        while at < len(lines) and lines[at].strip():
            n_atoms = int(lines[at])
            if not lines[at + 1].startswith(_OURS):
                return [record.positions for record in read_shard(path)]
            for line in lines[at + 2 : at + 2 + n_atoms]:
                words += line.split(None, 4)[1:4]
            sizes.append(n_atoms)
            at += 2 + n_atoms
        positions = np.fromiter(map(float, words), dtype=float).reshape(-1, 3)
        if len(positions) != sum(sizes):
            raise ValueError(f"{len(positions)} atoms of {sum(sizes)}")
    except (ValueError, IndexError) as error:
        raise ShardError(f"{path}: not a whole shard ({error}); delete it and run its stage again") from error
    if n_rows not in (None, len(sizes)):
        raise refused(path, f"{path}: not a whole shard ({len(sizes)} rows where its table has {n_rows})")
    return np.split(positions, np.cumsum(sizes)[:-1]) if sizes else []
