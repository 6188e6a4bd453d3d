"""Splits by molecular graph: no conformer, stereoisomer or displacement of a molecule in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.qm7x import LabelledStructures, joined, read_qm7x, write_qm7x
from prerelax.datasets.structures import Structures, write_npz
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd


def graph_key(numbers: NDArray[np.integer], bonded: NDArray[np.bool_]) -> int:
    """A number for a molecular graph: elements and bonds, without bond orders and stereochemistry.

    `numbers` [n_atoms], `bonded` [n_atoms, n_atoms]; the order of the atoms does not matter. It is a hash of
    RDKit's canonical SMILES: the same in every file that one version of RDKit had a part in.
    """
    from rdkit import Chem  # training reads splits without it

    from prerelax.molecules.graph import skeleton

    smiles = Chem.MolToSmiles(skeleton(numbers, bonded).GetMol())
    digest = hashlib.blake2b(smiles.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def held_out(graphs: NDArray[np.int64], n_structures: int, seed: int) -> NDArray[np.bool_]:
    """[n] True for the structures of whole graphs, drawn by `seed`, that are `n_structures` or just more."""
    if n_structures < 1:
        return np.zeros(len(graphs), dtype=bool)
    values, counts = np.unique(graphs, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(values))
    n_graphs = int(np.searchsorted(np.cumsum(counts[order]), n_structures)) + 1
    return np.isin(graphs, values[order[:n_graphs]])


def split_sets(
    paths: Sequence[Path], folder: Path, training: int | float, seed: int = 0
) -> dict[str, tuple[int, int, int]]:
    """Split sets that `write_qm7x` wrote into `training` molecular graphs and a test set of the others.

    `training` is a number of graphs, or a share of them where it is a float.

    Writes `FOLDER/PART.npz` with all structures and `FOLDER/PART-equilibria.npz` with the equilibria alone,
    for PART training and test. Returns (graphs, equilibria, structures) of each part. The paper of MoreRed
    has 4500 + 1250 graphs for training and its validation, which a training sets aside by graph itself
    (`data.validation`). Equilibria stand in random order, so that the first of them are a sample. Raises
    UserError where a set cannot be read, has no graphs or too few of them.
    """
    whole = joined([read_qm7x(path) for path in paths])
    if whole.graph is None:
        raise UserError(f"{paths[0]} has no array graph: `prerelax data qm7x` and `displace` write it")
    graphs = np.random.default_rng(seed).permutation(np.unique(whole.graph))
    n = round(training * len(graphs)) if isinstance(training, float) else training
    if not 0 < n < len(graphs):
        raise UserError(f"{n} of {len(graphs)} molecular graphs for training: neither part may be empty")
    of_training = np.isin(whole.graph, graphs[:n])
    counts = {}
    for name, rows in (("training", of_training), ("test", ~of_training)):
        part = whole.select(np.flatnonzero(rows))
        equilibria = part.equilibria()
        write_qm7x(folder / f"{name}.npz", part)
        write_npz(folder / f"{name}-equilibria.npz", _shuffled(equilibria, seed))
        counts[name] = part.counts
    return counts


def _shuffled(structures: Structures, seed: int) -> Structures:
    return structures.select(np.random.default_rng(seed).permutation(len(structures)))


def extreme_displacements(structures: LabelledStructures) -> NDArray[np.int64]:
    """Rows [3 n] of three displacements per equilibrium: smallest, middle and largest RMSD from it.

    The inputs of MoreRed's test (the middle one of an even number is the larger). Equilibria that are absent
    or have fewer than three displacements have no rows. Raises UserError where the origin is not known.
    """
    if structures.equilibrium is None or structures.displacement is None:
        raise UserError("the set does not say which of its structures are equilibria")
    geometries = np.split(structures.positions, np.cumsum(structures.n_atoms)[:-1])
    order = np.lexsort((structures.displacement, structures.equilibrium))
    ends = np.flatnonzero(np.diff(structures.equilibrium[order])) + 1
    rows: list[int] = []
    for first, *displaced in np.split(order, ends):
        if structures.displacement[first] == 0 and len(displaced) >= 3:
            distances = [rmsd(geometries[row], geometries[first]) for row in displaced]
            by_distance = np.array(displaced)[np.argsort(distances, kind="stable")]
            rows += by_distance[[0, len(displaced) // 2, -1]].tolist()
    return np.array(rows, dtype=np.int64)
