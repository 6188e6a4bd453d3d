"""Force-field minima beside the structures of a training set."""

from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.structures import collect, read_npz, write_npz
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd
from prerelax.set_making.force_field_starts import add_mmff94_starts, mmff94_minimum

BENZENE_RING = 1.39 * np.array([[np.cos(a), np.sin(a), 0] for a in np.arange(6) * np.pi / 3])
BENZENE = np.concatenate([BENZENE_RING, BENZENE_RING * (1.39 + 1.09) / 1.39])
BENZENE_NUMBERS = np.array([6] * 6 + [1] * 6)


def test_minima_are_those_of_mmff94() -> None:
    minimum = mmff94_minimum(BENZENE_NUMBERS, BENZENE)
    assert minimum is not None
    bonds = np.linalg.norm(minimum[:6] - np.roll(minimum[:6], 1, axis=0), axis=1)
    np.testing.assert_allclose(bonds, 1.3944, atol=2e-3)  # Halgren's aromatic C-C
    assert np.abs(minimum - BENZENE).max() < 0.02, "superimposed"


def test_loose_starts_are_the_data_set_s(data_folder: Path) -> None:
    """The validation set's starts were made by another program, which stops at 0.03 eV/Å."""
    structures = read_npz(data_folder / "qm9_val.npz")
    given = structures.positions_start
    assert given is not None
    distances: dict[bool, list[float]] = {True: [], False: []}
    for row in range(60):
        atoms = structures.atoms_of(row)
        for loose, found in distances.items():
            minimum = mmff94_minimum(structures.numbers[atoms], structures.positions[atoms], loose)
            assert minimum is not None
            found.append(rmsd(minimum, given[atoms]))
    assert np.median(distances[True]) < 0.02
    assert np.quantile(distances[True], 0.8) < 0.7 * np.quantile(distances[False], 0.8)


def test_molecules_without_a_minimum_are_left_out(tmp_path: Path) -> None:
    helium = (2, np.array([2, 2]), np.array([[0, 0, 0], [0, 0, 3.0]]))
    write_npz(tmp_path / "in.npz", collect([(1, BENZENE_NUMBERS, BENZENE), helium]))
    assert add_mmff94_starts(tmp_path / "in.npz", tmp_path / "out.npz") == (1, 1)
    kept = read_npz(tmp_path / "out.npz")
    assert kept.ids.tolist() == [1]
    assert kept.positions_start is not None and np.abs(kept.positions_start - kept.positions).max() > 1e-3
    write_npz(tmp_path / "none.npz", collect([helium]))
    with pytest.raises(UserError, match="no molecule has an MMFF94 minimum"):
        add_mmff94_starts(tmp_path / "none.npz", tmp_path / "out.npz")
    with pytest.raises(UserError, match="cannot be given starts"):
        add_mmff94_starts(tmp_path / "absent.npz", tmp_path / "out.npz")


def test_minima_come_as_xyz_too(tmp_path: Path) -> None:
    rows = [
        f"{ {6: 'C', 1: 'H'}[z] } {x} {y} {w}" for z, (x, y, w) in zip(BENZENE_NUMBERS, BENZENE, strict=True)
    ]
    whole = "\n".join(["12", "0001.xyz charge = 0", *rows]) + "\n"
    (tmp_path / "two.xyz").write_text(2 * whole)
    assert add_mmff94_starts(tmp_path / "two.xyz", tmp_path / "out.npz") == (2, 0)
    assert read_npz(tmp_path / "out.npz").ids.tolist() == [1, 2]
    (tmp_path / "cut.xyz").write_text(whole + "\n".join(whole.splitlines()[:7]))
    with pytest.raises(UserError, match=r"cut\.xyz"):
        add_mmff94_starts(tmp_path / "cut.xyz", tmp_path / "out.npz")
