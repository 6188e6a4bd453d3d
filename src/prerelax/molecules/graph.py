"""A molecule's graph: as atom-mapped SMILES, and compared with a geometry."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from prerelax.molecules.topology import COVALENT_RADII_ANG, topological_distances

STRETCHED_BOND = 1.3
NEW_BOND = 1.2
NEW_BOND_1_3 = 1.1
COLLAPSED_BOND = 0.5
"""Limits of `connectivity_unchanged`, in multiples of the covalent radii's sum. Equilibrium geometries of
QM9, QM7, GDB-17 and drug-like molecules have bonds up to 1.16 (one S–C of 1.29), 1-3 pairs from 1.157
(MMFF94: 1.124) and other pairs from 1.29; bonds of three-membered rings, which a 1-3 pair may close, reach
1.10."""


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
    STRETCHED_BOND, collapsed below COLLAPSED_BOND and new below NEW_BOND (for atoms with a common neighbour
    NEW_BOND_1_3) × the sum of covalent radii; in between, geometries count as unchanged. Raises ValueError
    where the atoms are others.
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


def bond_changes(
    bonded: NDArray[np.bool_], numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> list[str]:
    """The bonds that `bonds_unchanged` finds broken, collapsed or new: `N1–H6 is broken`, atoms from 1."""
    shortest, longest = bond_limits_ang(bonded, numbers)
    points = np.asarray(positions, dtype=float)
    distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    symbols = [Chem.GetPeriodicTable().GetElementSymbol(int(number)) for number in numbers]

    def named(pairs: NDArray[np.bool_], what: str) -> list[str]:
        return [
            f"{symbols[i]}{i + 1}–{symbols[j]}{j + 1} is {what}" for i, j in np.argwhere(np.triu(pairs, 1))
        ]

    near = distances < shortest
    return [
        *named(bonded & ~(distances < longest), "broken"),
        *named(bonded & near, "collapsed"),
        *named(~bonded & near, "new"),
    ]


def bond_limits_ang(
    bonded: NDArray[np.bool_], numbers: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances [n_atoms, n_atoms] Å between which a geometry has the bonds of the matrix `bonded`:
    at least the first, less than the second.
    """
    radii = COVALENT_RADII_ANG[np.asarray(numbers, dtype=int)]
    sums = radii[:, None] + radii[None, :]
    new = np.where(topological_distances(bonded) == 2, NEW_BOND_1_3, NEW_BOND)
    shortest = np.where(bonded, COLLAPSED_BOND, new) * sums
    np.fill_diagonal(shortest, 0.0)
    return shortest, np.where(bonded, STRETCHED_BOND * sums, np.inf)


def parsed_smiles(smiles: str, sanitize: bool) -> tuple[Chem.Mol | None, str]:
    """RDKit's molecule or, if there is none, what its parser complains about."""
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
