"""RMSD is blind to motion and, on request, to the names of equivalent atoms, but not to handedness."""

import numpy as np
import pytest
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation

from prerelax.molecules.superposition import rmsd, symmetric_rmsd


def test_rotation_and_translation_do_not_count() -> None:
    positions = molecule("CH3CH2OH").positions
    moved = Rotation.random(rng=np.random.default_rng(1)).apply(positions) + np.array([3.0, -1.0, 2.0])
    assert rmsd(moved, positions) == pytest.approx(0, abs=1e-7)


def test_stretching_one_bond_has_its_textbook_value() -> None:
    a = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    assert rmsd(a * 1.2, a) == pytest.approx(0.1)


def test_mirror_images_differ() -> None:
    rng = np.random.default_rng(0)
    chiral = rng.normal(size=(6, 3))
    assert rmsd(chiral * [1, 1, -1], chiral) > 0.1


def test_exchanged_hydrogens_are_the_same_geometry() -> None:
    ethanol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(ethanol, randomSeed=1)
    a = ethanol.GetConformer().GetPositions()
    distorted = a + np.random.default_rng(2).normal(scale=0.02, size=a.shape)
    exchanged = distorted.copy()
    exchanged[[3, 4]] = distorted[[4, 3]]
    assert rmsd(exchanged, a) > 0.3
    assert symmetric_rmsd(ethanol, exchanged, a) == pytest.approx(rmsd(distorted, a), abs=1e-9)


def test_single_atom() -> None:
    assert rmsd(np.zeros((1, 3)), np.ones((1, 3))) == 0
