"""Constraints: words, geometries brought back to them, and what ASE and geomeTRIC are told."""

import numpy as np
import pytest
from ase.build import molecule
from rdkit import Chem

from prerelax.molecules.constraints import Constraints


def test_words_are_read_and_written_alike() -> None:
    text = "atoms 1 2 3; distance 1 4; angle 2 1 3; dihedral 4 1 2 3"
    constraints = Constraints.read("dihedral 4 1 2 3; atoms 1-3\n distance 1,4; ANGLE 2 1 3;", n_atoms=4)
    assert sorted(str(constraints).split("; ")) == sorted(text.split("; "))
    assert Constraints.read(str(constraints), n_atoms=4) == constraints
    assert not Constraints.read(" ; ", n_atoms=4)


def test_rotatable_means_all_torsions_around_single_bonds() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCCO"))
    constraints = Constraints.read("rotatable", mol)
    assert len(constraints.coordinates) == 3 and all(len(each) == 4 for each in constraints.coordinates)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dihedral 1 2 3", "dihedral takes 4 atoms, not 3"),
        ("distance 0 1", "counted from 1"),
        ("distance 1 1", "name different atoms"),
        ("distance", "distance names no atoms"),
        ("atoms 4-2", "'4-2' runs backwards"),
        ("distance 1 9", "the molecule has 4 atoms"),
        ("distanc 1 2", "begins with none of atoms, distance"),
        ("atoms one", "'one' is no atom"),
        ("rotatable 3", "begins with none of"),
    ],
)
def test_mistakes_are_sentences(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Constraints.read(text, Chem.AddHs(Chem.MolFromSmiles("N")))


def test_a_geometry_is_brought_back_to_what_is_held() -> None:
    ethanol = molecule("CH3CH2OH")
    rng = np.random.default_rng(0)
    moved = ethanol.positions + 0.15 * rng.normal(size=ethanol.positions.shape)
    moved = moved @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    constraints = Constraints.read("dihedral 1 2 3 4; angle 1 2 3; distance 2 3", n_atoms=9)
    found = constraints.imposed(moved, ethanol.positions)
    assert np.abs(constraints.off(found, constraints.values(ethanol.positions))).max() < 1e-6
    assert np.linalg.norm(found - moved, axis=1).max() < 1.0
    frozen = Constraints.read("atoms 1 2 3", n_atoms=9).imposed(moved, ethanol.positions)
    np.testing.assert_allclose(frozen[:3], ethanol.positions[:3])


def test_a_torsion_over_atoms_in_a_line_has_no_value() -> None:
    ethyne, ethanol = molecule("C2H2"), molecule("CH3CH2OH")
    for first, second in ("12", "21"):
        text = f"dihedral 3 {first} {second} 4"
        sentence = Constraints.read(text, n_atoms=4).without_value(ethyne.positions)
        assert sentence == f"constraint '{text}': atoms 3 {first} {second} lie in a line, so it has no value"
    assert not Constraints.read("angle 3 1 2", n_atoms=4).without_value(ethyne.positions)
    assert not Constraints.read("dihedral 1 2 3 4", n_atoms=9).without_value(ethanol.positions)


def test_constraints_that_contradict_each_other_are_refused() -> None:
    water = molecule("H2O")
    constraints = Constraints.read("atoms 1 2; distance 1 2", n_atoms=3)
    stretched = water.positions * 1.2
    assert np.isfinite(constraints.imposed(stretched, water.positions)).all()
