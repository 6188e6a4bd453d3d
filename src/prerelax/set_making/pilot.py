"""The fragments from which a campaign learns its level: few, small, and made as its molecules are.

Besides the parts of `fragments` every bond is cut out by itself: its two atoms with the rings that they are
in and what is multiply bonded to them, or their neighbours too.

A pilot is a greedy cover. Of all parts of the campaign's molecules the one is taken next that adds most for
its cost, until there are as many as wanted. What counts is how often the campaign's molecules
have the environments of a part, that is its atoms with their bonds, and its bonds with their ends. A second
part with the same environment adds half as much as the first, a third one a third.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from prerelax.datasets.graph_split import graph_key
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles
from prerelax.records.atomic_write import write_text_atomically
from prerelax.records.shard import read_shard
from prerelax.set_making.fragments import parts_around_bonds
from prerelax.set_making.options import PilotOptions

COST_POWER = 1.5
"""Of the heavy atoms. DFT costs more, but the smallest parts have no torsions and no conjugation."""
SMALLEST_HEAVY_ATOMS = 3


def write_pilot(shards: Sequence[Path], out: Path, options: PilotOptions) -> int:
    """Write the fragments of the molecules in `shards`, one SMILES a line, those that add most first.

    Returns how many: `options.count`, or as many as there are. Ions, radicals and molecules of several
    fragments are left alone, and a fragment that is itself one of the molecules is left out. Raises UserError
    where there are fewer than `options.fewest`.
    """
    smiles = sorted(
        {row.smiles for shard in shards for row in read_shard(shard) if row.proceeds and row.smiles}
    )
    mapped = [mol_from_mapped_smiles(each) for each in smiles]
    molecules = [Chem.RemoveHs(each) for each in mapped if _is_ordinary(each)]
    own = {_graph(each) for each in molecules}
    sizes = range(options.max_heavy_atoms // 2, options.max_heavy_atoms + 1, 2)
    parts: set[str] = set()
    for molecule in molecules:
        parts.update(surroundings(molecule, options.max_heavy_atoms))
        for size in (0, *sizes):
            parts.update(parts_around_bonds(molecule, size, options.max_heavy_atoms))
    found = [part for part in sorted(parts) if _is_fragment(part, own)]
    if len(found) < options.fewest:
        raise UserError(
            f"{shards[0]}: {len(found)} fragments of at most {options.max_heavy_atoms} heavy atoms are too "
            f"few to learn a level from, at least {options.fewest} are needed; raise max_heavy_atoms"
        )
    assert options.count is not None
    chosen = cover(found, molecules, options.count)
    write_text_atomically(out, "".join(f"{part} pilot-{k}\n" for k, part in enumerate(chosen)))
    return len(chosen)


def cover(parts: Sequence[str], molecules: Sequence[Chem.Mol], count: int) -> list[str]:
    """The `count` parts (SMILES) that cover the molecules' environments best for their cost, best first."""
    weights: Counter[Hashable] = Counter()
    for molecule in molecules:
        weights.update(environments(molecule))
    made = [(Chem.MolFromSmiles(part), part) for part in parts]
    left = {part: (set(environments(mol)), float(mol.GetNumHeavyAtoms() ** COST_POWER)) for mol, part in made}
    times: Counter[Hashable] = Counter()
    chosen: list[str] = []
    while left and len(chosen) < count:

        def gain(part: str) -> float:
            here, cost = left[part]
            return float(sum(weights[each] / (1 + times[each]) for each in here)) / cost

        best = max(left, key=gain)
        times.update(left.pop(best)[0])
        chosen.append(best)
    return chosen


def surroundings(molecule: Chem.Mol, largest: int) -> set[str]:
    """SMILES of what is around each bond between heavy atoms, in two sizes, of at most `largest` heavy atoms.

    The larger one is the ends with their neighbours and all their rings. A carbon at a cut gets a hydrogen,
    any other atom a methyl group: a nitrogen with a hydrogen would be another nitrogen. The smaller one is
    the ends with methyl groups at every cut; around a bond outside rings it opens saturated rings.
    """
    found: set[str] = set()
    for bond in molecule.GetBonds():
        ends = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
        near = ends | {each.GetIdx() for end in ends for each in molecule.GetAtomWithIdx(end).GetNeighbors()}
        for kept, hydrogens in ((ends, False), (near, True)):
            atoms = _closed(molecule, kept, rings=hydrogens or bond.IsInRing())
            smiles = _cut_out(molecule, atoms, hydrogens, largest)
            if smiles is not None:
                found.add(smiles)
    return found


def _closed(molecule: Chem.Mol, atoms: set[int], rings: bool) -> set[int]:
    """The atoms with all that bonds lead to which are not cut: aromatic and multiple ones, and of rings."""
    closed, waiting = set(atoms), list(atoms)
    while waiting:
        for bond in molecule.GetAtomWithIdx(waiting.pop()).GetBonds():
            other = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} - closed
            if other and (bond.GetBondType() != Chem.BondType.SINGLE or (rings and bond.IsInRing())):
                closed |= other
                waiting += other
    return closed


def _cut_out(molecule: Chem.Mol, atoms: set[int], hydrogens: bool, largest: int) -> str | None:
    """The part made of `atoms`; None for the molecule itself, and for a part that is too large or invalid."""
    part = Chem.RWMol(molecule)
    for bond in molecule.GetBonds():
        inside = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} & atoms
        if len(inside) != 1:
            continue
        (atom,) = inside
        part.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        if not hydrogens or molecule.GetAtomWithIdx(atom).GetAtomicNum() != 6:
            part.AddBond(atom, part.AddAtom(Chem.Atom(6)), Chem.BondType.SINGLE)
        elif (end := part.GetAtomWithIdx(atom)).GetNoImplicit():
            end.SetNumExplicitHs(end.GetNumExplicitHs() + 1)
    outside = set(range(molecule.GetNumAtoms())) - atoms
    for atom in sorted(outside, reverse=True):
        part.RemoveAtom(atom)
    if not outside or part.GetNumAtoms() > largest:
        return None
    with rdBase.BlockLogs():
        valid = Chem.SanitizeMol(part, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE
    return str(Chem.MolToSmiles(part, isomericSmiles=False)) if valid else None


def environments(molecule: Chem.Mol) -> Iterator[Hashable]:
    """The environment of every heavy atom and of every bond between heavy atoms; hydrogens are implicit."""
    for atom in molecule.GetAtoms():
        bonds = ((str(bond.GetBondType()), _kind(bond.GetOtherAtom(atom))) for bond in atom.GetBonds())
        yield (_kind(atom), atom.GetTotalNumHs(), _ring_size(molecule, atom), tuple(sorted(bonds)))
    for bond in molecule.GetBonds():
        ends = sorted((_kind(end), end.GetTotalNumHs()) for end in (bond.GetBeginAtom(), bond.GetEndAtom()))
        yield (str(bond.GetBondType()), bond.IsInRing(), tuple(ends))


def _kind(atom: Chem.Atom) -> tuple[int, str]:
    return atom.GetAtomicNum(), str(atom.GetHybridization())


def _ring_size(molecule: Chem.Mol, atom: Chem.Atom) -> int:
    """Of the smallest ring; 0 outside rings."""
    return int(molecule.GetRingInfo().MinAtomRingSize(atom.GetIdx()))


def _is_ordinary(molecule: Chem.Mol) -> bool:
    radicals = any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    return not radicals and not Chem.GetFormalCharge(molecule) and len(Chem.GetMolFrags(molecule)) == 1


def _is_fragment(part: str, own: set[int]) -> bool:
    molecule = Chem.MolFromSmiles(part)
    if molecule is None or molecule.GetNumHeavyAtoms() < SMALLEST_HEAVY_ATOMS or not _is_ordinary(molecule):
        return False
    return _graph(molecule) not in own


def _graph(molecule: Chem.Mol) -> int:
    whole = Chem.AddHs(molecule)
    numbers = np.array([atom.GetAtomicNum() for atom in whole.GetAtoms()])
    return graph_key(numbers, bonded_matrix(whole))
