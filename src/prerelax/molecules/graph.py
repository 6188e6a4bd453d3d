"""A molecule's graph: as atom-mapped SMILES, perceived from a geometry, and compared with one."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from prerelax.molecules.topology import COVALENT_RADII_ANG, bonds_from_geometry, topological_distances

PERCEPTION_TOLERANCES = (1.15, 1.2, 1.25, 1.3)
"""Multiples of the covalent radii's sum tried in turn when bonds are perceived; the first that gives one
fragment with valid valences and no contacts closer than bonds is taken. Of 4,000 QM9 minima 1.15 alone misses
the graph of 1, 1.25 that of 135: cages have 1-3 distances from 1.16 × the sum of radii."""

STRETCHED_BOND = 1.3
NEW_BOND = 1.2
NEW_BOND_1_3 = 1.1
"""Limits of `connectivity_unchanged`, in multiples of the covalent radii's sum. Equilibrium geometries of
QM9, QM7, GDB-17 and drug-like molecules have bonds up to 1.16 (one S–C of 1.29), 1-3 pairs from 1.157
(MMFF94: 1.124) and other pairs from 1.29; bonds of three-membered rings, which a 1-3 pair may close, reach
1.10."""

_MAX_BOND_ORDER_TRIALS = 20_000


def mapped_smiles(mol: Chem.Mol) -> str:
    """SMILES with map number = index + 1, every atom written, from a molecule with all its hydrogens."""
    mapped = Chem.Mol(mol)
    for atom in mapped.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    return str(Chem.MolToSmiles(mapped))


def mol_from_mapped_smiles(smiles: str, positions: NDArray[np.floating] | None = None) -> Chem.Mol:
    """The molecule of an atom-mapped SMILES, atoms in map order, without map numbers; sanitized, with stereo.

    `positions` [n_atoms, 3] Å become its only conformer. Raises ValueError where the SMILES is invalid or its
    map is not 1…n over all atoms, hydrogens included, or `positions` has another length.
    """
    mol, complaint = parsed_smiles(smiles, sanitize=True)
    if mol is None:
        raise ValueError(f"{smiles!r} is not valid SMILES ({complaint})")
    order = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    if sorted(order) != list(range(1, len(order) + 1)) or any(a.GetTotalNumHs() for a in mol.GetAtoms()):
        raise ValueError(f"{smiles!r} does not number all its atoms, hydrogens included, from 1")
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    mol = Chem.RenumberAtoms(mol, [int(i) for i in np.argsort(order)])
    if positions is not None:
        if np.shape(positions) != (len(order), 3):
            raise ValueError(
                f"{len(order)} atoms in the SMILES, but positions of shape {np.shape(positions)}"
            )
        mol.AddConformer(conformer_at(positions), assignId=True)
    return mol


def bonded_matrix(mol: Chem.Mol) -> NDArray[np.bool_]:
    """Adjacency matrix [n_atoms, n_atoms] of the molecule's graph."""
    bonded: NDArray[np.bool_] = Chem.GetAdjacencyMatrix(mol).astype(bool)
    return bonded


def connectivity_unchanged(
    molecule: str | Chem.Mol, numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> bool:
    """Whether a geometry has the bonds of its molecule (RDKit's, or mapped SMILES): none broken, none new.

    `numbers` [n_atoms] and `positions` [n_atoms, 3] Å are in the molecule's order. A bond is broken beyond
    STRETCHED_BOND and new below NEW_BOND (for atoms with a common neighbour NEW_BOND_1_3) × the sum of
    covalent radii; in between, geometries count as unchanged. Raises ValueError where the atoms are others.
    """
    mol = mol_from_mapped_smiles(molecule) if isinstance(molecule, str) else molecule
    numbers = np.asarray(numbers, dtype=int)
    if [atom.GetAtomicNum() for atom in mol.GetAtoms()] != numbers.tolist():
        raise ValueError("the geometry's atoms are not the molecule's, in this order")
    return bonds_unchanged(bonded_matrix(mol), numbers, positions)


def bonds_unchanged(
    bonded: NDArray[np.bool_], numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> bool:
    """`connectivity_unchanged` against an adjacency matrix [n_atoms, n_atoms]."""
    shortest, longest = bond_limits_ang(bonded, numbers)
    points = np.asarray(positions, dtype=float)
    distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    return bool(((shortest <= distances) & (distances < longest)).all())


def bond_limits_ang(
    bonded: NDArray[np.bool_], numbers: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances [n_atoms, n_atoms] Å between which a geometry has the bonds of the matrix `bonded`:
    at least the first, less than the second.
    """
    radii = COVALENT_RADII_ANG[np.asarray(numbers, dtype=int)]
    sums = radii[:, None] + radii[None, :]
    new = np.where(topological_distances(bonded) == 2, NEW_BOND_1_3, NEW_BOND)
    shortest = np.where(bonded | np.eye(len(radii), dtype=bool), 0.0, new * sums)
    return shortest, np.where(bonded, STRETCHED_BOND * sums, np.inf)


def parsed_smiles(smiles: str, sanitize: bool) -> tuple[Chem.Mol | None, str]:
    """RDKit's molecule and, where there is none, the gist of what its parser says."""
    parameters = Chem.SmilesParserParams()
    parameters.removeHs = False  # type: ignore[assignment]
    parameters.sanitize = sanitize  # type: ignore[assignment]
    with _rdkit_messages() as said:
        mol = Chem.MolFromSmiles(smiles, parameters)
    hints = [line.split("SMILES Parse Error: ")[-1] for line in said.getvalue().splitlines()]
    hint = next((h.split(" for input:")[0] for h in hints if "position" in h or "unclosed" in h), "")
    return mol, hint.rstrip(": ") or "check brackets, ring closures and element symbols"


@contextlib.contextmanager
def _rdkit_messages() -> Iterator[io.StringIO]:
    """Collects what RDKit would print; nothing where its log is switched off."""
    said = io.StringIO()
    rdBase.LogToPythonStderr()
    try:
        with contextlib.redirect_stderr(said):
            yield said
    finally:
        rdBase.LogToCppStreams()


def conformer_at(positions: NDArray[np.floating]) -> Chem.Conformer:
    """RDKit's conformer of positions [n_atoms, 3] Å."""
    conformer = Chem.Conformer(len(positions))
    conformer.SetPositions(np.ascontiguousarray(positions, dtype=float))
    return conformer


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


def skeleton(numbers: NDArray[np.integer], bonded: NDArray[np.bool_]) -> Chem.RWMol:
    """Atoms `numbers` [n_atoms] with single bonds where `bonded` [n_atoms, n_atoms] says, all explicit."""
    mol = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j in np.argwhere(np.triu(bonded)):
        mol.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return mol


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
