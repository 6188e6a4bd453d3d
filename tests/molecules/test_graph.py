"""Graphs as mapped SMILES, from geometries, and compared with geometries."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from prerelax.molecules.graph import (
    bond_changes,
    bonded_matrix,
    connectivity_unchanged,
    mapped_smiles,
    mol_from_mapped_smiles,
)
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.topology import topological_distances


def explicit(smiles: str) -> Chem.Mol:
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def geometry(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    mol = Chem.Mol(mol)
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return np.array([a.GetAtomicNum() for a in mol.GetAtoms()]), mol.GetConformer().GetPositions()


CHEMISTRY = [
    "C",
    "[H][H]",
    "C[C@H](F)Cl",
    "C[C@@H]1CC[C@H](O)C[C@H]1N",
    "F/C=C/F",
    "F/C=C\\F",
    "C[N+](=O)[O-]",
    "O=C(NC1=CC=C([N+](=O)[O-])C=C1)C1=CC=CC=C1",
    "O=[N+]([O-])c1ccc([O-])c([N+](=O)[O-])c1",
    "CCO[N+](=O)[O-]",
    "CC(=O)[O-]",
    "[NH4+]",
    "C[NH2+]CC(=O)[O-]",
    "[CH3]",
    "[O][O]",
    "[CH2]c1ccccc1",
    "c1cc2cc[nH]c2cc1",
    "CS(=O)(=O)N",
    "[2H]C([2H])O",
    "C[Si](C)(C)C",
    "OP(=O)(O)OC",
    "CN=[N+]=[N-]",
    "[N-]=[N+]=NCC",
    "C=[N+]=[N-]",
    "C[S@](=O)c1ccccc1",
    "CP(C)(C)=O",
    "[O-]S(=O)(=O)C",
    "[O-]Cl(=O)(=O)=O",
    "C[S+](C)C",
    "[C-]#[O+]",
    "CC#[N+][O-]",
    "C[NH2+]C",
    "C[O]",
    "[O]c1ccccc1",
    "CC(C)(C)N([O])C(C)(C)C",
]
OTHER_MESOMERS = ["O=[N+]([O-])c1ccc([O-])c([N+](=O)[O-])c1", "[CH2]c1ccccc1", "[O]c1ccccc1", "[O][O]"]
"""From a geometry RDKit may write their electrons in another way; the bonded pairs are the same."""


@pytest.mark.parametrize("smiles", CHEMISTRY)
def test_mapped_smiles_keep_molecule_and_any_atom_order(smiles: str) -> None:
    mol = explicit(smiles)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    shuffled = Chem.RenumberAtoms(mol, order)
    back = mol_from_mapped_smiles(mapped_smiles(shuffled))
    assert [a.GetAtomicNum() for a in back.GetAtoms()] == [a.GetAtomicNum() for a in shuffled.GetAtoms()]
    np.testing.assert_array_equal(bonded_matrix(back), bonded_matrix(shuffled))
    assert Chem.MolToSmiles(Chem.RemoveHs(back)) == Chem.MolToSmiles(Chem.RemoveHs(mol))
    assert [a.GetFormalCharge() for a in back.GetAtoms()] == [
        a.GetFormalCharge() for a in shuffled.GetAtoms()
    ]
    assert [a.GetNumRadicalElectrons() for a in back.GetAtoms()] == [
        a.GetNumRadicalElectrons() for a in shuffled.GetAtoms()
    ]
    assert not any(a.GetAtomMapNum() for a in back.GetAtoms())


@pytest.mark.parametrize(
    "smiles", ["CC", "[CH4:1]", "[H:1][O:2][H:2]", "[H:1][O:3][H:4]", "[H:1][O:2", "[F:2]"]
)
def test_incomplete_maps_are_refused(smiles: str) -> None:
    with pytest.raises(ValueError, match=r"number all its atoms|not valid SMILES"):
        mol_from_mapped_smiles(smiles)


def test_positions_must_fit_the_map() -> None:
    smiles = "[H:1][O:2][H:3]"
    with pytest.raises(ValueError, match="3 atoms"):
        mol_from_mapped_smiles(smiles, np.zeros((2, 3)))
    positions = np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(
        mol_from_mapped_smiles(smiles, positions).GetConformer().GetPositions(), positions
    )


@pytest.mark.parametrize("smiles", CHEMISTRY)
def test_geometries_are_perceived_as_the_molecule_they_came_from(smiles: str) -> None:
    mol = explicit(smiles)
    numbers, positions = geometry(mol)
    n_unpaired = sum(a.GetNumRadicalElectrons() for a in mol.GetAtoms())
    perceived = perceived_molecule(numbers, positions, Chem.GetFormalCharge(mol), 1 + n_unpaired)
    np.testing.assert_array_equal(bonded_matrix(perceived), bonded_matrix(mol))
    for atom in mol.GetAtoms():  # coordinates know nothing of isotopes
        atom.SetIsotope(0)
    assert Chem.GetFormalCharge(perceived) == Chem.GetFormalCharge(mol)
    if smiles not in OTHER_MESOMERS:
        assert Chem.MolToSmiles(Chem.RemoveHs(perceived)) == Chem.MolToSmiles(Chem.RemoveHs(mol))


def test_cages_are_perceived(data_folder: str) -> None:
    """QM9's strained cages, whose 1-3 distances a generous radius takes for bonds."""
    data = np.load(f"{data_folder}/qm9_val.npz")
    ends = np.cumsum(data["n_atoms"])
    for i in range(0, len(ends), 5):
        atoms = slice(ends[i] - data["n_atoms"][i], ends[i])
        numbers, positions = data["numbers"][atoms].astype(int), data["positions"][atoms].astype(float)
        mol = perceived_molecule(numbers, positions, 0, None)
        assert len(Chem.GetMolFrags(mol)) == 1
        assert not sum(a.GetNumRadicalElectrons() for a in mol.GetAtoms())
        assert connectivity_unchanged(mol, numbers, positions)
        mmff94 = data["positions_mmff94"][atoms].astype(float)
        assert connectivity_unchanged(mapped_smiles(mol), numbers, mmff94)


def test_radical_cations_have_their_electron_missing_at_a_lone_pair() -> None:
    numbers, positions = geometry(explicit("CN(C)C"))
    cation = perceived_molecule(numbers, positions, 1, 2)
    assert Chem.MolToSmiles(Chem.RemoveHs(cation)) == "C[N+](C)C"
    assert sum(atom.GetNumRadicalElectrons() for atom in cation.GetAtoms()) == 1


def test_impossible_charge_is_refused() -> None:
    numbers, positions = geometry(explicit("C[N+](C)(C)C"))
    with pytest.raises(ValueError, match="charge -2"):
        perceived_molecule(numbers, positions, -2, None)


def test_broken_and_new_bonds_are_seen() -> None:
    mol = explicit("OCCCC#N")
    numbers, positions = geometry(mol)
    assert connectivity_unchanged(mol, numbers, positions)
    bonded = bonded_matrix(mol)
    hydroxyl = next(i for i in np.flatnonzero(bonded[0]) if numbers[i] == 1)

    stretched = positions.copy()
    stretched[hydroxyl] += 0.35 * (positions[hydroxyl] - positions[0])
    assert not connectivity_unchanged(mol, numbers, stretched)

    moved = positions.copy()
    moved[hydroxyl] = positions[5] + (positions[5] - positions[4]) / np.linalg.norm(
        positions[5] - positions[4]
    )
    assert not connectivity_unchanged(mol, numbers, moved)

    with_nan = positions.copy()
    with_nan[3] = np.nan
    assert not connectivity_unchanged(mol, numbers, with_nan)


def test_two_atoms_on_one_spot_are_no_bond() -> None:
    mol = explicit("[C-]#[O+]")
    places = np.array([[0, 0, 0], [0, 0, 1.13]])
    assert connectivity_unchanged(mol, np.array([6, 8]), places)
    assert not connectivity_unchanged(mol, np.array([6, 8]), places * 0.02)
    assert bond_changes(bonded_matrix(mol), np.array([6, 8]), places * 0.02) == ["C1–O2 is collapsed"]


def test_a_closed_three_membered_ring_is_a_new_bond() -> None:
    propane, cyclopropane = explicit("CCC"), explicit("C1CC1")
    numbers, positions = geometry(cyclopropane)
    without = Chem.RWMol(cyclopropane)
    without.RemoveBond(0, 2)
    Chem.SanitizeMol(without)
    assert not connectivity_unchanged(without.GetMol(), numbers, positions)
    assert connectivity_unchanged(cyclopropane, numbers, positions)
    assert connectivity_unchanged(propane, *geometry(propane))


def test_other_atoms_are_an_error() -> None:
    with pytest.raises(ValueError, match="not the molecule's"):
        connectivity_unchanged("[H:1][O:2][H:3]", np.array([8, 1, 1]), np.zeros((3, 3)))


def test_topological_distances_of_a_graph() -> None:
    butane = mol_from_mapped_smiles(mapped_smiles(explicit("CCCC")))
    distances = topological_distances(bonded_matrix(butane))
    assert distances[0, :4].tolist() == [0, 1, 2, 3]
