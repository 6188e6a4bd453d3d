"""A training set in which every molecule is twice: with its loose and with its tight MMFF94 minimum.

    python benchmarks/two_starts.py STARTS.npz OUT.npz [--aside ASIDE.npz] [--small TIMES]

STARTS.npz is what `prerelax data add-starts` writes, which gives a molecule the one or the other by its id.
With --aside, 400 molecules, drawn by a seed, go there, with the one start that they have, and not to OUT.npz.
With --small, molecules of at most six heavy atoms, of which a set like QM9 has few, are written so often.
The further rows of a molecule have its id plus multiples of 1 000 000; all share their number in `graphs`, so
that a training sets all of them aside or none.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.structures import Structures, joined, read_npz, write_npz
from prerelax.set_making.force_field_starts import add_mmff94_starts

SECOND = 1_000_000
SET_ASIDE, SEED = 400, 0
SMALL_HEAVY = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("starts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--aside", type=Path)
    parser.add_argument("--small", type=int, default=1, metavar="TIMES")
    options = parser.parse_args()
    first = read_npz(options.starts)
    if first.ids.max() >= SECOND:
        raise SystemExit(f"{options.starts}: ids of {SECOND} and more")
    if options.aside:
        order = np.random.default_rng(SEED).permutation(len(first))
        write_npz(options.aside, first.select(order[:SET_ASIDE]))
        first = first.select(np.sort(order[SET_ASIDE:]))
    both = joined([told_graph(first), told_graph(with_other_minimum(first))])
    few = both.select(np.flatnonzero(heavy_atoms(both) <= SMALL_HEAVY))
    again = [replace(few, ids=few.ids + 2 * SECOND * time) for time in range(1, options.small)]
    write_npz(options.out, whole := joined([both, *again]))
    print(f"{len(whole)} rows of {len(first)} molecules")


def with_other_minimum(structures: Structures) -> Structures:
    """The same molecules, each with the minimum that it lacks: loose for odd ids, tight for even ones."""
    with tempfile.TemporaryDirectory() as folder:
        bare, started = Path(folder) / "bare.npz", Path(folder) / "started.npz"
        write_npz(bare, replace(structures, ids=structures.ids + 1, positions_start=None))
        add_mmff94_starts(bare, started)
        found = read_npz(started)
    return replace(found, ids=found.ids - 1 + SECOND)


def heavy_atoms(structures: Structures) -> NDArray[np.int64]:
    """[n_molecules]"""
    return np.add.reduceat((structures.numbers > 1).astype(np.int64), structures.first_atom)


def told_graph(structures: Structures) -> Structures:
    return replace(structures, graphs=(structures.ids % SECOND).astype(np.int64))


if __name__ == "__main__":
    main()
