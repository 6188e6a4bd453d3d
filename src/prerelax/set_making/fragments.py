"""Pieces of drug-like molecules that keep what they are made of: cheap training structures.

A network with a cutoff learns local geometry, and local geometry is in parts of a molecule that cost a
fraction of the whole at a quantum-chemical level. Cut are the bonds of BRICS (Degen et al., ChemMedChem 2008,
3, 1503; RDKit's rules). A single BRICS piece is no good: an amide falls into a ketone and an amine. So every
part is grown around one of the bonds, which stays whole, and only its rim is cut.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import BRICS

from prerelax.datasets.graph_split import graph_key
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles
from prerelax.records.atomic_write import write_text_atomically
from prerelax.records.shard import read_shard

MAX_HEAVY_ATOMS = 16
"""To which parts are grown. About 28 atoms with hydrogens: a third of a whole drug-like molecule's time."""
LARGEST_HEAVY_ATOMS = 24
"""Parts that are larger from the start are left to the whole molecules."""


def write_parts(
    molecules: Path,
    out: Path,
    grown_to: int = MAX_HEAVY_ATOMS,
    largest: int = LARGEST_HEAVY_ATOMS,
    unlike: Sequence[Path] = (),
) -> tuple[int, int]:
    """Write the parts of the molecules in `molecules` (a SMILES at the beginning of each line), the commonest
    first.

    Left alone are ions, salts and what RDKit cannot read, and molecules with the graph of one in the shards
    `unlike`; parts that are ions are left out. Returns how many parts there are and of how many molecules.
    Raises UserError for a file that cannot be read, and where there is no part.
    """
    try:
        lines = molecules.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{molecules} cannot be read: {error}") from error
    tested = {
        _graph(mol_from_mapped_smiles(row.smiles))
        for shard in unlike
        for row in read_shard(shard)
        if row.smiles
    }
    found: Counter[str] = Counter()
    n_molecules = 0
    for line in filter(str.strip, lines):
        molecule = _neutral(line.split()[0])
        if molecule is None or (tested and _graph(Chem.AddHs(molecule)) in tested):
            continue
        parts = parts_around_bonds(molecule, grown_to, largest)
        found.update(part for part in parts if _neutral(part) is not None)
        n_molecules += bool(parts)
    if not found:
        raise UserError(f"{molecules}: no molecule with a bond that can be cut")
    order = sorted(found, key=lambda part: (-found[part], part))
    write_text_atomically(out, "".join(f"{part}\n" for part in order))
    return len(order), n_molecules


def _neutral(smiles: str) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None or "." in smiles or Chem.GetFormalCharge(molecule) else molecule


def _graph(molecule: Chem.Mol) -> int:
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return graph_key(numbers, bonded_matrix(molecule))


def parts_around_bonds(
    molecule: Chem.Mol, grown_to: int = MAX_HEAVY_ATOMS, largest: int = LARGEST_HEAVY_ATOMS
) -> list[str]:
    """SMILES of the parts of a molecule around each of its BRICS bonds, cuts capped by methyl groups.

    A part begins with the two BRICS pieces of a bond and takes in the smallest neighbour while it has at most
    `grown_to` heavy atoms; one of more than `largest`, caps included, is left out, as is the molecule itself.
    Each part once, sorted; none where nothing can be cut.
    """
    bonds = sorted(tuple(sorted(atoms)) for atoms, _ in BRICS.FindBRICSBonds(molecule))
    pieces = _pieces(molecule, bonds)
    of_atom = {atom: place for place, piece in enumerate(pieces) for atom in piece}
    neighbours: dict[int, set[int]] = defaultdict(set)
    for a, b in bonds:
        neighbours[of_atom[a]].add(of_atom[b])
        neighbours[of_atom[b]].add(of_atom[a])
    parts = set()
    for a, b in bonds:
        grown = _grown({of_atom[a], of_atom[b]}, pieces, neighbours, grown_to)
        if len(grown) < len(pieces):
            rim = [bond for bond in bonds if (of_atom[bond[0]] in grown) != (of_atom[bond[1]] in grown)]
            parts.add(_capped(molecule, rim, a))
    return sorted(
        smiles
        for smiles in parts
        if smiles is not None and Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= largest
    )


def _pieces(molecule: Chem.Mol, bonds: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The atoms of each BRICS piece."""
    if not bonds:
        return [tuple(range(molecule.GetNumAtoms()))]
    cut = Chem.RWMol(molecule)
    for a, b in bonds:
        cut.RemoveBond(a, b)
    return list(Chem.GetMolFrags(cut))


def _grown(
    part: set[int], pieces: list[tuple[int, ...]], neighbours: dict[int, set[int]], grown_to: int
) -> set[int]:
    size = sum(len(pieces[piece]) for piece in part)
    while rim := sorted(
        {n for piece in part for n in neighbours[piece]} - part, key=lambda p: len(pieces[p])
    ):
        size += len(pieces[rim[0]])
        if size > grown_to:
            break
        part = part | {rim[0]}
    return part


def _capped(molecule: Chem.Mol, rim: list[tuple[int, ...]], inside: int) -> str | None:
    """The part that atom `inside` is in after cutting `rim`, methyl groups at the cuts; None if none is
    valid."""
    indices = [molecule.GetBondBetweenAtoms(*bond).GetIdx() for bond in rim]
    cut = Chem.FragmentOnBonds(molecule, indices, dummyLabels=[(0, 0)] * len(indices))
    with rdBase.BlockLogs():
        atoms = next(atoms for atoms in Chem.GetMolFrags(cut) if inside in atoms)
        place = next(i for i, other in enumerate(Chem.GetMolFrags(cut)) if other == atoms)
        part = Chem.RWMol(Chem.GetMolFrags(cut, asMols=True, sanitizeFrags=False)[place])
        for atom in part.GetAtoms():
            if atom.GetAtomicNum() == 0:
                atom.SetAtomicNum(6)
                atom.SetNoImplicit(False)
        if Chem.SanitizeMol(part, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
        return str(Chem.MolToSmiles(part))
