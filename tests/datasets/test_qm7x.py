"""QM7-X-type npz files: both sets of keys, splits by molecule, files that are not whole."""

from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.qm7x import read_qm7x
from prerelax.errors import UserError


def test_real_sets(data_folder: Path) -> None:
    for name, n in (("qm7x_nonequilibrium_2500", 2500), ("qm7x_one_molecule_100", 100)):
        structures = read_qm7x(data_folder / f"{name}.npz")
        assert len(structures) == n
        assert structures.positions.shape == structures.forces.shape == (structures.n_atoms.sum(), 3)
        assert structures.numbers.min() > 0
        net = np.add.reduceat(structures.forces, np.cumsum(structures.n_atoms) - structures.n_atoms)
        assert np.abs(net).max() < 1e-4
        counts = np.bincount(structures.graphs)
        assert set(counts % 10) == {0}  # ten or a hundred displacements of every molecule
    assert len(counts) == 1


def test_structures_of_one_molecule_share_a_number_and_can_be_selected(tmp_path: Path) -> None:
    z = np.array([[6, 1, 0], [8, 1, 1], [6, 1, 0]])
    positions = np.arange(27.0).reshape(3, 3, 3)
    path = tmp_path / "set.npz"
    np.savez(path, z=z, R=positions, E=np.array([[1.0], [2.0], [3.0]]), F=-positions)
    structures = read_qm7x(path)
    assert structures.n_atoms.tolist() == [2, 3, 2]
    assert structures.graphs[0] == structures.graphs[2] != structures.graphs[1]
    chosen = structures.select(np.array([2, 1]))
    assert chosen.energies.tolist() == [3.0, 2.0]
    np.testing.assert_array_equal(chosen.numbers, [6, 1, 8, 1, 1])
    np.testing.assert_array_equal(chosen.positions[:2], positions[2, :2])
    np.testing.assert_array_equal(chosen.forces[2:], -positions[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"F": None}, "does not hold the arrays"),
        ({"F": np.zeros((2, 2, 3))}, "do not fit together"),
        ({"E": np.zeros(2)}, "do not fit together"),
        ({"z": np.zeros(3)}, "do not fit together"),
        ({"E": np.array([1, np.nan, 2])}, "not finite"),
        ({"R": np.full((3, 2, 3), np.inf)}, "not finite"),
    ],
)
def test_files_that_are_not_whole_are_named(
    change: dict[str, np.ndarray | None], words: str, tmp_path: Path
) -> None:
    whole = {"z": np.ones((3, 2), int), "R": np.ones((3, 2, 3)), "E": np.zeros(3), "F": np.zeros((3, 2, 3))}
    path = tmp_path / "broken.npz"
    np.savez(path, **{k: v for k, v in (whole | change).items() if v is not None})
    with pytest.raises(UserError, match=words) as caught:
        read_qm7x(path)
    assert "broken.npz" in str(caught.value)
