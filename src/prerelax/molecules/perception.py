"""Bonds, bond orders and charges of a molecule of which only the geometry is known."""

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from prerelax.molecules.graph import (
    conformer_at,
    connectivity_unchanged,
    mapped_smiles,
    mol_from_mapped_smiles,
    skeleton,
)
from prerelax.molecules.topology import bonds_from_geometry

PERCEPTION_TOLERANCES = (1.15, 1.2, 1.25, 1.3)
"""Multiples of the covalent radii's sum tried in turn when bonds are perceived; the first that gives one
fragment with valid valences and no contacts closer than bonds is taken. Of 4,000 QM9 minima 1.15 alone misses
the graph of 1, 1.25 that of 135: cages have 1-3 distances from 1.16 × the sum of radii."""

_MAX_BOND_ORDER_TRIALS = 20_000


def perceived_molecule(
    numbers: NDArray[np.integer], positions: NDArray[np.floating], charge: int, multiplicity: int | None
) -> Chem.Mol:
    """The molecule of a geometry, in its atom order: bonds from distances, bond orders, formal charges and
    radicals by RDKit from the total charge, stereochemistry from the coordinates.

    `numbers` [n_atoms], `positions` [n_atoms, 3] Å; `multiplicity` above 1 allows open shells. Raises
    ValueError where no valid valences are found. The molecule may consist of fragments.
    """
    n_electrons = int(numbers.sum()) - charge
    is_radical = n_electrons % 2 == 1 or (multiplicity or 1) > 1
    second_best = None
    for tolerance in PERCEPTION_TOLERANCES:
        bonded = bonds_from_geometry(numbers, positions, tolerance)
        mol = _with_bond_orders(numbers, positions, bonded, charge, is_radical)
        if mol is None:
            continue
        if len(Chem.GetMolFrags(mol)) == 1 and connectivity_unchanged(mol, numbers, positions):
            return mol
        second_best = second_best or mol
    if second_best is not None:
        return second_best
    raise ValueError(f"no bond orders fit this geometry with charge {charge:+d}")


def _with_bond_orders(
    numbers: NDArray[np.integer],
    positions: NDArray[np.floating],
    bonded: NDArray[np.bool_],
    charge: int,
    is_radical: bool,
) -> Chem.Mol | None:
    if len(numbers) == 1:
        return _single_atom(int(numbers[0]), charge)
    mol = _with_nitro_groups(numbers, positions, bonded, charge)
    if mol is None:
        mol = _bond_orders(numbers, positions, bonded, charge, charged_fragments=True)
    if mol is None and is_radical:
        # With one electron more it is a closed shell, whose bonds RDKit finds: benzyl, nitroxides, phenoxyl.
        closed_shell = _bond_orders(numbers, positions, bonded, charge - 1, charged_fragments=True)
        mol = None if closed_shell is None else _without_electron(closed_shell)
        mol = mol or _bond_orders(numbers, positions, bonded, charge, charged_fragments=False)
    if mol is None or Chem.GetFormalCharge(mol) != charge:
        return None
    _write_mesomers_as_force_fields_know_them(mol)
    Chem.AssignStereochemistryFrom3D(mol)
    mol.RemoveAllConformers()
    return mol


def _single_atom(number: int, charge: int) -> Chem.Mol:
    atom = Chem.Atom(number)
    atom.SetNoImplicit(True)
    atom.SetFormalCharge(charge)
    mol = Chem.RWMol()
    mol.AddAtom(atom)
    return mol_from_mapped_smiles(mapped_smiles(mol.GetMol()))


def _bond_orders(
    numbers: NDArray[np.integer],
    positions: NDArray[np.floating],
    bonded: NDArray[np.bool_],
    charge: int,
    charged_fragments: bool,
) -> Chem.Mol | None:
    mol = skeleton(numbers, bonded)
    mol.AddConformer(conformer_at(positions), assignId=True)
    try:
        rdDetermineBonds.DetermineBondOrders(
            mol,
            charge=charge,
            allowChargedFragments=charged_fragments,
            embedChiral=False,
            maxIterations=_MAX_BOND_ORDER_TRIALS,
        )
    except (ValueError, RuntimeError):
        return None
    return _sanitized(mol)


def _sanitized(mol: Chem.RWMol) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        valid = Chem.SanitizeMol(mol, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE
    return mol.GetMol() if valid else None


def _with_nitro_groups(
    numbers: NDArray[np.integer], positions: NDArray[np.floating], bonded: NDArray[np.bool_], charge: int
) -> Chem.Mol | None:
    """Bond orders by way of the nitroso compound, since RDKit finds none for many nitroarenes; None without
    nitro groups.
    """
    terminal_oxygen = (numbers == 8) & (bonded.sum(axis=0) == 1)
    nitro = [
        (int(n), int(np.flatnonzero(bonded[n] & terminal_oxygen)[0]))
        for n in np.flatnonzero(numbers == 7)
        if bonded[n].sum() == 3 and (bonded[n] & terminal_oxygen).sum() == 2
    ]
    if not nitro:
        return None
    oxygens = sorted(oxygen for _, oxygen in nitro)
    kept = np.delete(np.arange(len(numbers)), oxygens)
    nitroso = _bond_orders(numbers[kept], positions[kept], bonded[np.ix_(kept, kept)], charge, True)
    if nitroso is None:
        return None
    mol = Chem.RWMol(nitroso)
    for _ in oxygens:
        mol.AddAtom(Chem.Atom(8))
    order = np.argsort(np.concatenate([kept, oxygens]))
    mol = Chem.RWMol(Chem.RenumberAtoms(mol.GetMol(), [int(i) for i in order]))
    for nitrogen, oxygen in nitro:
        mol.AddBond(nitrogen, oxygen, Chem.BondType.SINGLE)
        mol.GetAtomWithIdx(nitrogen).SetFormalCharge(1)
        mol.GetAtomWithIdx(oxygen).SetFormalCharge(-1)
    mol.RemoveAllConformers()
    mol.AddConformer(conformer_at(positions), assignId=True)
    return _sanitized(mol)


_HYPERVALENT = Chem.MolFromSmarts("[S,P,Se;+1,+2]-[OX1-]")
_DIAZO = Chem.MolFromSmarts("[C,N;-1]-[N+X2]#[NX1+0]")


def _write_mesomers_as_force_fields_know_them(mol: Chem.Mol) -> None:
    """S+–O⁻ and P+–O⁻ as double bonds, azides and diazo groups as X=N+=N⁻.

    MMFF94 and UFF type atoms by the form that is written; for the other forms they have wrong types or none.
    """
    while match := mol.GetSubstructMatch(_HYPERVALENT):
        centre, oxygen = (mol.GetAtomWithIdx(i) for i in match)
        mol.GetBondBetweenAtoms(*match).SetBondType(Chem.BondType.DOUBLE)
        centre.SetFormalCharge(centre.GetFormalCharge() - 1)
        oxygen.SetFormalCharge(0)
    while match := mol.GetSubstructMatch(_DIAZO):
        inner, middle, terminal = match
        mol.GetBondBetweenAtoms(inner, middle).SetBondType(Chem.BondType.DOUBLE)
        mol.GetBondBetweenAtoms(middle, terminal).SetBondType(Chem.BondType.DOUBLE)
        mol.GetAtomWithIdx(inner).SetFormalCharge(0)
        mol.GetAtomWithIdx(terminal).SetFormalCharge(-1)
    Chem.SanitizeMol(mol)


_IONISED_FIRST = (7, 15, 16, 34, 8, 53, 35, 17, 9)
"""Atomic numbers of atoms with lone pairs, the easily ionised ones first."""


def _without_electron(mol: Chem.Mol) -> Chem.Mol | None:
    """The molecule as a radical: an anionic atom, or else a lone pair, has lost an electron."""
    sites = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetFormalCharge() == -1]
    for number in _IONISED_FIRST:
        sites += [
            a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == number and a.GetFormalCharge() == 0
        ]
    if not sites:
        return None
    radical = Chem.RWMol(mol)
    site = radical.GetAtomWithIdx(sites[0])
    site.SetFormalCharge(site.GetFormalCharge() + 1)
    site.SetNumRadicalElectrons(1)
    return _sanitized(radical)
