"""Turned bonds, and which geometries are one conformer."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from prerelax.molecules.graph import conformer_at, mapped_smiles
from prerelax.molecules.molecule import Molecule
from prerelax.starts.conformers import moves
from prerelax.starts.conformers.distinct import Skeleton, distinct
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised


def conformation(smiles: str) -> tuple[moves.Conformation, np.ndarray]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    record = minimised(next(embedded(Molecule("m", mapped_smiles(mol), mol))), "mmff94", None, "mmff94")
    return moves.conformation(mol, record.positions), record.positions


@pytest.mark.parametrize(
    ("smiles", "n"),
    [
        ("CC", 0),
        ("CCCC", 1),
        ("OCCO", 3),
        ("CC#CC", 0),
        ("CC(N)=O", 1),
        ("C1CCCCC1", 0),
        ("FC(F)(F)CC", 0),
        ("CCc1ccccc1", 1),
    ],
)
def test_bonds_that_turn(smiles: str, n: int) -> None:
    assert len(moves.rotatable_torsions(Chem.AddHs(Chem.MolFromSmiles(smiles)))) == n


def test_a_turned_bond_keeps_bonds_angles_and_stereochemistry() -> None:
    molecule, positions = conformation("C[C@H](O)CCO")
    rng = np.random.default_rng(0)
    near = Chem.GetDistanceMatrix(molecule.mol) <= 2
    angles = []
    for _ in range(200):
        turned = moves.turned(molecule, positions, rng)
        before, after = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (positions, turned))
        assert after[near] == pytest.approx(before[near], abs=1e-6)
        assert molecule.has_stereo(turned)
        angles.append(np.abs(after - before).max())
    assert max(angles) > 1.0
    assert not molecule.has_stereo(positions * [1, 1, -1])


def ethanol(torsion_deg: float) -> tuple[moves.Conformation, np.ndarray]:
    molecule, positions = conformation("CCO")
    hydrogen = molecule.mol.GetNumAtoms() - 1
    assert molecule.mol.GetBondBetweenAtoms(2, hydrogen) is not None
    trial = Chem.Mol(molecule.mol)
    trial.AddConformer(conformer_at(positions), assignId=True)
    rdMolTransforms.SetDihedralDeg(trial.GetConformer(), 0, 1, 2, hydrogen, torsion_deg)
    return molecule, trial.GetConformer().GetPositions()


def test_a_conformer_is_known_again_with_equivalent_atoms_exchanged() -> None:
    molecule, anti = ethanol(180.0)
    _, gauche = ethanol(60.0)
    skeleton = Skeleton.of(molecule.mol)
    assert len(skeleton.atoms) == 4  # two carbons, the oxygen and its hydrogen
    permuted = anti + 1.0
    permuted[[3, 4, 5]] = permuted[[4, 5, 3]]  # the methyl group's hydrogens
    assert distinct(skeleton, [anti, permuted], [0.001, 0.0]) == [1]
    assert distinct(skeleton, [anti, gauche, permuted], [0.0, 0.001, 0.002]) == [0, 1]
    assert distinct(skeleton, [anti, permuted], [0.0, 0.1]) == [0, 1]  # 2.3 kcal/mol are another minimum
    assert distinct(skeleton, [anti, gauche], [0.0, 0.001], most=1) == [0]


def test_hydrogens_on_oxygen_are_matched_by_symmetry() -> None:
    molecule, positions = conformation("OCCO")
    hydrogens = [a.GetIdx() for a in molecule.mol.GetAtoms() if a.GetAtomicNum() == 1]
    on_oxygen = [h for h in hydrogens if molecule.bonded[h, 0] or molecule.bonded[h, 3]]
    swapped = positions.copy()
    swapped[[0, 1, 2, 3, *on_oxygen]] = positions[[3, 2, 1, 0, *on_oxygen[::-1]]]
    assert Skeleton.of(molecule.mol).rmsd_ang(positions, swapped) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("smiles", ["Cc1ccccc1[N+](=O)[O-]", "CCC(=O)[O-]"])
def test_oxygens_that_only_their_drawing_tells_apart_are_matched(smiles: str) -> None:
    molecule, positions = conformation(smiles)
    oxygens = [atom.GetIdx() for atom in molecule.mol.GetAtoms() if atom.GetSymbol() == "O"]
    swapped = positions.copy()
    swapped[oxygens] = positions[oxygens[::-1]]
    assert Skeleton.of(molecule.mol).rmsd_ang(positions, swapped) == pytest.approx(0, abs=1e-6)


def test_carbons_of_other_hydrogens_are_not_matched() -> None:
    molecule, positions = conformation("C=CCC")
    reversed_chain = positions.copy()
    reversed_chain[:4] = positions[[3, 2, 1, 0]]
    assert Skeleton.of(molecule.mol).rmsd_ang(positions, reversed_chain) > 0.05
