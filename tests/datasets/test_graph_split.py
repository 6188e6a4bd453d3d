"""Graph keys, and what is set aside by graph."""

from pathlib import Path

import numpy as np

from prerelax.datasets.graph_split import extreme_displacements, graph_key, held_out
from prerelax.datasets.qm7x import LabelledStructures
from prerelax.datasets.structures import read_npz
from prerelax.molecules.topology import bonds_from_geometry


def test_a_graph_key_knows_isomers_but_no_order_and_no_conformer(data_folder: Path) -> None:
    molecules = list(read_npz(data_folder / "qm9_small_test.npz"))
    keys = [graph_key(z, bonds_from_geometry(z, x)) for _, z, x in molecules]
    assert len(set(keys)) == len(keys)
    rng = np.random.default_rng(0)
    for key, (_, z, x) in zip(keys, molecules, strict=True):
        order = rng.permutation(len(z))
        assert graph_key(z[order], bonds_from_geometry(z[order], -x[order])) == key
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_whole_graphs_are_held_out_and_no_more_than_needed() -> None:
    graphs = np.repeat([5, -3, 10**15, 8], [4, 1, 3, 2])
    for n in range(10):
        held = held_out(graphs, n, seed=n)
        assert not set(graphs[held]) & set(graphs[~held])
        assert held.sum() >= n
        smallest = min((np.sum(graphs == g) for g in set(graphs[held])), default=0)
        assert n == 0 or held.sum() - 4 < n or held.sum() - smallest < n
    assert not held_out(graphs, 0, seed=0).any()


def test_smallest_middle_and_largest_displacement() -> None:
    rng = np.random.default_rng(1)
    shape = rng.normal(size=(4, 3))
    noise = rng.normal(size=(4, 3))
    sizes = [0.0, 0.3, 0.1, 0.5, 0.2, 0.4]
    positions = np.concatenate([shape + size * noise for size in sizes]).astype(np.float32)
    structures = LabelledStructures(
        n_atoms=np.full(6, 4),
        numbers=np.full(24, 6, dtype=np.uint8),
        positions=positions,
        energies=np.zeros(6),
        forces=np.zeros((24, 3), dtype=np.float32),
        equilibrium=np.zeros(6, dtype=np.int64),
        displacement=np.arange(6),
    )
    assert extreme_displacements(structures).tolist() == [2, 1, 3]
    assert len(extreme_displacements(structures.select(np.arange(3)))) == 0
