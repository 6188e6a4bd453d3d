"""Open Babel's MMFF94: its minima, and what it is not able to treat."""

import builtins
from typing import Any

import numpy as np
import pytest

from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.molecules.superposition import rmsd
from prerelax.records.record import Record
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised


def ethanol(tmp_path: Any) -> Record:
    (tmp_path / "m.csv").write_text("id,smiles\nethanol,CCO\n")
    molecule: Molecule = read_molecules(tmp_path / "m.csv")[0]
    return next(embedded(molecule))


def test_it_ends_in_rdkits_minimum_from_a_small_distortion(tmp_path: Any) -> None:
    pytest.importorskip("openbabel", reason="pip install 'prerelax[openbabel]'")
    start = minimised(ethanol(tmp_path), "mmff94", None, "mmff94")
    rng = np.random.default_rng(0)
    moved = Record(**{**vars(start), "positions": start.positions + 0.02 * rng.normal(size=(9, 3))})
    end = minimised(moved, "mmff94-openbabel", None, "mmff94-ob")
    assert end.status == "ok" and end.wall_s > 0
    assert rmsd(end.positions, start.positions) < 0.01 < rmsd(moved.positions, start.positions)
    stopped = minimised(moved, "mmff94-openbabel", 2, "mmff94-ob")
    assert stopped.status == "not_converged" and "2 iterations" in stopped.message


def test_bonds_are_those_of_the_geometry_not_of_the_molecule(tmp_path: Any) -> None:
    pytest.importorskip("openbabel", reason="pip install 'prerelax[openbabel]'")
    start = minimised(ethanol(tmp_path), "mmff94", None, "mmff94")
    positions = start.positions.copy()
    hydrogen = next(
        a.GetIdx()
        for a in mol_from_mapped_smiles(start.smiles).GetAtoms()
        if a.GetSymbol() == "H" and a.GetNeighbors()[0].GetSymbol() == "C"
    )
    positions[hydrogen] *= 4
    torn = Record(**{**vars(start), "positions": positions})
    assert minimised(torn, "mmff94-openbabel", None, "x").status in (
        "connectivity_changed",
        "forcefield_unavailable",
    )
    assert minimised(torn, "mmff94", None, "x").status == "ok"


def test_without_open_babel_every_row_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "openbabel":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    row = ethanol(tmp_path)
    monkeypatch.setattr(builtins, "__import__", without)
    end = minimised(row, "mmff94-openbabel", None, "x")
    assert end.status == "resource_error" and "prerelax[openbabel]" in end.message
    assert np.array_equal(end.positions, row.positions)
