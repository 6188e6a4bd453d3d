"""The molecule whose minimum a denoised start changed most, chosen by number (paper E, figure 16)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.molecules.graph import conformer_at, mol_from_mapped_smiles
from prerelax.molecules.superposition import superimposed
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, read_shard

PAPER_KCAL_MOL = {"start": 0.0, "denoised": -3.0, "relaxed": -4.5, "denoised, relaxed": -5.4}
"""Paper E, figure 16, above the MMFF94 start of its outlier; a methyl group had turned."""


@dataclass(frozen=True)
class Outlier:
    """The pair of relaxations with the largest absolute difference of their minima."""

    id: str
    conformer: int
    start: str
    smiles: str
    numbers: NDArray[np.int64]
    geometries: dict[str, NDArray[np.float64]]
    """[n_atoms, 3] Å by the keys of PAPER_KCAL_MOL, all superimposed on the first"""
    energies_kcal_mol: dict[str, float]
    """by the same keys, above the baseline's start"""
    delta_kcal_mol: float
    n_pairs: int
    """counted pairs that it was chosen from"""
    turned: str = ""
    """the torsion in which the two minima differ most, in words"""


def find_outlier(results: Path, target: str, starts: Sequence[str], baseline: str) -> Outlier | None:
    """The pair with the largest absolute energy delta at a target; None where no pair counts.

    Pairs count as everywhere: both relaxations converged and kept their bonds. Raises ShardError where the
    relaxed shards are missing.
    """
    of_baseline = _relaxed(results / "relaxed" / target / baseline)
    pairs = [
        (of_baseline[molecule], record)
        for start in starts
        for molecule, record in _relaxed(results / "relaxed" / target / start).items()
        if molecule in of_baseline
    ]
    if not pairs:
        return None
    first, second = max(pairs, key=lambda pair: abs(_energy(pair[1]) - _energy(pair[0])))
    assert first.start_positions is not None and second.start_positions is not None
    assert first.start_energy_ev is not None and second.start_energy_ev is not None
    zero = first.start_positions
    geometries = (zero, second.start_positions, first.positions, second.positions)
    energies = (first.start_energy_ev, second.start_energy_ev, _energy(first), _energy(second))
    return Outlier(
        id=first.id,
        conformer=first.conformer,
        start=second.start,
        smiles=first.smiles,
        numbers=first.numbers,
        geometries={
            name: superimposed(geometry, zero)
            for name, geometry in zip(PAPER_KCAL_MOL, geometries, strict=True)
        },
        energies_kcal_mol={
            name: (energy - energies[0]) / KCAL_MOL
            for name, energy in zip(PAPER_KCAL_MOL, energies, strict=True)
        },
        delta_kcal_mol=(_energy(second) - _energy(first)) / KCAL_MOL,
        n_pairs=len(pairs),
        turned=largest_turn(first.smiles, first.positions, second.positions),
    )


def _relaxed(folder: Path) -> dict[tuple[str, int], Record]:
    """Usable relaxations of the shards of a folder, by molecule."""
    shards = sorted(folder.glob("*.extxyz"))
    if not shards:
        raise ShardError(f"{folder}: no relaxed shards; run `prerelax relax` first")
    rows = [row for shard in shards for row in read_shard(shard)]
    return {
        (row.id, row.conformer): row
        for row in rows
        if row.converged and row.is_same_molecule and row.start_energy_ev is not None
    }


def _energy(record: Record) -> float:
    assert record.energy_ev is not None
    return record.energy_ev


def largest_turn(smiles: str, before: NDArray[np.floating], after: NDArray[np.floating]) -> str:
    """The torsion about a single bond that differs most between two geometries [n_atoms, 3] Å, in words."""
    mol = mol_from_mapped_smiles(smiles)
    torsions = mol.GetSubstructMatches(Chem.MolFromSmarts("[*]~[*]-;!@[*]~[*]"))
    turns = []
    for atoms in torsions:
        angles = [
            rdMolTransforms.GetDihedralDeg(conformer_at(geometry), *atoms) for geometry in (before, after)
        ]
        turns.append((abs((angles[1] - angles[0] + 180) % 360 - 180), atoms))
    if not turns:
        return "no torsion about a single bond"
    degrees, atoms = max(turns)
    names = "–".join(f"{mol.GetAtomWithIdx(i).GetSymbol()}{i + 1}" for i in atoms)
    return f"largest turn {degrees:.0f}° about the bond in the middle of {names}"
