"""A training set in which every molecule is twice: with its loose and with its tight MMFF94 minimum.

    python benchmarks/two_starts.py STARTS.npz ASIDE.npz OUT.npz

STARTS.npz is what `prerelax data add-starts` writes, which gives a molecule the one or the other by its id.
400 molecules, drawn by a seed, go to ASIDE.npz, with the one start that they have there, and not to OUT.npz.
The second row of a molecule has its id plus 100 000; both share their number in `graphs`, so that a training
sets both aside or none.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from prerelax.datasets.structures import Structures, joined, read_npz, write_npz
from prerelax.set_making.force_field_starts import add_mmff94_starts

SECOND = 100_000
SET_ASIDE, SEED = 400, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("starts", type=Path)
    parser.add_argument("aside", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    first = read_npz(options.starts)
    if first.ids.max() >= SECOND:
        raise SystemExit(f"{options.starts}: ids of {SECOND} and more")
    order = np.random.default_rng(SEED).permutation(len(first))
    write_npz(options.aside, first.select(order[:SET_ASIDE]))
    first = first.select(np.sort(order[SET_ASIDE:]))
    both = joined([told_graph(first), told_graph(with_other_minimum(first))])
    write_npz(options.out, both)
    print(f"{len(both)} rows, {SET_ASIDE} molecules set aside")


def with_other_minimum(structures: Structures) -> Structures:
    """The same molecules, each with the minimum that it lacks: loose for odd ids, tight for even ones."""
    with tempfile.TemporaryDirectory() as folder:
        bare, started = Path(folder) / "bare.npz", Path(folder) / "started.npz"
        write_npz(bare, replace(structures, ids=structures.ids + 1, positions_start=None))
        add_mmff94_starts(bare, started)
        found = read_npz(started)
    return replace(found, ids=found.ids - 1 + SECOND)


def told_graph(structures: Structures) -> Structures:
    return replace(structures, graphs=structures.ids % SECOND)


if __name__ == "__main__":
    main()
